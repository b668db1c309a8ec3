//! One provider file, from text to a [`Provider`] or to all that is wrong with it.

use super::fault::Fault;
use super::parts::{AfterConnect, HostRule, Refresh, TokenEndpoint};
use super::provider::Provider;
use super::reader::{At, Sink, Table, hint_for};
use super::sections::{self, Urls, UsedFor};
use super::template::Place;
use super::variables::{AskedAt, Variable};
use crate::domain::ProviderId;
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeTable;

/// Reads the text of a file. `file` is its name in faults.
pub(super) fn read(
    id: &ProviderId,
    file: &str,
    text: &str,
    allow_insecure: bool,
) -> Result<Provider, Vec<Fault>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let sink = Sink::new(file, text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        sink.fault(&span, error.message().lines().collect::<Vec<_>>().join(", "), None);
    }
    // What stands in a broken document would be read as something else.
    let provider = if errors.is_empty() {
        provider(id, Table::file(&sink, document.get_ref()), allow_insecure)
    } else {
        None
    };
    let faults = sink.into_faults();
    match provider {
        Some(provider) if faults.is_empty() => Ok(provider),
        _ => Err(faults),
    }
}

fn provider(id: &ProviderId, mut file: Table<'_>, allow_insecure: bool) -> Option<Provider> {
    let name = file.required_text("name");
    let categories = file.texts("categories").into_iter().map(|at| at.value).collect();
    let docs = file.url("docs").map(|at| at.value.as_str().to_owned()).unwrap_or_default();
    if !is_served(&mut file) {
        return None;
    }
    let mut urls = Urls::default();
    let issuer = sections::issuer(&mut file, &mut urls);
    let iss_required = file.flag("iss_required");
    if iss_required && issuer.is_none() {
        file.fault("`iss_required` needs an `issuer` to compare with", None);
    }
    let variables = sections::variables(&mut file);
    let authorize = sections::authorize(file.table("authorize"), &mut urls);
    let separator = authorize.as_ref().map_or(' ', |authorize| authorize.scope_separator);
    let token = sections::token(file.table("token"), separator, &mut urls);
    let tokens = sections::tokens(&mut file);
    let refresh = sections::refresh(file.table("refresh"), token.as_ref(), &mut urls);
    let revoke = sections::revoke(file.table("revoke"), token.as_ref(), &mut urls);
    let callback = sections::callback(file.table("callback"));
    let identity = sections::identity(file.table("identity"), &mut urls);
    let after_connect = sections::after_connect(&mut file, &mut urls);
    let hosts = sections::hosts(&mut file);
    let names = Names {
        variables: &variables,
        captured: callback.capture.iter().map(String::as_str).collect(),
        metadata: metadata_names(token.as_ref(), refresh.as_ref(), &after_connect),
        hosts: &hosts,
    };
    names.check(&file);
    names.check_urls(&file, &urls, allow_insecure);
    file.finish();
    Some(Provider {
        id: id.clone(),
        name: name?.value,
        categories,
        docs,
        issuer,
        iss_required,
        authorize: authorize?,
        token: token?,
        tokens,
        refresh: refresh?,
        revoke,
        callback,
        identity,
        after_connect,
        hosts: hosts.into_iter().map(|(name, at)| (name, at.value)).collect(),
        variables,
    })
}

/// What the format has and this version does not, refused in so many words. False: nothing else in the file would mean
/// what it says.
fn is_served(file: &mut Table<'_>) -> bool {
    let mut served = true;
    if let Some(at) = file.required_text("protocol").filter(|at| at.value != "oauth2") {
        served = false;
        let what = match at.value.as_str() {
            "oauth1" | "client_credentials" => {
                format!("protocol `{}` is not served by this version", at.value)
            }
            other => format!("`protocol` cannot be `{other}`"),
        };
        file.fault_at(&at, what, Some("this version serves oauth2"));
    }
    for key in ["exchange", "introspect", "oauth1"] {
        if let Some(at) = file.presence(key) {
            served = false;
            file.fault_at(&at, format!("`[{key}]` is not served by this version"), None);
        }
    }
    let [authorize, token] = ["authorize", "token"].map(|key| file.presence(key));
    if let (Some(at), None, None) = (file.text("issuer"), authorize, token) {
        served = false;
        let what = "discovery from `issuer` alone is not served by this version";
        file.fault_at(&at, what, Some("give the urls of [authorize] and [token]"));
    }
    served
}

fn metadata_names<'a>(
    token: Option<&'a TokenEndpoint>,
    refresh: Option<&'a Refresh>,
    after_connect: &'a [AfterConnect],
) -> BTreeSet<&'a str> {
    let answers =
        [token.map(|token| &token.response.metadata), refresh.map(|refresh| &refresh.response.metadata)];
    let steps = after_connect.iter().map(|step| &step.metadata);
    answers.into_iter().flatten().chain(steps).flat_map(BTreeMap::keys).map(String::as_str).collect()
}

/// Everything that a placeholder can stand for.
struct Names<'a> {
    variables: &'a BTreeMap<String, Variable>,
    captured: BTreeSet<&'a str>,
    metadata: BTreeSet<&'a str>,
    hosts: &'a BTreeMap<String, At<HostRule>>,
}

type Objection = (String, Option<String>);

impl Names<'_> {
    /// One name must not mean two things, or one of them could stand in for the other.
    fn check(&self, file: &Table<'_>) {
        for name in self.variables.keys().map(String::as_str) {
            if self.captured.contains(name)
                || self.metadata.contains(name)
                || sections::REVOKED.contains(&name)
            {
                file.fault(
                    format!("`{name}` is a variable and something else too"),
                    Some("give one of them another name"),
                );
            }
        }
        for name in self.captured.intersection(&self.metadata) {
            file.fault(format!("`{name}` is captured from the callback and read from an answer"), None);
        }
        for (name, at) in self.hosts {
            if !self.captured.contains(name.as_str()) && !self.metadata.contains(name.as_str()) {
                let what =
                    format!("`hosts.{name}`: nothing of that name comes out of a callback or an answer");
                file.fault_at(at, what, None);
            }
        }
    }

    fn check_urls(&self, file: &Table<'_>, urls: &Urls, allow_insecure: bool) {
        for (at, used) in &urls.0 {
            if at.value.is_insecure() && !allow_insecure {
                let hint = "`upstream.allow_insecure` accepts http, for development and tests";
                file.fault_at(at, "must start with https://", Some(hint));
            }
            for (hole, place) in at.value.holes() {
                if let Err((what, hint)) = self.may_fill(hole, place, *used) {
                    file.fault_at(at, what, hint.as_deref());
                }
            }
        }
    }

    fn may_fill(&self, hole: &str, place: Place, used: UsedFor) -> Result<(), Objection> {
        if used == UsedFor::Revocation && sections::REVOKED.contains(&hole) {
            let host = || (format!("`{{{hole}}}` cannot be part of the host"), None);
            return if place.in_host() { Err(host()) } else { Ok(()) };
        }
        if let Some(variable) = self.variables.get(hole) {
            return Self::variable_may_fill(hole, variable, place);
        }
        let captured = self.captured.contains(hole) && used != UsedFor::Browser;
        let found = self.metadata.contains(hole) && matches!(used, UsedFor::Later | UsedFor::Revocation);
        if !captured && !found {
            let all = self.variables.keys().map(String::as_str).chain(self.captured.iter().copied());
            let known: Vec<&str> = all.chain(self.metadata.iter().copied()).collect();
            let hint =
                if known.is_empty() { "declare it: [variables]".to_owned() } else { hint_for(hole, &known) };
            return Err((format!("nothing fills `{{{hole}}}` when this URL is used"), Some(hint)));
        }
        if place.in_host() && !(self.hosts.contains_key(hole) && place == Place::Authority) {
            let hint = format!(
                "let it be the whole host, and list what is accepted: [hosts] {hole} = [\".example.com\"]"
            );
            return Err((
                format!("`{{{hole}}}` comes from outside and may not pick the host as it likes"),
                Some(hint),
            ));
        }
        Ok(())
    }

    fn variable_may_fill(name: &str, variable: &Variable, place: Place) -> Result<(), Objection> {
        if variable.at == AskedAt::Authorize && place.picks_host() {
            let what = format!(
                "`{{{name}}}` is asked at authorize and would pick the host, which is sent the client secret"
            );
            let hint = "let it fill one label under a suffix of two labels or more, or a part of the path; \
                        or ask it of the tenant: at = \"integration\"";
            return Err((what, Some(hint.to_owned())));
        }
        Ok(())
    }
}
