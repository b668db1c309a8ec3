//! Going over all tenants by their index, page by page and never over the key space.

use super::{Vault, VaultError, keys};
use crate::domain::{Id, TenantId};
use crate::ports::store::Key;

/// Names read at once.
const PAGE: usize = 200;

/// All tenants, a page of their index at a time.
pub(super) struct Tenants<'a> {
    vault: &'a Vault,
    shards: Vec<Key>,
    after: Option<String>,
}

impl Tenants<'_> {
    /// The next tenants, which may be none of a page; none where all were given.
    pub async fn next(&mut self) -> Result<Option<Vec<TenantId>>, VaultError> {
        let Some(shard) = self.shards.last() else { return Ok(None) };
        let page = self.vault.store.scan(shard, "", self.after.as_deref(), PAGE).await?;
        self.after = page.last().filter(|_| page.len() == PAGE).cloned();
        if self.after.is_none() {
            self.shards.pop();
        }
        Ok(Some(page.iter().filter_map(|member| TenantId::parse(member)).collect()))
    }
}

impl Vault {
    /// All tenants there are.
    pub(super) fn all_tenants(&self) -> Tenants<'_> {
        Tenants { vault: self, shards: keys::tenant_shards().collect(), after: None }
    }
}
