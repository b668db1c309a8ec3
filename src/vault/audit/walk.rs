//! Going over what is there: instances by their index, page by page and never over the key space.

use super::chain::{Head, Trails};
use crate::domain::{Id, InstanceId, TenantId};
use crate::vault::{Vault, VaultError, keys};

/// Names read at once.
const PAGE: usize = 200;

impl Vault {
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
