//! A store that is nothing but maps. It keeps the contract of the store port like every other, is what the others are compared
//! with, and is the store of the model of refreshes: a copy of it is a copy of all that is kept.

use async_trait::async_trait;
use grantkeep::domain::Timestamp;
use grantkeep::ports::Clock;
use grantkeep::ports::store::{
    Batch, EntryId, Guard, Key, Notice, Outcome, Record, Store, StoreError, Value, Walk, Write,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// What a record holds beside its revision.
pub type Fields = BTreeMap<String, Vec<u8>>;
/// What an entry of a stream holds, in its order.
pub type Entry = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug, Default)]
struct Row {
    rev: u64,
    fields: Fields,
    expires_at: Option<Timestamp>,
}

/// All that is kept, by the names of keys.
#[derive(Clone, Default)]
pub struct Maps {
    records: BTreeMap<String, Row>,
    indexes: BTreeMap<String, BTreeSet<String>>,
    streams: BTreeMap<String, Stream>,
}

#[derive(Clone, Default)]
struct Stream {
    entries: BTreeMap<EntryId, Entry>,
    last: Option<EntryId>,
}

impl Maps {
    /// A record's fields, `rev` among them.
    pub fn record(&self, key: &Key, now: Timestamp) -> Option<Fields> {
        let row = self.row(key.name(), now)?;
        let rev = ("rev".to_owned(), row.rev.to_string().into_bytes());
        Some(row.fields.clone().into_iter().chain([rev]).collect())
    }

    /// The same, and it is gone.
    pub fn take(&mut self, key: &Key, now: Timestamp) -> Option<Fields> {
        let found = self.record(key, now);
        self.records.remove(key.name());
        found
    }

    /// The members of an index, in their order.
    pub fn members(&self, index: &Key) -> Vec<String> {
        self.indexes.get(index.name()).into_iter().flatten().cloned().collect()
    }

    /// The entries of a stream, the oldest first.
    pub fn stream(&self, stream: &Key) -> Vec<(EntryId, Entry)> {
        let found = self.streams.get(stream.name());
        found.into_iter().flat_map(|stream| stream.entries.clone()).collect()
    }

    /// Does a batch at that time of the store's clock.
    pub fn apply(&mut self, batch: &Batch, now: Timestamp) -> Outcome {
        if let Some(guard) = batch.guards.iter().position(|guard| !self.holds(guard, now)) {
            return Outcome::Refused(guard, now);
        }
        batch.writes.iter().for_each(|write| self.write(write, now));
        Outcome::Applied(now)
    }

    fn row(&self, name: &str, now: Timestamp) -> Option<&Row> {
        self.records.get(name).filter(|row| row.expires_at.is_none_or(|end| end > now))
    }

    fn holds(&self, guard: &Guard, now: Timestamp) -> bool {
        let record = self.record(guard.key(), now);
        let field = |name: &String| record.as_ref().and_then(|fields| fields.get(name));
        match guard {
            Guard::Absent(_) => record.is_none(),
            Guard::Present(_) => record.is_some(),
            Guard::Rev(_, rev) => field(&"rev".to_owned()) == Some(&rev.to_string().into_bytes()),
            Guard::Equals(_, name, value) => field(name) == Some(value),
            Guard::Missing(_, name) => field(name).is_none(),
            Guard::Passed(_, name) => {
                let text = field(name).and_then(|value| std::str::from_utf8(value).ok());
                let plain = |text: &&str| text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
                let time = text.filter(plain).and_then(|text| text.parse().ok());
                time.is_some_and(|time: u64| u64::try_from(now.as_millis()).is_ok_and(|now| time <= now))
            }
        }
    }

    fn write(&mut self, write: &Write, now: Timestamp) {
        let name = write.key().name().to_owned();
        if self.row(&name, now).is_none() {
            self.records.remove(&name);
        }
        match write {
            Write::Put { fields, lives, .. } => {
                let rev = self.records.get(&name).map_or(0, |row| row.rev) + 1;
                let expires_at = lives.map(|lives| now.plus(lives));
                self.records.insert(name, Row { rev, fields: settled(fields, now).collect(), expires_at });
            }
            Write::Set { fields, .. } => {
                let row = self.records.entry(name).or_default();
                row.rev += 1;
                row.fields.extend(settled(fields, now));
            }
            Write::Unset { fields, .. } => {
                if let Some(row) = self.records.get_mut(&name) {
                    row.rev += 1;
                    row.fields.retain(|field, _| !fields.contains(field));
                }
            }
            Write::Delete { .. } => {
                self.records.remove(&name);
                self.indexes.remove(&name);
                self.streams.remove(&name);
            }
            Write::IndexAdd { member, .. } => {
                self.indexes.entry(name).or_default().insert(member.clone());
            }
            Write::IndexRemove { member, .. } => {
                self.indexes.entry(name).or_default().remove(member);
            }
            Write::Append { fields, .. } => {
                self.streams.entry(name).or_default().append(entry(fields, now), now);
            }
            Write::Trim { before, .. } => {
                let stream = self.streams.entry(name).or_default();
                stream.entries = stream.entries.split_off(before);
            }
            Write::Tell { .. } => {}
        }
    }
}

impl Stream {
    fn append(&mut self, entry: Entry, now: Timestamp) {
        let here = EntryId { millis: u64::try_from(now.as_millis()).unwrap_or(0), number: 0 };
        let id = self.last.map_or(here, |last| here.max(last.next()));
        self.entries.insert(id, entry);
        self.last = Some(id);
    }
}

fn entry(fields: &[(String, Value)], now: Timestamp) -> Entry {
    let bytes = |value: &Value| match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Now(span) => now.plus(*span).as_millis().to_string().into_bytes(),
    };
    fields.iter().map(|(name, value)| (name.clone(), bytes(value))).collect()
}

/// What callers set of a record: never its revision.
fn settled(fields: &[(String, Value)], now: Timestamp) -> impl Iterator<Item = (String, Vec<u8>)> {
    entry(fields, now).into_iter().filter(|(name, _)| name != "rev")
}

/// The store port on maps. Nothing in it waits.
pub struct MapStore {
    maps: Mutex<Maps>,
    clock: Arc<dyn Clock>,
    told: Sender<Notice>,
}

impl MapStore {
    /// A store that begins with what was kept in another, by that clock.
    pub fn new(maps: Maps, clock: Arc<dyn Clock>) -> Self {
        Self { maps: Mutex::new(maps), clock, told: broadcast::channel(1024).0 }
    }

    /// A copy of all that is kept.
    pub fn copy(&self) -> Maps {
        self.maps.lock().unwrap().clone()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Maps, Timestamp) -> T) -> T {
        let now = self.clock.now();
        work(&mut self.maps.lock().unwrap(), now)
    }
}

#[async_trait]
impl Store for MapStore {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        let record = |fields: Fields| Record::new(fields.into_iter().collect());
        Ok(self.with(|maps, now| keys.iter().map(|key| maps.record(key, now).map(record)).collect()))
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        Ok(self.with(|maps, now| maps.take(key, now)).map(|fields| Record::new(fields.into_iter().collect())))
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut members = self.with(|maps, _| maps.members(index));
        members
            .retain(|member| member.starts_with(prefix) && after.is_none_or(|after| member.as_str() > after));
        members.truncate(limit);
        Ok(members)
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        let mut entries = self.with(|maps, _| maps.stream(stream));
        match walk {
            Walk::Up(after) => entries.retain(|(id, _)| after.is_none_or(|after| *id > after)),
            Walk::Down(before) => {
                entries.retain(|(id, _)| before.is_none_or(|before| *id < before));
                entries.reverse();
            }
        }
        Ok(entries.into_iter().take(limit).map(|(id, entry)| (id, Record::new(entry))).collect())
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        batch.check()?;
        let outcome = self.with(|maps, now| maps.apply(&batch, now));
        for write in batch.writes.iter().filter(|_| outcome.applied()) {
            if let Write::Tell { key } = write {
                // Nobody may be listening.
                drop(self.told.send(Notice::Changed(key.name().into())));
            }
        }
        Ok(outcome)
    }

    fn listen(&self, _runtime: &Handle) -> Option<Receiver<Notice>> {
        let told = self.told.subscribe();
        drop(self.told.send(Notice::Missed));
        Some(told)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
