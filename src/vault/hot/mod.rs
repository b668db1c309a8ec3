//! What hand-outs read all the time, kept for a moment in this process: API keys, connections and integrations, their secrets
//! as sealed as in the store.
//!
//! What is kept counts only while the store is heard (`Store::hearing`) and for a short life, which is the backstop for what
//! nobody told. Every write of such a record goes through [`Hot`], which makes the store tell of it, and forgets it here
//! before the write goes out and again when it is answered. A reader that was overtaken by that keeps nothing: each name has
//! a mark that grows when it is forgotten.
//!
//! While the store cannot be reached, what was read a little longer ago will do (`stale_if_down`), and says so.

mod down;

use super::connections::Connection;
use super::{ApiKey, VaultError, api_keys, connections, keys};
use crate::ports::Clock;
use crate::ports::store::{Batch, EntryId, Key, Notice, Outcome, Record, Store, StoreError, Walk, Write};
use crate::telemetry::metrics;
use async_trait::async_trait;
use down::Down;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;

/// Names share marks: one that is forgotten costs its neighbours a read at most.
const MARKS: u64 = 1024;
/// About what one entry has, to lay out the cache.
const ENTRY: u64 = 1536;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, Default)]
pub struct HotOptions {
    /// The longest that something counts without being read again; zero keeps nothing.
    pub ttl: Duration,
    /// The longest that it counts while the store cannot be reached.
    pub stale_if_down: Duration,
    /// Bytes, about.
    pub memory: u64,
}

/// One of the records that are asked for together.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub key: &'a Key,
    /// What is kept of it will not do.
    pub anew: bool,
}

impl<'a> From<&'a Key> for Wanted<'a> {
    fn from(key: &'a Key) -> Self {
        Self { key, anew: false }
    }
}

/// Records that were asked for together.
pub(super) struct Recalled<const N: usize> {
    /// Those that are there.
    pub found: [Option<Kept>; N],
    /// The store could not be asked, and this is what was known.
    pub stale: bool,
}

/// A record that is kept, read into its type.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    ApiKey(Arc<ApiKey>),
    Connection(Arc<Connection>),
    /// That it is there.
    Integration,
}

impl Kept {
    /// Reads a record by what its name says it is.
    fn read(key: &Key, record: &Record) -> Result<Option<Self>, VaultError> {
        Ok(match keys::hot_kind(key.name()) {
            Some(keys::HotKind::ApiKey) => Some(Self::ApiKey(Arc::new(api_keys::read(key, record)?))),
            Some(keys::HotKind::Connection) => {
                Some(Self::Connection(Arc::new(connections::read(key, record)?)))
            }
            Some(keys::HotKind::Integration) => Some(Self::Integration),
            None => None,
        })
    }

    pub fn api_key(self) -> Option<Arc<ApiKey>> {
        if let Self::ApiKey(key) = self { Some(key) } else { None }
    }

    pub fn connection(self) -> Option<Arc<Connection>> {
        if let Self::Connection(connection) = self { Some(connection) } else { None }
    }
}

#[derive(Clone)]
struct Entry {
    kept: Kept,
    /// In which time of hearing it was read.
    hearing: u64,
    /// Before it was asked for, in monotonic time.
    asked_at: Duration,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Entry> for Weight {
    fn weight(&self, name: &Box<str>, entry: &Entry) -> u64 {
        let inside = match &entry.kept {
            Kept::ApiKey(_) => 512,
            Kept::Connection(connection) => 1024 + connection.sealed.size(),
            Kept::Integration => 0,
        };
        u64::try_from(128 + name.len() + inside).unwrap_or(u64::MAX)
    }
}

/// What was so when a reader began to ask for something.
#[derive(Clone, Copy)]
struct Asked {
    mark: u64,
    hearing: u64,
    at: Duration,
}

/// A store, and what is kept of it.
pub(super) struct Hot {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    stale_if_down: Duration,
    down: Down,
    entries: Cache<Box<str>, Entry, Weight>,
    hashes: RandomState,
    marks: Vec<AtomicU64>,
}

impl Hot {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: HotOptions) -> Self {
        let items = usize::try_from(options.memory / ENTRY).unwrap_or(usize::MAX);
        let entries = Cache::with_weighter(items, options.memory, Weight);
        let marks = (0..MARKS).map(|_| AtomicU64::new(0)).collect();
        let HotOptions { ttl, stale_if_down, .. } = options;
        let (down, hashes) = (Down::default(), RandomState::new());
        Self { store, clock, ttl, stale_if_down, down, entries, hashes, marks }
    }

    /// The store itself.
    pub fn below(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// The records of these names: what is kept, and the others in one round trip. Of one that is wanted `anew` nothing that
    /// is kept will do: what has been written before this call is seen.
    pub async fn recall<const N: usize>(&self, wanted: [Wanted<'_>; N]) -> Result<Recalled<N>, VaultError> {
        let keys = wanted.map(|wanted| wanted.key);
        let anew = wanted.iter().any(|wanted| wanted.anew);
        let mut found = wanted.map(|Wanted { key, anew }| if anew { None } else { self.get(key.name()) });
        let absent: Vec<usize> = (0..N).filter(|place| matches!(found.get(*place), Some(None))).collect();
        metrics::handout_read(absent.is_empty());
        if absent.is_empty() {
            return Ok(Recalled { found, stale: false });
        }
        if !anew
            && self.down.is_so(self.clock.monotonic())
            && let Some(stale) = self.stale(keys)
        {
            return Ok(stale);
        }
        let missing: Vec<&Key> = absent.iter().filter_map(|place| keys.get(*place).copied()).collect();
        let asked: Vec<Option<Asked>> = missing.iter().map(|key| self.ask(key.name())).collect();
        let records = match self.store.get_many(&missing).await {
            Err(StoreError::Unavailable(why)) => {
                self.down.failed(self.clock.monotonic());
                let stale = if anew { None } else { self.stale(keys) };
                return stale.ok_or_else(|| StoreError::Unavailable(why).into());
            }
            answer => answer?,
        };
        self.down.answered();
        for (((place, key), asked), record) in absent.iter().zip(&missing).zip(asked).zip(records) {
            let read = match record {
                Some(record) => Kept::read(key, &record)?,
                None => None,
            };
            if let (Some(asked), Some(read)) = (asked, &read) {
                self.keep(key.name(), asked, read.clone());
            }
            if let Some(found) = found.get_mut(*place) {
                *found = read;
            }
        }
        Ok(Recalled { found, stale: false })
    }

    /// What is kept of all of these, for want of a store. What was told to have changed is not among it; what was not heard
    /// since the store was lost may be.
    fn stale<const N: usize>(&self, keys: [&Key; N]) -> Option<Recalled<N>> {
        let (now, hearing) = (self.clock.monotonic(), self.store.hearing());
        let kept = |key: &Key| {
            let entry = self.entries.get(key.name())?;
            let counts = hearing.is_none_or(|hearing| hearing == entry.hearing)
                && now.saturating_sub(entry.asked_at) < self.stale_if_down;
            counts.then_some(entry.kept)
        };
        let found = keys.map(kept);
        let all = found.iter().all(Option::is_some);
        all.then_some(Recalled { found, stale: true })
    }

    /// The store could not be reached by somebody else.
    pub fn lost(&self) {
        self.down.failed(self.clock.monotonic());
    }

    /// How much longer than usual something may count now: while the store cannot be reached.
    pub fn grace(&self) -> Duration {
        if self.down.was_so() { self.stale_if_down } else { Duration::ZERO }
    }

    fn get(&self, name: &str) -> Option<Kept> {
        if self.ttl.is_zero() {
            return None;
        }
        let entry = self.entries.get(name)?;
        let counts = self.store.hearing() == Some(entry.hearing)
            && self.clock.monotonic().saturating_sub(entry.asked_at) < self.ttl;
        counts.then_some(entry.kept)
    }

    fn mark(&self, name: &str) -> Option<&AtomicU64> {
        let hash = self.hashes.hash_one(name);
        self.marks.get(usize::try_from(hash % MARKS).ok()?)
    }

    fn ask(&self, name: &str) -> Option<Asked> {
        if self.ttl.is_zero() {
            return None;
        }
        let hearing = self.store.hearing()?;
        let mark = self.mark(name)?.load(Ordering::SeqCst);
        Some(Asked { mark, hearing, at: self.clock.monotonic() })
    }

    fn keep(&self, name: &str, asked: Asked, kept: Kept) {
        let unmarked = || self.mark(name).is_some_and(|mark| mark.load(Ordering::SeqCst) == asked.mark);
        if !unmarked() {
            return;
        }
        let entry = Entry { kept, hearing: asked.hearing, asked_at: asked.at };
        self.entries.insert(name.into(), entry);
        // It was forgotten between the two: whoever did that may have come before the entry.
        if !unmarked() {
            self.entries.remove(name);
        }
    }

    /// It has changed, or may have.
    pub fn forget(&self, name: &str) {
        if let Some(mark) = self.mark(name) {
            mark.fetch_add(1, Ordering::SeqCst);
        }
        self.entries.remove(name);
    }

    /// Something may have been missed: what was kept counts no more. While nothing is heard at all, only
    /// [`Self::stale`] goes by it, and that ends when the store is heard again.
    pub fn missed(&self) {
        if self.stale_if_down.is_zero() || self.store.hearing().is_some() {
            self.forget_all();
        }
    }

    /// Anything may have changed.
    pub fn forget_all(&self) {
        for mark in &self.marks {
            mark.fetch_add(1, Ordering::SeqCst);
        }
        self.entries.clear();
    }
}

/// A write that is under way: what it changes is forgotten before it, and after it however it ended.
struct Changing<'a> {
    hot: &'a Hot,
    names: Vec<String>,
}

impl<'a> Changing<'a> {
    /// Makes `batch` tell of all that it changes and others keep.
    fn begin(hot: &'a Hot, batch: &mut Batch) -> Self {
        let changed = batch.writes.iter().map(Write::key).filter(|key| keys::is_kept(key.name()));
        let mut changed: Vec<Key> = changed.cloned().collect();
        changed.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        changed.dedup();
        let names: Vec<String> = changed.iter().map(|key| key.name().to_owned()).collect();
        batch.writes.extend(changed.into_iter().map(|key| Write::Tell { key }));
        let changing = Self { hot, names };
        changing.forget();
        changing
    }
}

impl Changing<'_> {
    fn forget(&self) {
        for name in &self.names {
            self.hot.forget(name);
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

#[async_trait]
impl Store for Hot {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        self.store.get_many(keys).await
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.store.take(key).await
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.store.scan(index, prefix, after, limit).await
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        self.store.entries(stream, walk, limit).await
    }

    async fn apply(&self, mut batch: Batch) -> Result<Outcome, StoreError> {
        let _changing = Changing::begin(self, &mut batch);
        self.store.apply(batch).await
    }

    fn listen(&self, runtime: &Handle) -> Option<Receiver<Notice>> {
        self.store.listen(runtime)
    }

    fn hearing(&self) -> Option<u64> {
        self.store.hearing()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

#[cfg(test)]
mod tests;
