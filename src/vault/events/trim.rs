//! Letting go of events that are old enough.

use crate::domain::TenantId;
use crate::ports::store::{Batch, EntryId, Walk, Write};
use crate::vault::{Vault, VaultError, keys};
use std::time::Duration;

impl Vault {
    /// Removes all events that are older than `retention`, of every tenant. How many tenants had some.
    pub async fn trim_events(&self, retention: Duration) -> Result<usize, VaultError> {
        let mut count = 0;
        let mut tenants = self.all_tenants();
        while let Some(page) = tenants.next().await? {
            for tenant in page {
                count += usize::from(self.trim_events_of(&tenant, retention).await?);
            }
        }
        Ok(count)
    }

    async fn trim_events_of(&self, tenant: &TenantId, retention: Duration) -> Result<bool, VaultError> {
        let oldest = self.clock.now().minus(retention).as_millis();
        let before = EntryId { millis: u64::try_from(oldest).unwrap_or(0), number: 0 };
        let stream = keys::events(tenant);
        let first = self.store.entries(&stream, Walk::Up(None), 1).await?;
        if first.first().is_none_or(|(id, _)| *id >= before) {
            return Ok(false);
        }
        self.store.apply(Batch::new().then(Write::Trim { stream, before })).await?;
        Ok(true)
    }
}
