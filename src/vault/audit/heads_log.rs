//! Heads that were logged: where a trail stood, said by a place that whoever can write to the store cannot reach.

use crate::domain::{Id, InstanceId, TenantId, Timestamp};
use std::collections::BTreeMap;

/// The target of the lines.
const TARGET: &str = "grantkeep::audit";

/// Where a trail stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    pub sequence: u64,
    pub mac: String,
    /// When the record was made.
    pub at: Timestamp,
}

/// The heads in a server's log, in either of its formats.
#[derive(Clone, Debug, Default)]
pub struct HeadsLog {
    heads: BTreeMap<(TenantId, InstanceId), Vec<Logged>>,
    count: usize,
}

impl HeadsLog {
    /// Takes a line of a log, whatever it says.
    pub fn read_line(&mut self, line: &str) {
        if !line.contains(TARGET) {
            return;
        }
        let read = if line.trim_start().starts_with('{') { of_json(line) } else { of_text(line) };
        if let Some((tenant, instance, logged)) = read {
            self.count += 1;
            self.heads.entry((tenant, instance)).or_default().push(logged);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn of(&self, tenant: &TenantId, instance: &InstanceId) -> &[Logged] {
        self.heads.get(&(tenant.clone(), instance.clone())).map_or(&[], Vec::as_slice)
    }

    pub(super) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.heads.keys().map(|(tenant, _)| tenant)
    }

    pub(super) fn instances(&self, tenant: &TenantId) -> impl Iterator<Item = &InstanceId> {
        self.heads.keys().filter(move |(of, _)| of == tenant).map(|(_, instance)| instance)
    }
}

type Read = Option<(TenantId, InstanceId, Logged)>;

fn of_json(line: &str) -> Read {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line.get("target")?.as_str()? == TARGET).then_some(())?;
    let text = |name: &str| {
        let value = line.get(name)?;
        value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
    };
    head(text)
}

/// `2026-11-22T02:38:08Z  INFO grantkeep::audit: … tenant=… instance=…`, perhaps in colours.
fn of_text(line: &str) -> Read {
    let plain = without_colours(line);
    let (_, said) = plain.split_once("grantkeep::audit: ")?;
    head(|name| {
        let mut values =
            said.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Some(values.next()?.trim_matches('"').to_owned())
    })
}

fn head(text: impl Fn(&str) -> Option<String>) -> Read {
    let mac = text("mac").filter(|mac| mac.len() == 64)?;
    let logged =
        Logged { sequence: text("sequence")?.parse().ok()?, mac, at: Timestamp::parse(&text("at")?)? };
    Some((TenantId::parse(&text("tenant")?)?, InstanceId::parse(&text("instance")?)?, logged))
}

/// Without the sequences that terminals take for colours: ESC, `[`, and all up to a letter.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut parts = line.split("\u{1b}[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_and_nothing_else() {
        let (tenant, instance, mac) = ("0123456789abcdefghijAB", "0123456789abcdef", "ab".repeat(32));
        let json = format!(
            r#"{{"timestamp":"2026-11-22T02:38:08Z","level":"INFO","message":"an audit trail stands here","tenant":"{tenant}","instance":"{instance}","sequence":7,"mac":"{mac}","at":"2026-11-22T02:38:07Z","target":"grantkeep::audit"}}"#
        );
        let text = format!(
            "2026-11-22T02:38:08Z \u{1b}[32m INFO\u{1b}[0m \u{1b}[2mgrantkeep::audit\u{1b}[0m\u{1b}[2m:\u{1b}[0m an audit trail stands here \
             \u{1b}[3mtenant\u{1b}[0m\u{1b}[2m=\u{1b}[0m{tenant} instance={instance} sequence=8 mac=\"{mac}\" at=2026-11-22T02:38:07Z"
        );
        let mut log = HeadsLog::default();
        for line in
            [json.as_str(), &text, "", "grantkeep::audit: nothing", "{\"target\":\"grantkeep::audit\"}"]
        {
            log.read_line(line);
        }
        log.read_line(&json.replace("grantkeep::audit", "other"));
        assert_eq!(log.len(), 2);
        let (tenant, instance) = (TenantId::parse(tenant).unwrap(), InstanceId::parse(instance).unwrap());
        let sequences: Vec<u64> = log.of(&tenant, &instance).iter().map(|head| head.sequence).collect();
        assert_eq!(sequences, [7, 8]);
    }
}
