//! Authority is a type: who holds one has been proven to act for a tenant.

use crate::domain::{Actor, Origin, TenantId};
use std::net::IpAddr;

/// Proof that the bearer acts for one tenant. Records are named through it, so another tenant's record cannot be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    tenant: TenantId,
    actor: Actor,
}

impl Authority {
    /// `actor` is who showed the proof. To be called where it was just checked, and nowhere else: a credential in `accounts`, a state taken or a ticket
    /// found in [`super::Sessions`]. `tests/floors.rs` lists the files.
    pub(crate) fn proven(tenant: TenantId, actor: Actor) -> Self {
        Self { tenant, actor }
    }

    /// The same proof, shown from that network address.
    #[must_use]
    pub fn from(mut self, address: Option<IpAddr>) -> Self {
        self.actor.address = address;
        self
    }

    /// The same proof, shown in the request of that id.
    #[must_use]
    pub fn in_request(mut self, id: &str) -> Self {
        self.actor.request = Some(id.to_owned()).filter(|id| !id.is_empty());
        self
    }

    /// The same proof, shown by that request.
    #[must_use]
    pub fn by(self, origin: &Origin) -> Self {
        self.from(origin.address).in_request(&origin.request)
    }

    /// Who acts, for the audit trail.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

/// Something read before the caller was proven, to save a round trip.
#[derive(Debug)]
pub struct Unproven<T> {
    tenant: TenantId,
    value: T,
}

impl<T> Unproven<T> {
    pub(super) fn new(tenant: TenantId, value: T) -> Self {
        Self { tenant, value }
    }

    /// The value, for whoever is proven to act for its tenant.
    pub fn proven_by(self, authority: &Authority) -> Option<T> {
        (self.tenant == authority.tenant).then_some(self.value)
    }
}
