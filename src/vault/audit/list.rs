//! Reading a tenant's trail: all instances together, the newest first.
//!
//! The order is that of the places in the streams, which the store gives and which only grow; the clocks of instances may run
//! apart. A position is a place and an instance, so neither new records nor a trim move it.

use super::Audit;
use super::chain::Trails;
use super::event::{AuditRecord, Entry};
use crate::domain::{Id, InstanceId, Timestamp};
use crate::ports::store::{EntryId, Walk};
use crate::telemetry::metrics;
use crate::vault::VaultError;
use std::time::Duration;

/// How far the clock of an instance and that of the store may be apart.
const APART: Duration = Duration::from_hours(1);

/// Which records a list shows.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this action only.
    pub action: Option<String>,
    /// With this outcome only.
    pub outcome: Option<String>,
    /// Whose `about` has these.
    pub about: Vec<(&'static str, String)>,
    /// Of this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    fn passes(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, what: &str| wanted.as_ref().is_none_or(|wanted| wanted == what);
        is(&self.action, &record.action)
            && is(&self.outcome, &record.outcome)
            && self.about.iter().all(|(name, what)| record.about.get(*name) == Some(what))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }
}

/// A place among those of all instances.
type Place = (EntryId, InstanceId);

fn parse(position: &str) -> Option<Place> {
    let (id, instance) = position.split_once(':')?;
    Some((EntryId::parse(id)?, InstanceId::parse(instance)?))
}

impl Audit<'_> {
    /// Records that pass a filter, the newest first, after that position, `limit` looked at; and where to go on. None where the
    /// position is none that was ever given.
    pub async fn list(
        &self,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<(Vec<AuditRecord>, Option<String>)>, VaultError> {
        let after = match after.map(parse) {
            Some(None) => return Ok(None),
            after => after.flatten(),
        };
        let mut found: Vec<(Place, Option<AuditRecord>)> = Vec::new();
        let mut more = false;
        for instance in self.vault.audit_instances(self.by.tenant()).await? {
            let page = self.before(&instance, after.as_ref(), limit).await?;
            more |= page.len() == limit;
            found.extend(page);
        }
        found.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        more |= found.len() > limit;
        found.truncate(limit);
        let past = |(id, _): &Place| {
            let at = Timestamp::from_millis(i64::try_from(id.millis).unwrap_or(i64::MAX));
            filter.since.is_some_and(|since| at.plus(APART) < since)
        };
        let last = found.last().map(|(place, _)| place).filter(|place| more && !past(place));
        let next = last.map(|(id, instance)| format!("{id}:{instance}"));
        let records = found.into_iter().filter_map(|(_, record)| record);
        Ok(Some((records.filter(|record| filter.passes(record)).collect(), next)))
    }

    /// The records of one instance that come after a place, which is to say: are older.
    async fn before(
        &self,
        instance: &InstanceId,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Option<AuditRecord>)>, VaultError> {
        let stream = Trails { tenant: self.by.tenant(), instance }.stream();
        // In one place two instances follow each other by their ids.
        let before = after.map(|(id, other)| if instance < other { id.next() } else { *id });
        let entries = self.vault.store.entries(&stream, Walk::Down(before), limit).await?;
        let read = entries.into_iter().map(|(id, record)| {
            let event = Entry::read(&record).and_then(|entry| Some((entry.link.sequence, entry.event()?)));
            if event.is_none() {
                // One that was spoilt must not hide the others.
                tracing::error!(stream = stream.name(), entry = %id, "an audit record cannot be read");
                metrics::alarm(metrics::Alarm::AuditBroken);
            }
            (
                (id, instance.clone()),
                event.map(|(sequence, event)| AuditRecord::of(instance, sequence, event)),
            )
        });
        Ok(read.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_strictly() {
        let id = "0123456789abcdef";
        let place = (EntryId { millis: 5, number: 7 }, InstanceId::parse(id).unwrap());
        assert_eq!(parse(&format!("5-7:{id}")), Some(place));
        for bad in ["", "5-7", "5:0123456789abcdef", "5-7:x", &format!("-1-7:{id}"), &format!("5-7:{id}0")] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
