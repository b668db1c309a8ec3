//! Readers and writers in orders that a running server seldom sees.

use super::*;
use crate::adapters::system::SystemClock;
use crate::domain::{Id, ProviderId, TenantId, Timestamp};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// A store in memory. A read looks at once, and its answer comes when it may; a write happens, and then waits likewise.
struct Staged {
    records: Mutex<BTreeMap<String, Record>>,
    answers: Semaphore,
    writes: Semaphore,
    /// Records that were read.
    reads: AtomicU64,
    hears: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Staged {
    fn there(&self, key: &Key, there: bool) {
        let mut records = self.records.lock().unwrap();
        records.remove(key.name());
        if there {
            records.insert(key.name().to_owned(), Record::new(vec![("v".to_owned(), b"1".to_vec())]));
        }
    }
}

/// Waits for leave to answer.
async fn let_through(leave: &Semaphore) {
    leave.acquire().await.unwrap().forget();
}

#[async_trait]
impl Store for Staged {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        self.reads.fetch_add(u64::try_from(keys.len()).unwrap(), Ordering::SeqCst);
        let found = keys.iter().map(|key| self.records.lock().unwrap().get(key.name()).cloned()).collect();
        let_through(&self.answers).await;
        Ok(found)
    }

    async fn take(&self, _: &Key) -> Result<Option<Record>, StoreError> {
        unreachable!("nothing is taken here")
    }

    async fn scan(&self, _: &Key, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, StoreError> {
        unreachable!("nothing is listed here")
    }

    async fn entries(&self, _: &Key, _: Walk, _: usize) -> Result<Vec<(EntryId, Record)>, StoreError> {
        unreachable!("there are no streams here")
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        for write in &batch.writes {
            match write {
                Write::Put { key, .. } => self.there(key, true),
                Write::Delete { key } => self.there(key, false),
                Write::Tell { key } => self.told.lock().unwrap().push(key.name().to_owned()),
                other => unreachable!("{other:?}"),
            }
        }
        let_through(&self.writes).await;
        Ok(Outcome::Applied(Timestamp::from_millis(0)))
    }

    fn hearing(&self) -> Option<u64> {
        Some(self.hears.load(Ordering::SeqCst)).filter(|number| number % 2 == 1)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct House {
    store: Arc<Staged>,
    hot: Hot,
    key: Key,
}

impl House {
    fn new(ttl: Duration) -> Self {
        let store = Arc::new(Staged {
            records: Mutex::default(),
            answers: Semaphore::new(0),
            writes: Semaphore::new(0),
            reads: AtomicU64::new(0),
            hears: AtomicU64::new(1),
            told: Mutex::default(),
        });
        let tenant = TenantId::parse("0123456789abcdefghijAB").unwrap();
        let key = keys::integration(&tenant, &ProviderId::parse("slack").unwrap());
        let options = HotOptions { ttl, memory: 1 << 20, ..HotOptions::default() };
        let hot = Hot::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(SystemClock::new()), options);
        store.there(&key, true);
        Self { store, hot, key }
    }

    /// Whether it is there, as a hand-out sees it, and how many reads of the store that took.
    async fn seen(&self) -> (bool, u64) {
        let before = self.store.reads.load(Ordering::SeqCst);
        self.store.answers.add_permits(1);
        let [found] = self.hot.recall([(&self.key).into()]).await.unwrap().found;
        let reads = self.store.reads.load(Ordering::SeqCst) - before;
        if reads == 0 {
            let_through(&self.store.answers).await;
        }
        (found.is_some(), reads)
    }

    fn delete(&self) -> Batch {
        Batch::new().then(Write::Delete { key: self.key.clone() })
    }
}

const LONG: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_was_read_is_kept_and_a_write_of_ours_ends_it_and_is_told() {
    let house = House::new(LONG);
    assert_eq!(house.seen().await, (true, 1));
    assert_eq!(house.seen().await, (true, 0));
    house.store.writes.add_permits(1);
    house.hot.apply(house.delete()).await.unwrap();
    assert_eq!(*house.store.told.lock().unwrap(), [house.key.name()]);
    assert_eq!(house.seen().await, (false, 1));
    assert_eq!(house.seen().await, (false, 1), "what is not there is asked for each time");
}

#[tokio::test]
async fn a_reader_that_was_overtaken_puts_nothing_back() {
    for told in [true, false] {
        let house = House::new(LONG);
        let mut reading = Box::pin(house.hot.recall([(&house.key).into()]));
        assert!((&mut reading).now_or_never().is_none(), "it has looked, and waits for its answer");
        if told {
            // By another server.
            house.store.there(&house.key, false);
            house.hot.forget(house.key.name());
        } else {
            house.store.writes.add_permits(1);
            house.hot.apply(house.delete()).await.unwrap();
        }
        house.store.answers.add_permits(1);
        assert!(reading.await.unwrap().found[0].is_some(), "it began before");
        assert_eq!(house.seen().await, (false, 1), "told: {told}");
    }
}

/// What is read while a write is under way may be what was there before it: it must not stay.
#[tokio::test]
async fn a_reader_beside_a_write_keeps_nothing_beyond_it() {
    for given_up in [true, false] {
        let house = House::new(LONG);
        let mut writing = Box::pin(house.hot.apply(house.delete()));
        assert!((&mut writing).now_or_never().is_none());
        // A replica, or a script that has not run yet: the reader sees the state before.
        house.store.there(&house.key, true);
        assert_eq!(house.seen().await, (true, 1));
        house.store.there(&house.key, false);
        if given_up {
            drop(writing);
        } else {
            house.store.writes.add_permits(1);
            writing.await.unwrap();
        }
        assert_eq!(house.seen().await, (false, 1), "given up: {given_up}");
    }
}

#[tokio::test]
async fn what_was_read_in_another_time_of_hearing_counts_no_more() {
    let house = House::new(LONG);
    assert_eq!(house.seen().await, (true, 1));
    for (hears, reads) in [(2, 1), (2, 1), (3, 1), (3, 0)] {
        house.store.hears.store(hears, Ordering::SeqCst);
        assert_eq!(house.seen().await, (true, reads), "{hears}");
    }
    // A reader that began in the one and ended in the next.
    house.hot.forget_all();
    let mut reading = Box::pin(house.hot.recall([(&house.key).into()]));
    assert!((&mut reading).now_or_never().is_none());
    house.store.hears.store(5, Ordering::SeqCst);
    house.store.answers.add_permits(1);
    drop(reading.await);
    assert_eq!(house.seen().await, (true, 1));
}

#[tokio::test]
async fn it_lives_for_a_moment_and_whoever_wants_it_anew_gets_it() {
    let house = House::new(Duration::from_millis(30));
    assert_eq!(house.seen().await, (true, 1));
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(house.seen().await, (true, 1));
    let off = House::new(Duration::ZERO);
    assert_eq!((off.seen().await, off.seen().await), ((true, 1), (true, 1)));
    let house = House::new(LONG);
    assert_eq!(house.seen().await, (true, 1));
    house.store.there(&house.key, false);
    house.store.answers.add_permits(1);
    let [anew] = house.hot.recall([Wanted { key: &house.key, anew: true }]).await.unwrap().found;
    assert!(anew.is_none());
}

#[tokio::test]
async fn what_nobody_wants_anew_is_not_read_along_with_what_somebody_does() {
    let house = House::new(LONG);
    assert_eq!(house.seen().await, (true, 1));
    let other = keys::integration(
        &TenantId::parse("0123456789abcdefghijAB").unwrap(),
        &ProviderId::parse("x").unwrap(),
    );
    house.store.there(&other, true);
    let before = house.store.reads.load(Ordering::SeqCst);
    house.store.answers.add_permits(1);
    let both = [(&house.key).into(), Wanted { key: &other, anew: true }];
    let found = house.hot.recall(both).await.unwrap().found;
    assert!(found.iter().all(Option::is_some));
    assert_eq!(house.store.reads.load(Ordering::SeqCst) - before, 1, "the other is kept");
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let mut house = House::new(LONG);
    house.hot = Hot::new(
        Arc::clone(&house.store) as Arc<dyn Store>,
        Arc::new(SystemClock::new()),
        HotOptions { ttl: LONG, memory: 20_000, ..HotOptions::default() },
    );
    let tenant = TenantId::parse("0123456789abcdefghijAB").unwrap();
    for number in 0..1_000 {
        let key = keys::integration(&tenant, &ProviderId::parse(&format!("p{number}")).unwrap());
        house.store.there(&key, true);
        house.store.answers.add_permits(1);
        house.hot.recall([(&key).into()]).await.unwrap();
    }
    assert!(house.hot.entries.weight() <= 20_000, "{}", house.hot.entries.weight());
    assert!(house.hot.entries.len() > 10, "{}", house.hot.entries.len());
}
