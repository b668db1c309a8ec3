//! The tenant as its callers see it, and its product's name. How a tenant is deleted is the broker's: its grants end first.

use super::sign_up::checked_product;
use super::{Accounts, Caller};
use crate::domain::{Action, Deed, Refusal};
use crate::vault::Tenant;

impl Accounts {
    /// The caller's tenant. Refuses a key that is for some providers only.
    pub async fn tenant(&self, caller: &Caller) -> Result<Tenant, Refusal> {
        caller.may_use_all()?;
        // None where it went between the proof and now.
        self.vault.tenant(caller.authority()).find().await?.ok_or(Refusal::Unauthenticated)
    }

    /// Gives the product another name, by the rules of sign-up.
    pub async fn rename_tenant(&self, caller: &Caller, product: &str) -> Result<Tenant, Refusal> {
        let outcome = self.rename(caller, product).await;
        let deed = Deed::of(Action::TenantChanged, &outcome);
        if let Err(error) = self.vault.audit(caller.authority()).record(deed).await {
            tracing::error!(%error, "a deed is not in the audit trail");
        }
        outcome
    }

    async fn rename(&self, caller: &Caller, product: &str) -> Result<Tenant, Refusal> {
        caller.may_use_all()?;
        let product = checked_product(product)?;
        if self.vault.tenant(caller.authority()).rename(&product).await? {
            return self.tenant(caller).await;
        }
        Err(Refusal::Unauthenticated)
    }
}
