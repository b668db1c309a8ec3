//! Going over what is there: tenants by their index, instances by theirs, page by page and never over the key space.

use super::chain::{Head, Trails};
use crate::domain::{Id, InstanceId, TenantId};
use crate::ports::store::Key;
use crate::vault::{Vault, VaultError, keys};

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
    pub(super) fn all_tenants(&self) -> Tenants<'_> {
        Tenants { vault: self, shards: keys::tenant_shards().collect(), after: None }
    }

    /// The instances that wrote a trail for a tenant, by its index.
    pub(super) async fn audit_instances(&self, tenant: &TenantId) -> Result<Vec<InstanceId>, VaultError> {
        let index = keys::audit_instances(tenant);
        let mut instances: Vec<InstanceId> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.scan(&index, "", after.as_deref(), PAGE).await?;
            instances.extend(page.iter().filter_map(|member| InstanceId::parse(member)));
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.clone()),
                _ => return Ok(instances),
            }
        }
    }

    /// Where a trail stands by the store.
    pub(super) async fn audit_head(&self, trails: &Trails<'_>) -> Result<Option<Head>, VaultError> {
        let key = trails.head_key();
        let record = self.store.get(&key).await?;
        record.map(|record| Head::read(&key, &record)).transpose()
    }
}
