//! Letting go of what is old enough. What goes is checked on its way out: a record that is not as it was written stays, and all
//! after it, so that nobody makes evidence go by making it look old.

use super::chain::{Checkpoint, Head, Link, Trails, checkpoint_fields};
use super::event::Entry;
use crate::domain::{InstanceId, TenantId, Timestamp};
use crate::ports::store::{Batch, EntryId, Guard, Record, Walk, Write};
use crate::telemetry::metrics;
use crate::vault::data_keys::TenantKeys;
use crate::vault::{Vault, VaultError, keys};
use std::time::Duration;

/// Records read, and let go, at once.
const PAGE: usize = 500;

/// What of a page may go.
struct Old {
    link: Link,
    time: Timestamp,
    last: EntryId,
    count: usize,
}

impl Vault {
    /// Removes all records that are older than `retention`, of every tenant and instance; each trail keeps a checkpoint of where
    /// it begins. How many went.
    pub async fn trim_audit(&self, retention: Duration) -> Result<usize, VaultError> {
        let mut count = 0;
        let mut tenants = self.all_tenants();
        while let Some(page) = tenants.next().await? {
            for tenant in page {
                match self.trim_tenant(&tenant, retention).await {
                    Ok(gone) => count += gone,
                    Err(error @ VaultError::Store(_)) => return Err(error),
                    // One that is broken must not keep the others.
                    Err(error) => tracing::error!(%tenant, %error, "an audit trail could not be trimmed"),
                }
            }
        }
        Ok(count)
    }

    async fn trim_tenant(&self, tenant: &TenantId, retention: Duration) -> Result<usize, VaultError> {
        let mut count = 0;
        for instance in self.audit_instances(tenant).await? {
            let trails = Trails { tenant, instance: &instance };
            loop {
                let gone = self.trim_page(&trails, retention).await?;
                count += gone;
                if gone < PAGE {
                    break;
                }
            }
            self.forget_ended(&trails, retention).await?;
        }
        Ok(count)
    }

    async fn trim_page(&self, trails: &Trails<'_>, retention: Duration) -> Result<usize, VaultError> {
        let page = self.store.entries(&trails.stream(), Walk::Up(None), PAGE).await?;
        let now = self.clock.now();
        let young = |record: &Record| {
            let event = Entry::read(record).and_then(|entry| entry.event());
            event.is_some_and(|event| event.at().plus(retention) > now)
        };
        // The common case costs no key.
        if page.first().is_none_or(|(_, record)| young(record)) {
            return Ok(0);
        }
        let Some(head) = self.audit_head(trails).await? else { return Ok(0) };
        let keys = self.keys_of(trails.tenant).await?;
        let Some(old) = old_enough(trails, &keys, &head, &page, now.minus(retention)) else { return Ok(0) };
        let Some(key) = keys.first() else { return Ok(0) };
        let checkpoint = Checkpoint::new(trails, key, (old.link, old.time), (now, retention));
        let head_key = trails.head_key();
        let unchanged = match &head.checkpoint {
            Some(before) => {
                let sequence = before.link.sequence.to_string().into_bytes();
                Guard::Equals(head_key.clone(), "checkpoint_sequence".to_owned(), sequence)
            }
            None => Guard::Missing(head_key.clone(), "checkpoint_sequence".to_owned()),
        };
        let batch = Batch::new()
            .when(Guard::Present(head_key.clone()))
            .when(unchanged)
            .then(Write::Trim { stream: trails.stream(), before: old.last.next() })
            .then(Write::Set { key: head_key, fields: checkpoint_fields(&checkpoint) });
        // Refused where another instance did it.
        let applied = self.store.apply(batch).await?.applied();
        Ok(if applied { old.count } else { 0 })
    }

    /// A trail of which nothing is left, of an instance that is not this one, is forgotten: an instance whose data folder was
    /// thrown away never comes back. One that only was idle goes on from where it remembers to be.
    async fn forget_ended(&self, trails: &Trails<'_>, retention: Duration) -> Result<(), VaultError> {
        let own = self.trail.get().is_some_and(|trail| trail.instance == *trails.instance);
        let Some(head) = self.audit_head(trails).await?.filter(|_| !own) else { return Ok(()) };
        let empty = head.begins_after() == head.link;
        if !empty || head.time.plus(retention) > self.clock.now() {
            return Ok(());
        }
        let head_key = trails.head_key();
        let batch = Batch::new()
            .when(Guard::Equals(head_key.clone(), "mac".to_owned(), head.link.mac.into_bytes()))
            .then(Write::Delete { key: trails.stream() })
            .then(Write::Delete { key: head_key })
            .then(Write::IndexRemove {
                index: keys::audit_instances(trails.tenant),
                member: InstanceId::to_string(trails.instance),
            });
        self.store.apply(batch).await?;
        Ok(())
    }
}

/// The records at the beginning of a page that are older than `before`, and as they were written.
fn old_enough(
    trails: &Trails<'_>,
    keys: &TenantKeys,
    head: &Head,
    page: &[(EntryId, Record)],
    before: Timestamp,
) -> Option<Old> {
    let mut old: Option<Old> = None;
    let authentic = head.checkpoint.as_ref().is_none_or(|begin| begin.is_authentic(trails, keys));
    if !authentic {
        broken(trails, "its checkpoint is not as it was written");
        return None;
    }
    let mut link = head.begins_after();
    for (id, record) in page {
        let Some(entry) = Entry::read(record).filter(|entry| {
            entry.link.sequence == link.sequence + 1
                && trails.expected(&link, entry, keys).as_ref() == Some(&entry.link.mac)
        }) else {
            broken(trails, "a record that is to go is not as it was written, and stays");
            break;
        };
        let Some(event) = entry.event().filter(|event| event.at() <= before) else { break };
        link = entry.link.clone();
        let (time, count) = old.map_or((event.at(), 1), |old| (old.time.max(event.at()), old.count + 1));
        old = Some(Old { link: entry.link, time, last: *id, count });
    }
    old
}

fn broken(trails: &Trails<'_>, what: &str) {
    tracing::error!(tenant = %trails.tenant, instance = %trails.instance, what, "an audit trail is broken");
    metrics::alarm(metrics::Alarm::AuditBroken);
}
