//! A store under test, and short words for what the cases say often.

use crate::support::maps::{MapStore, Maps};
use crate::support::redis::RedisServer;
use crate::support::redis_forms;
use grantkeep::adapters::embedded::EmbeddedStore;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::domain::{Id, TenantId, Timestamp};
use grantkeep::ports::Clock;
use grantkeep::ports::store::{Batch, EntryId, Guard, Key, Outcome, Record, Store, Value, Write};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands still until it is moved.
pub struct StillClock(AtomicI64);

impl StillClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000)))
    }

    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
}

/// A store with a partition of its own in it.
pub struct Bench {
    pub store: Arc<dyn Store>,
    tenant: TenantId,
    clock: Option<Arc<StillClock>>,
    _kept: Box<dyn Any + Send + Sync>,
}

/// A tenant that no other case uses.
pub fn new_tenant() -> TenantId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    TenantId::parse(&format!("{:022}", NEXT.fetch_add(1, Ordering::SeqCst))).unwrap()
}

impl Bench {
    pub fn maps() -> Self {
        let clock = StillClock::new();
        let store = MapStore::new(Maps::default(), clock.clone());
        Self { store: Arc::new(store), tenant: new_tenant(), clock: Some(clock), _kept: Box::new(()) }
    }

    pub fn embedded() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
        let store = EmbeddedStore::open(folder.path(), clock.clone()).unwrap();
        Self { store: Arc::new(store), tenant: new_tenant(), clock: Some(clock), _kept: Box::new(folder) }
    }

    pub fn redis() -> Self {
        let server = RedisServer::shared();
        let store = RedisStore::connect(&server.url(), RedisOptions::default()).unwrap();
        Self { store: Arc::new(store), tenant: new_tenant(), clock: None, _kept: Box::new(server) }
    }

    /// Redis in another form than one server without any ado.
    pub fn redis_form(form: &str) -> Self {
        let reached = redis_forms::shared(form);
        let store = Arc::new(reached.store());
        Self { store, tenant: new_tenant(), clock: None, _kept: Box::new(reached) }
    }

    pub fn key(&self, rest: &str) -> Key {
        Key::of_tenant(&self.tenant, rest)
    }

    /// Lets that much of the store's time go by.
    pub async fn pass(&self, span: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(span),
            // Redis has no other clock than the real one: here time itself is what is waited for, and then the millisecond in
            // which it is over.
            None => tokio::time::sleep(span + Duration::from_millis(2)).await,
        }
    }

    pub async fn apply(&self, batch: Batch) -> Outcome {
        self.store.apply(batch).await.unwrap()
    }

    /// Applies one write.
    pub async fn write(&self, write: Write) -> Timestamp {
        applied(self.apply(Batch::new().then(write)).await)
    }

    pub async fn get(&self, key: &Key) -> Option<Record> {
        self.store.get(key).await.unwrap()
    }

    /// The fields of a record that must be there, `rev` among them.
    pub async fn fields(&self, key: &Key) -> BTreeMap<String, Vec<u8>> {
        fields_of(&self.get(key).await.unwrap_or_else(|| panic!("no record {}", key.name())))
    }

    pub async fn rev(&self, key: &Key) -> u64 {
        self.get(key).await.unwrap_or_else(|| panic!("no record {}", key.name())).rev()
    }

    pub async fn scan(&self, index: &Key, prefix: &str) -> Vec<String> {
        self.store.scan(index, prefix, None, 1000).await.unwrap()
    }

    /// True when a batch with this guard happens.
    pub async fn holds(&self, guard: Guard) -> bool {
        let probe = self.key("probe");
        self.apply(Batch::new().when(guard).then(set(&probe, &[("x", "1")]))).await.applied()
    }
}

pub fn fields_of(record: &Record) -> BTreeMap<String, Vec<u8>> {
    let fields: BTreeMap<_, _> = record.fields().map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
    assert_eq!(fields.len(), record.fields().count(), "a field stands twice: {record:?}");
    fields
}

/// The time of a batch that must have happened.
pub fn applied(outcome: Outcome) -> Timestamp {
    match outcome {
        Outcome::Applied(at) => at,
        Outcome::Refused(guard, _) => panic!("guard {guard} did not hold"),
    }
}

/// The number of the guard that must have stopped a batch.
pub fn refused(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Refused(guard, _) => guard,
        Outcome::Applied(_) => panic!("the batch happened"),
    }
}

pub fn values(fields: &[(&str, &str)]) -> Vec<(String, Value)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
}

pub fn put(key: &Key, fields: &[(&str, &str)]) -> Write {
    Write::Put { key: key.clone(), fields: values(fields), lives: None }
}

pub fn put_for(key: &Key, fields: &[(&str, &str)], lives: Duration) -> Write {
    Write::Put { key: key.clone(), fields: values(fields), lives: Some(lives) }
}

pub fn set(key: &Key, fields: &[(&str, &str)]) -> Write {
    Write::Set { key: key.clone(), fields: values(fields) }
}

pub fn unset(key: &Key, fields: &[&str]) -> Write {
    Write::Unset { key: key.clone(), fields: fields.iter().map(|f| (*f).to_owned()).collect() }
}

pub fn delete(key: &Key) -> Write {
    Write::Delete { key: key.clone() }
}

pub fn add(index: &Key, member: &str) -> Write {
    Write::IndexAdd { index: index.clone(), member: member.to_owned() }
}

pub fn remove(index: &Key, member: &str) -> Write {
    Write::IndexRemove { index: index.clone(), member: member.to_owned() }
}

pub fn append(stream: &Key, fields: &[(&str, &str)]) -> Write {
    Write::Append { stream: stream.clone(), fields: values(fields) }
}

pub fn trim(stream: &Key, before: EntryId) -> Write {
    Write::Trim { stream: stream.clone(), before }
}

/// What [`Bench::fields`] of such a record gives.
pub fn expect(rev: u64, fields: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let rev = ("rev".to_owned(), rev.to_string().into_bytes());
    fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).chain([rev]).collect()
}
