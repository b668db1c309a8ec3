//! What lies around a worker: time, chance, and the ways to the store, to its disk and to the provider, on which things happen.

use super::plan::{Errand, Fate};
use super::provider::{Provider, response};
use crate::support::maps::MapStore;
use async_trait::async_trait;
use grantkeep::adapters::system::SystemChance;
use grantkeep::domain::Timestamp;
use grantkeep::ports::store::{Batch, EntryId, Key, Notice, Outcome, Record, Store, StoreError, Walk};
use grantkeep::ports::{
    Chance, Clock, OutboundRequest, OutboundResponse, Pages, PagesError, Upstream, UpstreamError,
};
use grantkeep::vault::{Keyring, Vault};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use super::base::Base;

/// A way's usual length.
const TRIP: Duration = Duration::from_millis(1);

/// Time, which goes by while everybody waits.
pub struct ModelClock {
    began: Instant,
    ahead: i64,
}

impl ModelClock {
    /// The store's and the provider's.
    pub fn new() -> Arc<Self> {
        Self::ahead(0)
    }

    /// A worker's own, which is ahead by so many seconds.
    #[expect(clippy::disallowed_methods, reason = "the clock of a runtime that may be paused")]
    pub fn ahead(seconds: i64) -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), ahead: seconds * 1000 })
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.ahead).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Chance that is the same each time a plan is played.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // SplitMix64 (Steele, Lea, Flood 2014).
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z ^ (z >> 31)).to_le_bytes()[0];
        }
    }
}

/// A vault over `store`, with the one master key of the model.
pub fn vault(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Vault {
    let keyring = Keyring::new([("model", &[7; 32])]).unwrap();
    Vault::new(store, clock, Arc::new(SystemChance), keyring)
}

/// What is to befall one worker, whichever of its processes it is.
#[derive(Default)]
pub struct Lot {
    pub steps: HashMap<usize, Fate>,
    pub errands: HashMap<usize, Errand>,
    step: AtomicUsize,
    errand: AtomicUsize,
    /// Nothing befalls it before the storm and after.
    pub stormy: AtomicBool,
}

impl Lot {
    fn next_step(&self) -> Option<Fate> {
        let stormy = self.stormy.load(Ordering::SeqCst);
        stormy.then(|| self.steps.get(&self.step.fetch_add(1, Ordering::SeqCst)).copied()).flatten()
    }

    fn next_errand(&self) -> Option<Errand> {
        let stormy = self.stormy.load(Ordering::SeqCst);
        stormy.then(|| self.errands.get(&self.errand.fetch_add(1, Ordering::SeqCst)).copied()).flatten()
    }
}

/// One process of a worker. What a dead process waits for never comes: that is all that there is to being dead.
#[derive(Clone)]
pub struct Life {
    pub lot: Arc<Lot>,
    pub dead: CancellationToken,
}

impl Life {
    async fn goes_on(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    async fn ends(&self) {
        self.dead.cancel();
        self.goes_on().await;
    }

    async fn stands(&self, millis: u32) {
        tokio::time::sleep(Duration::from_millis(u64::from(millis))).await;
        self.goes_on().await;
    }

    /// Goes the way to the store or the disk, and back. `effect` is what happens there.
    async fn step<T: Send + 'static, E: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, E>> + Send + 'static,
        unreached: impl FnOnce() -> E,
        unheard: impl FnOnce() -> E,
    ) -> Result<T, E> {
        tokio::time::sleep(TRIP).await;
        self.goes_on().await;
        let fate = self.lot.next_step();
        match fate {
            Some(Fate::Stands { before, .. }) => self.stands(before).await,
            Some(Fate::DiesBefore) => self.ends().await,
            Some(Fate::Unreached) => return Err(unreached()),
            Some(Fate::Unheard { later }) => {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(u64::from(later))).await;
                    drop(effect.await);
                });
                return Err(unheard());
            }
            Some(Fate::DiesAfter) | None => {}
        }
        let answer = effect.await;
        match fate {
            Some(Fate::Stands { after, .. }) => self.stands(after).await,
            Some(Fate::DiesAfter) => self.ends().await,
            _ => tokio::time::sleep(TRIP).await,
        }
        self.goes_on().await;
        answer
    }
}

/// The way to the store.
pub struct WayToStore {
    pub store: Arc<MapStore>,
    pub life: Life,
    /// What the store forgets to look at, to see whether the model notices.
    pub careless: bool,
}

impl WayToStore {
    async fn ask<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        changes: bool,
    ) -> Result<T, StoreError> {
        let unreached = || StoreError::Unavailable("not reached".to_owned());
        let kind = if changes { StoreError::OutcomeUnknown } else { StoreError::Unavailable };
        let unheard = || kind("no answer".to_owned());
        self.life.step(effect, unreached, unheard).await
    }
}

#[async_trait]
impl Store for WayToStore {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        let (store, keys) =
            (Arc::clone(&self.store), keys.iter().map(|key| (*key).clone()).collect::<Vec<_>>());
        let effect = async move { store.get_many(&keys.iter().collect::<Vec<_>>()).await };
        self.ask(effect, false).await
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let (store, key) = (Arc::clone(&self.store), key.clone());
        self.ask(async move { store.take(&key).await }, true).await
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (store, index) = (Arc::clone(&self.store), index.clone());
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.ask(async move { store.scan(&index, &prefix, after.as_deref(), limit).await }, false).await
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        let (store, stream) = (Arc::clone(&self.store), stream.clone());
        self.ask(async move { store.entries(&stream, walk, limit).await }, false).await
    }

    async fn apply(&self, mut batch: Batch) -> Result<Outcome, StoreError> {
        if self.careless {
            batch.guards.retain(|guard| !guard.key().name().contains(":connection:"));
        }
        let store = Arc::clone(&self.store);
        self.ask(async move { store.apply(batch).await }, true).await
    }

    fn listen(&self, runtime: &Handle) -> Option<Receiver<Notice>> {
        self.store.listen(runtime)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask(async { Ok(()) }, false).await
    }
}

/// A worker's disk, which outlives its processes.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Disk {
    /// How many pages lie on it.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// The way to a disk.
pub struct WayToDisk {
    pub disk: Disk,
    pub life: Life,
}

impl WayToDisk {
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T + Send + 'static,
    ) -> Result<T, PagesError> {
        let disk = self.disk.clone();
        let fails = || PagesError("the disk is full".to_owned());
        let effect = async move { Ok(work(&mut disk.0.lock().unwrap())) };
        self.life.step(effect, fails, fails).await
    }
}

#[async_trait]
impl Pages for WayToDisk {
    async fn keep(&self, name: &str, page: &[u8]) -> Result<(), PagesError> {
        let (name, page) = (name.to_owned(), page.to_vec());
        self.ask(move |pages| drop(pages.insert(name, page))).await
    }

    async fn pages(&self) -> Result<Vec<(String, Vec<u8>)>, PagesError> {
        self.ask(|pages| pages.clone().into_iter().collect()).await
    }

    async fn remove(&self, name: &str) -> Result<(), PagesError> {
        let name = name.to_owned();
        self.ask(move |pages| drop(pages.remove(&name))).await
    }

    async fn set_aside(&self, name: &str) -> Result<(), PagesError> {
        panic!("{name} could not be read")
    }
}

/// The way to the provider.
pub struct WayToProvider {
    pub provider: Arc<Provider>,
    pub clock: Arc<ModelClock>,
    pub life: Life,
}

#[async_trait]
impl Upstream for WayToProvider {
    async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, UpstreamError> {
        self.life.goes_on().await;
        let (token, waits) = (Provider::token_of(&request), request.timeout.expect("it has its time"));
        let errand = self.life.lot.next_errand();
        let called = self.clock.monotonic();
        match errand {
            Some(Errand::Stands { before, .. }) => self.life.stands(before).await,
            Some(Errand::Unsent) => return Err(UpstreamError::NotSent("no route".to_owned())),
            Some(Errand::Dies { after }) => {
                let dead = self.life.dead.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(u64::from(after))).await;
                    dead.cancel();
                });
            }
            _ => {}
        }
        let late = self.clock.monotonic().saturating_sub(called) >= waits;
        let number = (!late).then(|| self.provider.sent(&token, waits));
        if late {
            self.provider.sent_late();
        }
        let (tell, told) = oneshot::channel();
        tokio::spawn(travel(Arc::clone(&self.provider), token, errand, tell));
        let heard = tokio::time::timeout(waits, told).await;
        self.life.goes_on().await;
        if let Some(number) = number {
            self.provider.heard(number);
        }
        if let Some(Errand::Stands { after, .. }) = errand {
            self.life.stands(after).await;
        }
        match heard {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(UpstreamError::Lost("the connection broke".to_owned())),
            Err(_) => Err(UpstreamError::Lost("no answer in time".to_owned())),
        }
    }
}

/// A request goes its way, whatever becomes of its sender.
async fn travel(
    provider: Arc<Provider>,
    token: String,
    errand: Option<Errand>,
    tell: oneshot::Sender<OutboundResponse>,
) {
    let usual = u32::try_from(TRIP.as_millis()).unwrap();
    let (there, back) = match errand {
        Some(Errand::Travels { there, back }) => (there, back),
        // Long enough to die meanwhile.
        Some(Errand::Dies { .. }) => (1_000, 1_000),
        _ => (usual, 20 * usual),
    };
    tokio::time::sleep(Duration::from_millis(u64::from(there))).await;
    let answer = match errand {
        Some(Errand::Busy) => response(503, "{}"),
        Some(Errand::Garbled) => {
            provider.answer(&token);
            response(200, "<html>")
        }
        _ => provider.answer(&token),
    };
    tokio::time::sleep(Duration::from_millis(u64::from(back))).await;
    if !matches!(errand, Some(Errand::Broken)) {
        // It may have died or given up.
        drop(tell.send(answer));
    }
}
