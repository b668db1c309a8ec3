//! What is due, over all tenants: hints which of them have something due, and leases for looking through them.
//!
//! The index in a tenant's own partition is the truth, and moves in the same batch as the connection. A hint lies in another
//! partition, so it is written before; one too many costs a look. It names a span of time, not a moment, so that a process that
//! has written it need not write it again for the next connection.

use super::walk::Tenants;
use super::{Slot, Vault, VaultError, keys};
use crate::domain::{AttemptId, Id, TenantId, Timestamp};
use crate::ports::store::{Batch, Guard, Value, Write};
use crate::vault::fields::{Draft, Fields};
use quick_cache::sync::Cache;
use std::time::Duration;

/// The span that a hint names.
const SPAN_MILLIS: i64 = 600_000;
/// A hint is removed when its span is over for so long: whoever has just written it has written the connection by then.
const REMOVED_AFTER: Duration = Duration::from_mins(2);
/// How many hints a process remembers to have written.
const REMEMBERED: usize = 20_000;

/// Hints that this process has written.
pub(super) struct Hints(Cache<(TenantId, i64), ()>);

impl Hints {
    pub fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

/// A hint that a tenant has something due in a span.
#[derive(Clone, Debug)]
pub struct DueHint {
    /// Whose.
    pub tenant: TenantId,
    /// The end of the span.
    until: Timestamp,
    member: String,
}

/// A slot that is due, by the index.
#[derive(Clone, Debug)]
pub struct DueSlot {
    /// Which.
    pub slot: Slot,
    /// Since when.
    pub at: Timestamp,
    member: String,
}

/// What is due, over all tenants.
pub struct Due<'a> {
    vault: &'a Vault,
}

impl<'a> Due<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// The parts that the hints are in.
    pub fn shards(&self) -> std::ops::Range<u16> {
        keys::due_shards()
    }

    /// Tells that a tenant will have something due at that time; to be done before the tenant's own batch.
    pub(super) async fn hint(&self, tenant: &TenantId, at: Timestamp) -> Result<(), VaultError> {
        let span = at.as_millis().div_euclid(SPAN_MILLIS);
        let place = (tenant.clone(), span);
        if self.vault.hints.0.get(&place).is_some() {
            return Ok(());
        }
        let index = keys::due_hints(keys::due_shard(tenant));
        let member = format!("{:015}:{tenant}", span.saturating_mul(SPAN_MILLIS).max(0));
        self.vault.store.apply(Batch::new().then(Write::IndexAdd { index, member })).await?;
        self.vault.hints.0.insert(place, ());
        Ok(())
    }

    /// Hints of a shard whose span has begun, the oldest first, after that one, `limit` at most.
    pub async fn hints(
        &self,
        shard: u16,
        now: Timestamp,
        after: Option<&DueHint>,
        limit: usize,
    ) -> Result<Vec<DueHint>, VaultError> {
        let after = after.map(|hint| hint.member.as_str());
        let members = self.vault.store.scan(&keys::due_hints(shard), "", after, limit).await?;
        let read = members.into_iter().filter_map(|member| {
            let (begins, tenant) = member.split_once(':')?;
            let (begins, tenant) = (begins.parse().ok()?, TenantId::parse(tenant)?);
            let until =
                Timestamp::from_millis(begins).plus(Duration::from_millis(SPAN_MILLIS.unsigned_abs()));
            (Timestamp::from_millis(begins) <= now).then_some(DueHint { tenant, until, member })
        });
        Ok(read.collect())
    }

    /// Removes a hint whose span is long over and in which nothing is due any more.
    pub async fn drop_hint(&self, shard: u16, hint: &DueHint, now: Timestamp) -> Result<(), VaultError> {
        if hint.until.plus(REMOVED_AFTER) > now {
            return Ok(());
        }
        let left = self.slots(&hint.tenant, hint.until, 1).await?;
        if left.is_empty() {
            let gone = Write::IndexRemove { index: keys::due_hints(shard), member: hint.member.clone() };
            self.vault.store.apply(Batch::new().then(gone)).await?;
        }
        Ok(())
    }

    /// Slots of a tenant that are due, the oldest first, `limit` at most.
    pub async fn slots(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueSlot>, VaultError> {
        let members = self.vault.store.scan(&keys::due(tenant), "", None, limit).await?;
        let read = members.into_iter().filter_map(|member| {
            let (at, slot) = keys::parse_due(&member)?;
            (at <= now).then_some(DueSlot { slot, at, member })
        });
        Ok(read.collect())
    }

    /// Takes a member out of a tenant's index that is not its connection's time.
    pub async fn sweep(&self, tenant: &TenantId, due: &DueSlot) -> Result<(), VaultError> {
        let key = keys::connection(tenant, &due.slot);
        let gone = || Write::IndexRemove { index: keys::due(tenant), member: due.member.clone() };
        // Where the record says the same meanwhile, the member stays.
        let found = self.vault.store.get(&key).await?;
        let guard = match found {
            None => Guard::Absent(key),
            Some(record) if record.number::<i64>("due_at") == Some(due.at.as_millis()) => return Ok(()),
            Some(record) => Guard::Rev(key, record.rev()),
        };
        self.vault.store.apply(Batch::new().when(guard).then(gone())).await?;
        Ok(())
    }

    /// Takes a shard into one's hands for that long. False where somebody else has it.
    pub async fn take(&self, shard: u16, worker: &AttemptId, lasts: Duration) -> Result<bool, VaultError> {
        let key = keys::due_lease(shard);
        let fields = |draft: Draft| draft.put("worker", worker).raw("until", Value::Now(lasts)).done();
        let batch = match self.vault.store.get(&key).await? {
            None => Batch::new().when(Guard::Absent(key.clone())).then(Write::Put {
                key,
                fields: fields(Draft::record()),
                lives: None,
            }),
            Some(record) if Fields::of(&key, &record)?.time("until")? > self.vault.clock.now() => {
                return Ok(false);
            }
            Some(_) => Batch::new()
                .when(Guard::Passed(key.clone(), "until".to_owned()))
                .then(Write::Set { key, fields: fields(Draft::some()) }),
        };
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// Lets go of a shard; nobody needs to look at it for that long.
    pub async fn release(&self, shard: u16, worker: &AttemptId, rests: Duration) -> Result<(), VaultError> {
        let key = keys::due_lease(shard);
        let mine = Guard::Equals(key.clone(), "worker".to_owned(), worker.as_str().into());
        let fields = Draft::some().raw("until", Value::Now(rests)).done();
        self.vault.store.apply(Batch::new().when(mine).then(Write::Set { key, fields })).await?;
        Ok(())
    }

    /// Puts hints back that are missing: looks at what is first due of each tenant.
    pub async fn heal(&self) -> Result<(), VaultError> {
        let mut tenants: Tenants<'_> = self.vault.all_tenants();
        while let Some(page) = tenants.next().await? {
            for tenant in page {
                let first = self.slots(&tenant, Timestamp::from_millis(i64::MAX), 1).await?;
                if let Some(first) = first.first() {
                    self.vault
                        .hints
                        .0
                        .remove(&(tenant.clone(), first.at.as_millis().div_euclid(SPAN_MILLIS)));
                    self.hint(&tenant, first.at).await?;
                }
            }
        }
        Ok(())
    }
}
