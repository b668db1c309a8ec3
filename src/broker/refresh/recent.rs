//! What the store took lately, sealed: it may lose it again, where it answers before its disk or its replica has a write.

use crate::domain::TenantId;
use crate::vault::{Brought, Connection, Slot};
use quick_cache::sync::Cache;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

/// How long: longer than a store may be behind itself after a crash or a failover.
const REMEMBERED: Duration = Duration::from_mins(5);
/// How many: some kilobytes each.
const MOST: usize = 10_000;

/// New tokens that were stored lately, by a hash of tenant and slot; the grant in them tells two of the same hash apart.
pub(in crate::broker) struct Recent {
    hashes: RandomState,
    table: Cache<u64, Entry>,
}

#[derive(Clone)]
struct Entry {
    tenant: TenantId,
    brought: Arc<Brought>,
    stored_at: Duration,
}

impl Default for Recent {
    fn default() -> Self {
        Self { hashes: RandomState::new(), table: Cache::new(MOST) }
    }
}

impl Recent {
    fn key(&self, tenant: &TenantId, slot: &Slot) -> u64 {
        self.hashes.hash_one((tenant, slot))
    }

    /// The store took it at monotonic time `at`.
    pub fn remember(&self, tenant: &TenantId, brought: &Arc<Brought>, at: Duration) {
        let entry = Entry { tenant: tenant.clone(), brought: Arc::clone(brought), stored_at: at };
        self.table.insert(self.key(tenant, brought.slot()), entry);
    }

    /// What was stored for a slot and is newer than what lies there now.
    pub fn newer(&self, tenant: &TenantId, found: &Connection, now: Duration) -> Option<Arc<Brought>> {
        let entry = self.table.get(&self.key(tenant, &found.slot))?;
        let counts = entry.tenant == *tenant
            && now.saturating_sub(entry.stored_at) < REMEMBERED
            && entry.brought.is_newer_than(found);
        counts.then_some(entry.brought)
    }

    /// Whose tokens are remembered, and in which slots.
    pub fn all(&self) -> Vec<(TenantId, Slot)> {
        self.table.iter().map(|(_, entry)| (entry.tenant, entry.brought.slot().clone())).collect()
    }
}
