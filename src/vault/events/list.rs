//! Reading a tenant's events, the oldest first: a reader goes on after the last one it has seen.

use super::Events;
use crate::domain::{EventKind, Timestamp};
use crate::ports::store::{EntryId, Record, Walk};
use crate::vault::{VaultError, keys};
use std::collections::BTreeMap;

/// Which events a list shows.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this kind only.
    pub kind: Option<EventKind>,
    /// Whose `about` has these.
    pub about: Vec<(&'static str, String)>,
}

/// An event as it lies in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its id, `<milliseconds>-<number>`; higher than those of all events before it.
    pub id: String,
    /// When, by the store's clock.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// To what, and further words, by name.
    pub about: BTreeMap<String, String>,
}

impl EventRecord {
    fn read(id: EntryId, record: &Record) -> Option<Self> {
        let time = Timestamp::from_millis(i64::try_from(id.millis).ok()?);
        let kind = EventKind::parse(record.text("type")?)?;
        let about = serde_json::from_str(record.text("about")?).ok()?;
        Some(Self { id: id.to_string(), time, kind, about })
    }
}

impl Events<'_> {
    /// Events that pass a filter, the oldest first, after that id, `limit` looked at; and where to go on, where there may be
    /// more. None where the id is none.
    pub async fn list(
        &self,
        filter: &EventFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<(Vec<EventRecord>, Option<String>)>, VaultError> {
        let after = match after.map(EntryId::parse) {
            Some(None) => return Ok(None),
            after => after.flatten(),
        };
        let stream = keys::events(self.by.tenant());
        let entries = self.vault.store.entries(&stream, Walk::Up(after), limit).await?;
        let next = entries.last().filter(|_| entries.len() == limit).map(|(id, _)| id.to_string());
        let read = entries.iter().filter_map(|(id, record)| {
            let event = EventRecord::read(*id, record);
            if event.is_none() {
                // One that is spoilt, or of a later version, must not hide the others.
                tracing::error!(stream = stream.name(), entry = %id, "an event cannot be read");
            }
            event
        });
        let passes = |event: &EventRecord| {
            filter.kind.is_none_or(|kind| kind == event.kind)
                && filter.about.iter().all(|(name, what)| event.about.get(*name) == Some(what))
        };
        Ok(Some((read.filter(passes).collect(), next)))
    }
}
