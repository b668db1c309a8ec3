//! Authority is a type: who holds one has been proven to act for a tenant.

use crate::domain::TenantId;

/// Proof that the bearer acts for one tenant. Records are named through it, so another tenant's record cannot be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    tenant: TenantId,
}

impl Authority {
    /// To be called where a proof was just checked, and nowhere else: a credential in `accounts`, a state taken or a ticket
    /// found in [`super::Sessions`]. `tests/floors.rs` lists the files.
    pub(crate) fn proven(tenant: TenantId) -> Self {
        Self { tenant }
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
