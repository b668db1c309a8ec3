//! The store: records that are hashes, indexes that are sorted sets, streams that grow at their end, and batches that happen
//! whole or not at all.
//!
//! The atomicity said here is part of the contract; one suite runs it on every adapter. The store is not trusted with
//! plaintext: what is secret arrives here sealed.
//!
//! Every write of a record raises its field `rev` by one (the first write makes it 1); callers never set `rev`.

use crate::domain::{TenantId, Timestamp};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;

/// The name of a record or an index, and the partition in which a batch over it is atomic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    name: String,
    tag: std::ops::Range<usize>,
}

impl Key {
    /// `gk:{<tenant>}:<rest>`: all keys of a tenant share its partition.
    pub fn of_tenant(tenant: &TenantId, rest: &str) -> Self {
        // Hand-outs make several: without the machinery of `format!`.
        let name = ["gk:{", tenant.as_str(), "}:", rest].concat();
        Self { name, tag: 4..4 + tenant.as_str().len() }
    }

    /// `gk:<kind>:{<tag>}`: a partition of its own.
    pub fn alone(kind: &str, tag: &str) -> Self {
        let start = 3 + kind.len() + 2;
        Self { name: format!("gk:{kind}:{{{tag}}}"), tag: start..start + tag.len() }
    }

    /// `gk:<kind>:<shard>`: an index over tenants, a partition of its own.
    pub fn of_shard(kind: &str, shard: u16) -> Self {
        let name = format!("gk:{kind}:{shard}");
        Self { tag: 0..name.len(), name }
    }

    /// `gk:{<kind>-<shard>}:<rest>`: records and their index in one of several partitions of a kind.
    pub fn in_shard(kind: &str, shard: u16, rest: &str) -> Self {
        let tag = format!("{kind}-{shard}");
        Self { name: format!("gk:{{{tag}}}:{rest}"), tag: 4..4 + tag.len() }
    }

    /// The whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a cluster hashes: keys with the same partition lie in the same slot.
    pub fn partition(&self) -> &str {
        self.name.get(self.tag.clone()).unwrap_or(&self.name)
    }
}

/// A record as it was read: field names and bytes, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Vec<(String, Vec<u8>)>);

impl Record {
    /// From pairs as a store gives them.
    pub fn new(fields: Vec<(String, Vec<u8>)>) -> Self {
        Self(fields)
    }

    /// The bytes of a field.
    pub fn get(&self, field: &str) -> Option<&[u8]> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_slice())
    }

    /// The field as text; none where it is absent or not UTF-8.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The field as a number.
    pub fn number<T: std::str::FromStr>(&self, field: &str) -> Option<T> {
        self.text(field).and_then(|text| text.parse().ok())
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The revision the store keeps; 0 where the record has none.
    pub fn rev(&self) -> u64 {
        self.number("rev").unwrap_or(0)
    }
}

/// Where an entry stands in its stream: the store's clock in milliseconds, and a number among those of one millisecond. Each
/// entry's is higher than that of every entry before it, also where the clock went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since 1970.
    pub millis: u64,
    /// From 0.
    pub number: u64,
}

impl EntryId {
    /// Before every entry.
    pub const FIRST: Self = Self { millis: 0, number: 0 };
    /// After every entry.
    pub const LAST: Self = Self { millis: u64::MAX, number: u64::MAX };

    /// Reads `<milliseconds>-<number>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (millis, number) = text.split_once('-')?;
        Some(Self { millis: millis.parse().ok()?, number: number.parse().ok()? })
    }

    /// The lowest place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self { millis: self.millis.saturating_add(1), number: 0 },
        }
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

/// Which way a stream is read, and from where; the place named is not among what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The oldest first, after that place or from the beginning.
    Up(Option<EntryId>),
    /// The newest first, before that place or from the end.
    Down(Option<EntryId>),
}

/// What is written into a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The store's own clock plus this span, in milliseconds since 1970 as a decimal number.
    Now(Duration),
}

impl<T: Into<Vec<u8>>> From<T> for Value {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// What must hold for a batch to happen. Guards look at records, never at indexes or streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// There is no such record.
    Absent(Key),
    /// There is such a record.
    Present(Key),
    /// The record has this revision.
    Rev(Key, u64),
    /// The record is there and the field has exactly these bytes.
    Equals(Key, String, Vec<u8>),
    /// The field is absent (or the whole record is).
    Missing(Key, String),
    /// The field is a time in milliseconds that is not after the store's own clock. Refused where it is absent.
    Passed(Key, String),
}

/// One change of a batch. They are made in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum Write {
    /// Makes the record exactly these fields (and `rev`), and lets it live that long where a time is given.
    Put { key: Key, fields: Vec<(String, Value)>, lives: Option<Duration> },
    /// Sets these fields and leaves the others and the record's life as they are; makes the record where there is none.
    Set { key: Key, fields: Vec<(String, Value)> },
    /// Removes these fields and leaves the others.
    Unset { key: Key, fields: Vec<String> },
    /// Removes the record, index or stream; nothing where there is none.
    Delete { key: Key },
    /// Adds a member to an index; nothing where it is in it.
    IndexAdd { index: Key, member: String },
    /// Removes a member from an index; nothing where it is not in it.
    IndexRemove { index: Key, member: String },
    /// Adds an entry to the end of a stream: one field at least, [`MOST_FIELDS`] at most.
    Append { stream: Key, fields: Vec<(String, Value)> },
    /// Removes the entries of a stream that stand before that place.
    Trim { stream: Key, before: EntryId },
    /// Tells whoever listens that something about this key has changed. It changes nothing itself.
    Tell { key: Key },
}

/// Fields that one entry of a stream may have.
pub const MOST_FIELDS: usize = 1000;

impl Guard {
    /// The key it looks at.
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key)
            | Self::Present(key)
            | Self::Rev(key, _)
            | Self::Equals(key, ..)
            | Self::Missing(key, _)
            | Self::Passed(key, _) => key,
        }
    }
}

impl Write {
    /// The key it changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. }
            | Self::Set { key, .. }
            | Self::Unset { key, .. }
            | Self::Delete { key }
            | Self::Tell { key } => key,
            Self::IndexAdd { index, .. } | Self::IndexRemove { index, .. } => index,
            Self::Append { stream, .. } | Self::Trim { stream, .. } => stream,
        }
    }
}

/// Changes that happen together or not at all, under guards, within one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All of them must hold.
    pub guards: Vec<Guard>,
    /// Made in order when they do.
    pub writes: Vec<Write>,
}

impl Batch {
    /// A batch that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a guard.
    #[must_use]
    pub fn when(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Adds a change.
    #[must_use]
    pub fn then(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// The keys it touches, in order, with doubles.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.guards.iter().map(Guard::key).chain(self.writes.iter().map(Write::key))
    }

    /// Refuses what no store may be asked; every adapter calls this first.
    pub fn check(&self) -> Result<(), StoreError> {
        self.check_partition()?;
        let sized = |write: &Write| match write {
            Write::Append { fields, .. } => (1..=MOST_FIELDS).contains(&fields.len()),
            _ => true,
        };
        if self.writes.iter().all(sized) {
            return Ok(());
        }
        Err(StoreError::Broken(format!("an entry of a stream has 1 to {MOST_FIELDS} fields")))
    }

    /// Refuses a batch over two partitions, as Redis Cluster would.
    pub fn check_partition(&self) -> Result<(), StoreError> {
        let mut partitions = self.keys().map(Key::partition);
        let Some(first) = partitions.next() else { return Ok(()) };
        match partitions.find(|partition| *partition != first) {
            None => Ok(()),
            Some(other) => Err(StoreError::MixedPartitions(first.to_owned(), other.to_owned())),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it happened, at this time of the store's clock.
    Applied(Timestamp),
    /// Nothing happened: the guard of this number (from 0) did not hold, at this time of the store's clock.
    Refused(usize, Timestamp),
}

impl Outcome {
    /// True when the batch happened.
    pub fn applied(self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

/// Why the store gave no answer. Details are for the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// It could not be asked: nothing happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It was asked to change something and the answer was lost: it may have happened.
    #[error("the store's answer was lost: {0}")]
    OutcomeUnknown(String),
    /// It answered something that the contract does not allow, or refused the command.
    #[error("the store answered against its contract: {0}")]
    Broken(String),
    /// A fault of ours: a batch over two partitions.
    #[error("a batch touches two partitions, `{0}` and `{1}`")]
    MixedPartitions(String, String),
}

/// What a store tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something about the key of this name has changed.
    Changed(Arc<str>),
    /// Something may have been missed: look at whatever you wait for.
    Missed,
}

/// The store port.
#[async_trait]
pub trait Store: Send + Sync {
    /// The records of these names, in their order, in one round trip. They may lie in several partitions, and are then not
    /// read at one moment. A record past its life is absent.
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError>;

    /// The record of that name.
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        Ok(self.get_many(&[key]).await?.pop().flatten())
    }

    /// Reads and removes in one step: of many callers at once, one gets it.
    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError>;

    /// Members of an index that begin with `prefix` and come after `after`, in the order of their bytes, `limit` at most.
    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// Entries of a stream, `limit` at most, in one round trip.
    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError>;

    /// Does a batch, whole or not at all, durably when it returns.
    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError>;

    /// What batches tell, from now on, as long as `runtime` runs. None where the store tells nobody: then whoever waits has to
    /// look again and again.
    ///
    /// A notice is a hint: it may come late, twice or not at all, and a batch that happened may have told before its caller
    /// heard of it. One that was refused tells nothing.
    fn listen(&self, _runtime: &Handle) -> Option<Receiver<Notice>> {
        None
    }

    /// The number of the unbroken time, up to now, in which this process has heard at once of whatever a batch told. None
    /// while that is not so, and where nobody listens. Whoever keeps something until it is told of a change may go by it:
    /// while the number is the same, nothing was missed. A store that is this process's alone has one such time.
    fn hearing(&self) -> Option<u64> {
        None
    }

    /// Answers when the store can read and write.
    async fn ping(&self) -> Result<(), StoreError>;
}
