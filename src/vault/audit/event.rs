//! Events: what one record of a trail says, and how it lies in the store.

use super::chain::Link;
use crate::domain::{Actor, DataKeyId, Deed, Id, InstanceId, Timestamp};
use crate::ports::store::{Record, Value};
use crate::vault::fields::Draft;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A deed with its actor and its time. Written once, as JSON; what was written is what the MAC is over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Event {
    /// Milliseconds since 1970 in UTC, by the clock of the process.
    pub time: i64,
    pub action: String,
    pub actor: String,
    #[serde(default)]
    pub actor_id: Option<String>,
    #[serde(default)]
    pub address: Option<String>,
    pub outcome: String,
    #[serde(default)]
    pub request_id: Option<String>,
    #[serde(default)]
    pub about: BTreeMap<String, String>,
}

/// The same on its way into the store: written where it happens, from what is at hand.
#[derive(Serialize)]
struct Written<'a> {
    time: i64,
    action: &'a str,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    about: About<'a>,
}

struct About<'a>(&'a [(&'static str, String)]);

impl Serialize for About<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, what)| (name, what)))
    }
}

impl Event {
    /// A deed, as it is written; none where it could not be, which no deed of ours ever is.
    pub fn write(deed: &Deed, actor: &Actor, at: Timestamp) -> Option<String> {
        let written = Written {
            time: at.as_millis(),
            action: deed.action.as_str(),
            actor: actor.who.kind(),
            actor_id: actor.who.id(),
            address: actor.address.map(|address| address.to_canonical()),
            outcome: deed.outcome,
            request_id: actor.request.as_deref(),
            about: About(&deed.about),
        };
        let mut bytes = Vec::with_capacity(384);
        serde_json::to_writer(&mut bytes, &written).ok()?;
        String::from_utf8(bytes).ok()
    }

    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.time)
    }
}

/// A record as it lies in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub link: Link,
    pub data_key: DataKeyId,
    pub event: String,
}

impl Entry {
    pub fn fields(self) -> Vec<(String, Value)> {
        Draft::record()
            .put("sequence", self.link.sequence)
            .raw("event", self.event.into())
            .put("data_key", &self.data_key)
            .put("mac", &self.link.mac)
            .done()
    }

    /// What stands in a stream; none where it is nothing that this version writes.
    pub fn read(record: &Record) -> Option<Self> {
        (record.number::<u32>("v") == Some(crate::vault::fields::SCHEMA)).then_some(())?;
        Some(Self {
            link: Link { sequence: record.number("sequence")?, mac: record.text("mac")?.to_owned() },
            data_key: DataKeyId::parse(record.text("data_key")?)?,
            event: record.text("event")?.to_owned(),
        })
    }

    pub fn event(&self) -> Option<Event> {
        serde_json::from_str(&self.event).ok()
    }
}

/// A record of an audit trail, for those who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub struct AuditRecord {
    /// Which instance wrote it.
    pub instance: InstanceId,
    /// Its number in that instance's trail of the tenant, from 1.
    pub sequence: u64,
    pub time: Timestamp,
    pub action: String,
    /// The kind of actor.
    pub actor: String,
    pub actor_id: Option<String>,
    pub address: Option<String>,
    /// `ok`, or the code of the refusal.
    pub outcome: String,
    pub request_id: Option<String>,
    /// On what it was done.
    pub about: BTreeMap<String, String>,
}

impl AuditRecord {
    pub(super) fn of(instance: &InstanceId, sequence: u64, event: Event) -> Self {
        Self {
            instance: instance.clone(),
            sequence,
            time: event.at(),
            action: event.action,
            actor: event.actor,
            actor_id: event.actor_id,
            address: event.address,
            outcome: event.outcome,
            request_id: event.request_id,
            about: event.about,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, ApiKeyId, Who};

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let key = ApiKeyId::parse("0123456789abcdef").unwrap();
        let mut actor = Who::Key(key).at(Some("::ffff:192.0.2.7".parse().unwrap()));
        actor.request = Some("r-1".to_owned());
        let deed = Deed::done(Action::TokenHandedOut).about("end_user", "a\"b\n é").about("provider", "x");
        let text = Event::write(&deed, &actor, Timestamp::from_millis(5)).unwrap();
        let event: Event = serde_json::from_str(&text).unwrap();
        insta::assert_snapshot!(text, @r#"{"time":5,"action":"token.handed_out","actor":"api_key","actor_id":"0123456789abcdef","address":"192.0.2.7","outcome":"ok","request_id":"r-1","about":{"end_user":"a\"b\n é","provider":"x"}}"#);
        assert_eq!(event.about["end_user"], "a\"b\n é");
        assert_eq!(
            (event.actor_id.as_deref(), event.at()),
            (Some("0123456789abcdef"), Timestamp::from_millis(5))
        );
    }
}
