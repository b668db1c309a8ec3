//! API keys of a tenant: made, listed, revoked. A key never makes one that may do more than itself.

use super::caller::{Caller, outside};
use super::{Accounts, api_key};
use crate::domain::{Action, ApiKeyId, Deed, KeyScope, Refusal, Secret, Timestamp};
use crate::ports::ChanceExt;
use crate::vault::{ApiKey, ApiKeyLimits};
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

const LONGEST_NAME: usize = 100;
/// Providers, and networks, that one key may list.
const MOST_LISTED: usize = 64;

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What its maker calls it: 1 to 100 characters on one line.
    pub name: String,
    /// What it may do, where, and until when.
    pub limits: ApiKeyLimits,
}

impl Accounts {
    /// Makes a key. The secret is the key as text: it is not kept, so this is the one time it can be shown.
    ///
    /// Refuses a field that is wrong, and limits wider than the caller's own.
    pub async fn create_key(&self, caller: &Caller, request: NewApiKey) -> Result<(ApiKey, Secret), Refusal> {
        let outcome = self.make_key(caller, request).await;
        let deed = Deed::of(Action::ApiKeyCreated, &outcome);
        let deed = match &outcome {
            Ok((key, _)) => deed
                .about("api_key", &key.id)
                .about("name", &key.name)
                .about("scopes", key.limits.scopes.names().join(" ")),
            Err(_) => deed,
        };
        self.vault.audit(caller.authority()).record(deed).await?;
        outcome
    }

    async fn make_key(&self, caller: &Caller, request: NewApiKey) -> Result<(ApiKey, Secret), Refusal> {
        let now = self.clock.now();
        let name = checked_name(&request.name)?;
        let limits = checked_limits(request.limits, now)?;
        within(caller.limits(), &limits)?;
        let id = self.chance.id();
        let (text, secret_hash) = api_key::mint(caller.authority().tenant(), &id, &*self.chance);
        let key = ApiKey { id, name, secret_hash, limits, created_at: now };
        if self.vault.api_keys(caller.authority()).create(&key).await? {
            return Ok((key, text));
        }
        // The tenant went between the proof and now.
        Err(Refusal::Unauthenticated)
    }

    /// The tenant's keys in the order of their ids, after that one, `limit` at most.
    pub async fn list_keys(
        &self,
        caller: &Caller,
        after: Option<&ApiKeyId>,
        limit: usize,
    ) -> Result<Vec<ApiKey>, Refusal> {
        Ok(self.vault.api_keys(caller.authority()).list(after, limit).await?)
    }

    /// A key of the tenant. [`Refusal::NotFound`] where there is none.
    pub async fn key(&self, caller: &Caller, id: &ApiKeyId) -> Result<ApiKey, Refusal> {
        let found = self.vault.api_keys(caller.authority()).find(id).await?;
        found.ok_or_else(|| Refusal::NotFound { what: format!("API key {id}") })
    }

    /// Ends a key of the tenant, the caller's own included. [`Refusal::NotFound`] where there is none.
    pub async fn revoke_key(&self, caller: &Caller, id: &ApiKeyId) -> Result<(), Refusal> {
        let outcome = match self.vault.api_keys(caller.authority()).revoke(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::NotFound { what: format!("API key {id}") }),
            Err(error) => Err(error.into()),
        };
        let deed = Deed::of(Action::ApiKeyRevoked, &outcome).about("api_key", id);
        self.vault.audit(caller.authority()).record(deed).await?;
        outcome
    }
}

fn checked_name(name: &str) -> Result<String, Refusal> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(Refusal::field("name", "must be 1 to 100 characters on one line"));
    }
    Ok(name.to_owned())
}

fn checked_limits(limits: ApiKeyLimits, now: Timestamp) -> Result<ApiKeyLimits, Refusal> {
    if limits.scopes.names().is_empty() {
        return Err(Refusal::field("scopes", "must name a scope; leave the field out for all of them"));
    }
    if limits.expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::field("expires_at", "must lie in the future"));
    }
    for (field, length) in [("providers", limits.providers.len()), ("ips", limits.ips.len())] {
        if length > MOST_LISTED {
            return Err(Refusal::field(field, format!("must list {MOST_LISTED} at most")));
        }
    }
    Ok(ApiKeyLimits { ips: limits.ips.iter().map(canonical).collect(), ..limits })
}

/// A network as callers are compared with it: IPv4 where it is IPv4 mapped into IPv6, and no bits beyond the prefix.
fn canonical(network: &IpNet) -> IpNet {
    let mapped = match (network.addr().to_canonical(), network) {
        (IpAddr::V4(v4), IpNet::V6(v6)) => {
            v6.prefix_len().checked_sub(96).and_then(|prefix| Ipv4Net::new(v4, prefix).ok())
        }
        _ => None,
    };
    mapped.map_or(*network, IpNet::V4).trunc()
}

/// Refuses limits that allow what `own` does not.
fn within(own: &ApiKeyLimits, new: &ApiKeyLimits) -> Result<(), Refusal> {
    let lacking =
        KeyScope::ALL.iter().find(|scope| new.scopes.contains(**scope) && !own.scopes.contains(**scope));
    if let Some(needed) = lacking {
        return Err(Refusal::InsufficientScope { needed: *needed });
    }
    if own.expires_at.is_some_and(|end| new.expires_at.is_none_or(|later| later > end)) {
        return Err(outside("A key cannot make one that outlives it: give an earlier `expires_at`."));
    }
    if !listed_within(&own.providers, &new.providers, |own, new| own == new) {
        return Err(outside("A key cannot make one for other providers than its own: give some of those."));
    }
    if !listed_within(&own.ips, &new.ips, |own, new| own.contains(new)) {
        return Err(outside("A key cannot make one for other networks than its own: give some of those."));
    }
    Ok(())
}

/// An empty list means everything, so it lies within an empty list only.
fn listed_within<T>(own: &[T], new: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    let covered = |new: &T| own.iter().any(|own| covers(own, new));
    own.is_empty() || (!new.is_empty() && new.iter().all(covered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyScopes, ProviderId};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn limits(scopes: &str, expires: Option<u64>, providers: &[&str], ips: &[&str]) -> ApiKeyLimits {
        ApiKeyLimits {
            scopes: KeyScopes::parse(scopes.split_whitespace()).unwrap(),
            expires_at: expires.map(|seconds| NOW.plus(Duration::from_secs(seconds))),
            providers: providers.iter().map(|id| ProviderId::parse(id).unwrap()).collect(),
            ips: ips.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn no_key_makes_a_wider_one() {
        let own = limits("tokens:read keys:write", Some(60), &["slack", "google"], &["10.0.0.0/8"]);
        let narrower = limits("tokens:read", Some(60), &["slack"], &["10.1.0.0/16", "10.2.0.1/32"]);
        assert_eq!(within(&own, &narrower), Ok(()));
        assert_eq!(within(&own, &own), Ok(()));
        let needed = KeyScope::AuditRead;
        let wider = limits("tokens:read audit:read", Some(60), &["slack"], &["10.0.0.0/8"]);
        assert_eq!(within(&own, &wider), Err(Refusal::InsufficientScope { needed }));
        for wider in [
            limits("tokens:read", None, &["slack"], &["10.0.0.0/8"]),
            limits("tokens:read", Some(61), &["slack"], &["10.0.0.0/8"]),
            limits("tokens:read", Some(60), &[], &["10.0.0.0/8"]),
            limits("tokens:read", Some(60), &["slack", "atlassian"], &["10.0.0.0/8"]),
            limits("tokens:read", Some(60), &["slack"], &[]),
            limits("tokens:read", Some(60), &["slack"], &["0.0.0.0/0"]),
            limits("tokens:read", Some(60), &["slack"], &["10.0.0.0/8", "11.0.0.0/8"]),
        ] {
            assert!(matches!(within(&own, &wider), Err(Refusal::OutsideKeyLimits { .. })), "{wider:?}");
        }
        let unlimited = limits("tokens:read", None, &[], &[]);
        assert_eq!(within(&unlimited, &narrower), Ok(()));
    }

    #[test]
    fn wrong_fields_are_named() {
        let field = |limits| match checked_limits(limits, NOW) {
            Err(Refusal::InvalidRequest { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(limits("", None, &[], &[])).as_deref(), Some("scopes"));
        assert_eq!(field(limits("tokens:read", Some(0), &[], &[])).as_deref(), Some("expires_at"));
        assert_eq!(field(limits("tokens:read", None, &["slack"; 65], &[])).as_deref(), Some("providers"));
        assert_eq!(field(limits("tokens:read", None, &[], &["::/0"; 65])).as_deref(), Some("ips"));
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(checked_name(" backend "), Ok("backend".to_owned()));
    }

    #[test]
    fn networks_have_one_form() {
        let form = |text: &str| canonical(&text.parse().unwrap()).to_string();
        assert_eq!(form("::ffff:10.1.2.3/104"), "10.0.0.0/8");
        assert_eq!(form("10.1.2.3/16"), "10.1.0.0/16");
        assert_eq!(form("2001:db8::1/32"), "2001:db8::/32");
        assert_eq!(form("::/0"), "::/0");
    }
}
