//! What a tenant's product is called, for pages.

use super::fields::Fields;
use super::{Authority, Vault, VaultError, keys};

impl Vault {
    /// The name of the tenant's product; empty where it has none.
    pub async fn product(&self, by: &Authority) -> Result<String, VaultError> {
        let key = keys::tenant(by.tenant());
        let gone = || VaultError::TenantGone(by.tenant().to_string());
        let record = self.store.get(&key).await?.ok_or_else(gone)?;
        Ok(Fields::of(&key, &record)?.optional("product").unwrap_or_default().to_owned())
    }
}
