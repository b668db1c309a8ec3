//! Callers: what a request carried, and who it turned out to be.

use crate::domain::{KeyScope, KeyScopes, Password, ProviderId, Refusal, Secret, Who};
use crate::vault::{ApiKeyLimits, Authority, SlotRead};
use std::net::IpAddr;

/// What a request carried, unchecked. Without `Debug`: nothing of it belongs in a log.
pub enum Presented {
    /// What stood after `Bearer`.
    Key(Secret),
    /// What stood after `Basic`, or in the form fields of that meaning.
    Password {
        /// As it was given.
        email: String,
        /// As it was given.
        password: Password,
    },
}

/// Somebody who was proven to act for a tenant, and what they may do.
#[derive(Clone, Debug)]
pub struct Caller {
    authority: Authority,
    limits: ApiKeyLimits,
}

/// The caller, and what was read in the same round trip.
pub struct Authenticated {
    /// The caller.
    pub caller: Caller,
    /// The slot asked for; none where it was not read (no slot, or a password).
    pub slot: Option<SlotRead>,
}

impl Caller {
    /// The holder of a key that was just checked.
    pub(super) fn key(authority: Authority, limits: ApiKeyLimits) -> Self {
        Self { authority, limits }
    }

    /// A member whose password was just checked: may do everything.
    pub(super) fn member(authority: Authority) -> Self {
        let limits =
            ApiKeyLimits { scopes: KeyScopes::all(), expires_at: None, providers: vec![], ips: vec![] };
        Self { authority, limits }
    }

    /// The proof that names the tenant's records.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same caller, in the request of that id.
    #[must_use]
    pub fn in_request(mut self, id: &str) -> Self {
        self.authority = self.authority.in_request(id);
        self
    }

    /// Who calls.
    pub fn who(&self) -> &Who {
        &self.authority.actor().who
    }

    /// What the caller's key is limited to; of a member, nothing.
    pub fn limits(&self) -> &ApiKeyLimits {
        &self.limits
    }

    /// Refuses with [`Refusal::InsufficientScope`] what the caller's key may not do.
    pub fn may(&self, scope: KeyScope) -> Result<(), Refusal> {
        if self.limits.scopes.contains(scope) {
            return Ok(());
        }
        Err(Refusal::InsufficientScope { needed: scope })
    }

    /// Refuses with [`Refusal::OutsideKeyLimits`] a provider that the caller's key is not for.
    pub fn may_use(&self, provider: &ProviderId) -> Result<(), Refusal> {
        self.limits.may_use(provider)
    }

    /// Refuses with [`Refusal::OutsideKeyLimits`] a key that is for some providers only, where the whole tenant is at stake.
    pub fn may_use_all(&self) -> Result<(), Refusal> {
        if self.limits.providers.is_empty() {
            return Ok(());
        }
        Err(outside("This API key is for some providers only, and this is about the whole tenant."))
    }

    /// Refuses with [`Refusal::OutsideKeyLimits`] an address that the caller's key may not be used from; an address that is
    /// not known is outside every list.
    pub(super) fn may_call_from(&self, from: Option<IpAddr>) -> Result<(), Refusal> {
        let networks = &self.limits.ips;
        let from = from.map(|address| address.to_canonical());
        if networks.is_empty() || from.is_some_and(|from| networks.iter().any(|net| net.contains(&from))) {
            return Ok(());
        }
        let place = from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
        Err(outside(format!("This API key may not be used from {place}.")))
    }
}

/// A good credential, used beyond its limits.
pub(super) fn outside(detail: impl Into<String>) -> Refusal {
    Refusal::OutsideKeyLimits { detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKeyId, Id, TenantId};

    fn caller(scopes: &str, providers: &[&str], ips: &[&str]) -> Caller {
        let limits = ApiKeyLimits {
            scopes: KeyScopes::parse(scopes.split_whitespace()).unwrap(),
            expires_at: None,
            providers: providers.iter().map(|id| ProviderId::parse(id).unwrap()).collect(),
            ips: ips.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let tenant = TenantId::parse("0123456789abcdefghijAB").unwrap();
        let key = ApiKeyId::parse("0123456789abcdef").unwrap();
        Caller::key(Authority::proven(tenant, Who::Key(key).at(None)), limits)
    }

    #[test]
    fn a_key_does_what_it_is_for() {
        let slack = ProviderId::parse("slack").unwrap();
        let key = caller("tokens:read", &["google"], &[]);
        assert_eq!(key.may(KeyScope::TokensRead), Ok(()));
        let needed = KeyScope::KeysWrite;
        assert_eq!(key.may(needed), Err(Refusal::InsufficientScope { needed }));
        let refusal = outside("This API key may not be used for the provider `slack`.");
        assert_eq!(key.may_use(&slack), Err(refusal));
        assert_eq!(caller("tokens:read", &[], &[]).may_use(&slack), Ok(()));
    }

    #[test]
    fn a_key_is_used_where_it_may_be() {
        let key = caller("", &[], &["192.0.2.0/24", "2001:db8::/32"]);
        let from = |text: &str| key.may_call_from(Some(text.parse().unwrap())).is_ok();
        assert!(from("192.0.2.200") && from("::ffff:192.0.2.7") && from("2001:db8::1"));
        assert!(!from("192.0.3.1") && !from("::ffff:198.51.100.1") && !from("2001:db9::1"));
        assert_eq!(
            key.may_call_from(None),
            Err(outside("This API key may not be used from an unknown address."))
        );
        assert_eq!(caller("", &[], &[]).may_call_from(None), Ok(()));
    }
}
