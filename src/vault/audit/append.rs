//! One append: records and head in one batch, guarded by the head that was there, so that two writers never make a fork.
//!
//! A lost answer is settled by reading the head, and as often as needed: the batch may still take effect until another one did.
//! What of it is to be written again is doubtful: it is left out where the head turns out to be the one that the batch would
//! have made.

use super::chain::{Checkpoint, Head, Link, Trails};
use super::trail::{Pending, Trail};
use crate::domain::{TenantId, Timestamp};
use crate::ports::store::{Batch, Guard, Outcome, StoreError, Write};
use crate::telemetry::metrics;
use crate::vault::{Vault, VaultError, keys};
use std::time::Duration;

/// How often an append is made anew because somebody else was first.
const TRIES: usize = 5;

/// Where a trail of this process stands, as far as it knows.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub link: Link,
    /// When its last record was made.
    pub time: Timestamp,
    /// The sequence that was last logged.
    pub logged: u64,
    /// The head record is there. It is not before the first record, nor where it was removed.
    pub stored: bool,
    /// The head that an append with a lost answer would have made.
    pub doubt: Option<Link>,
}

impl Known {
    pub(super) fn of(head: Option<&Head>) -> Self {
        let link = head.as_ref().map_or_else(Link::beginning, |head| head.link.clone());
        let time = head.as_ref().map_or(Timestamp::from_millis(0), |head| head.time);
        Self { logged: link.sequence, link, time, stored: head.is_some(), doubt: None }
    }
}

impl Trail {
    /// Writes a group; records of it that are found to be there already are taken out of it.
    pub(super) async fn append(
        &self,
        vault: &Vault,
        tenant: &TenantId,
        group: &mut Vec<Pending>,
    ) -> Result<(), VaultError> {
        let keys = vault.keys_of(tenant).await?;
        let key = keys.first().ok_or_else(|| no_key(tenant))?;
        let trails = Trails { tenant, instance: &self.instance };
        let mut known = match self.known(tenant) {
            Some(known) if known.doubt.is_none() => known,
            before => self.look(vault, &trails, before, group).await?,
        };
        for _ in 0..TRIES {
            if group.is_empty() {
                return Ok(());
            }
            let (batch, last) = self.batch(&trails, key, &known, group, vault.clock.now());
            // Where this ends in the middle, whoever goes on with it knows of both.
            self.doubt(tenant, &last.link);
            mark(group, true);
            let outcome = vault.store.apply(batch).await;
            mark(group, false);
            match outcome {
                Ok(Outcome::Applied(_)) => {
                    self.know(tenant, last);
                    return Ok(());
                }
                Ok(Outcome::Refused(0, _)) => return Err(VaultError::TenantGone(tenant.to_string())),
                Ok(Outcome::Refused(..)) => {
                    known = self.look(vault, &trails, Some(known), group).await?;
                }
                Err(StoreError::OutcomeUnknown(why)) => {
                    for record in group.iter_mut() {
                        record.doubtful = true;
                    }
                    known.doubt = Some(last.link);
                    self.look(vault, &trails, Some(known), group).await?;
                    let unknown = StoreError::OutcomeUnknown(why);
                    return if group.is_empty() { Ok(()) } else { Err(unknown.into()) };
                }
                Err(error) => {
                    self.know(tenant, known);
                    return Err(error.into());
                }
            }
        }
        Err(StoreError::Unavailable("others write this audit trail all the time".to_owned()).into())
    }

    /// Where the trail stands by the store. A head that is neither the one known nor the one in doubt is somebody else's.
    async fn look(
        &self,
        vault: &Vault,
        trails: &Trails<'_>,
        before: Option<Known>,
        group: &mut Vec<Pending>,
    ) -> Result<Known, VaultError> {
        let key = trails.head_key();
        let record = vault.store.get(&key).await?;
        let head = record.map(|record| Head::read(&key, &record)).transpose()?;
        let mut found = Known::of(head.as_ref());
        let doubt = before.as_ref().and_then(|before| before.doubt.clone());
        if doubt.as_ref().is_some_and(|link| *link == found.link) {
            self.landed(group.extract_if(.., |record| record.doubtful));
        } else if let Some(before) = before {
            found.doubt = doubt;
            if before.link == found.link {
                self.know(trails.tenant, found.clone());
                return Ok(found);
            }
            let due = self.retention.is_some_and(|kept| before.time.plus(kept) <= vault.clock.now());
            if found.stored || !due {
                broken(trails, &before.link, &found.link);
            }
            if !found.stored {
                // Taken away, by age or by somebody: the chain goes on where this process knows that it was.
                found = Known { stored: false, ..before };
            }
        }
        self.know(trails.tenant, found.clone());
        Ok(found)
    }

    fn batch(
        &self,
        trails: &Trails<'_>,
        key: &crate::vault::envelope::DataKey,
        known: &Known,
        group: &[Pending],
        now: Timestamp,
    ) -> (Batch, Known) {
        let head = trails.head_key();
        let unchanged = if known.stored {
            Guard::Equals(head.clone(), "mac".to_owned(), known.link.mac.as_bytes().to_vec())
        } else {
            Guard::Absent(head.clone())
        };
        let stream = trails.stream();
        let mut batch = Batch::new().when(Guard::Present(keys::tenant(trails.tenant))).when(unchanged);
        let (mut link, mut time) = (known.link.clone(), known.time);
        for record in group {
            let entry = trails.next(&link, key, record.event.clone());
            (link, time) = (entry.link.clone(), time.max(record.at));
            batch.writes.push(Write::Append { stream: stream.clone(), fields: entry.fields() });
        }
        let mut fields = Head::fields(&link, time);
        if !known.stored {
            let index = keys::audit_instances(trails.tenant);
            batch = batch.then(Write::IndexAdd { index, member: trails.instance.to_string() });
            if known.link.sequence > 0 {
                let kept = self.retention.unwrap_or(Duration::from_millis(u64::MAX));
                let went = (known.link.clone(), known.time);
                fields = Checkpoint::new(trails, key, went, (now, kept)).fields(fields);
            }
        }
        let batch = batch.then(Write::Set { key: head, fields: fields.done() });
        (batch, Known { link, time, logged: known.logged, stored: true, doubt: None })
    }
}

fn mark(group: &mut [Pending], under_way: bool) {
    for record in group {
        record.under_way = under_way;
    }
}

fn no_key(tenant: &TenantId) -> VaultError {
    let record = keys::tenant(tenant).name().to_owned();
    VaultError::Corrupt { record, field: "data_key".to_owned(), what: "is missing" }
}

/// Somebody changed the store, or another process writes as this instance: an operator has to look.
fn broken(trails: &Trails<'_>, ours: &Link, found: &Link) {
    tracing::error!(
        tenant = %trails.tenant,
        instance = %trails.instance,
        ours = ours.sequence,
        found = found.sequence,
        "an audit trail does not stand where this process left it: was the store changed, or does another server use a copy \
         of this one's data folder? `grantkeep audit verify` says what is wrong"
    );
    metrics::alarm(metrics::Alarm::AuditBroken);
}
