//! A store that is watched: what its answers tell of its clock, and whether it answers at all.
//!
//! Clocks of a fleet's machines run apart. What one instance writes and another compares (when a token ends, when a pause is
//! over) is told by the one clock they share, the store's, which every batch that is applied brings along.

use crate::domain::Timestamp;
use crate::ports::store::{Batch, EntryId, Guard, Key, Notice, Outcome, Record, Store, StoreError, Walk};
use crate::ports::{Clock, Outages};
use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;

/// Clocks drift apart by some 50 microseconds a second: a sample loses that much of its worth, tenfold to be sure.
const DRIFT: u32 = 2_000;
/// An answer that took longer says nothing of the time: whoever waited for it may have stood still meanwhile.
const LONGEST: Duration = Duration::from_secs(2);

/// The store's time, as far as this process has heard: between two answers it goes on with this process's monotonic time, so
/// a step of the machine's clock moves nothing.
pub struct StoreClock {
    own: Arc<dyn Clock>,
    /// The store's time less our monotonic time, in milliseconds; [`UNHEARD`] before the first answer.
    ahead: AtomicI64,
    sample: Mutex<Option<Sample>>,
}

const UNHEARD: i64 = i64::MIN;

#[derive(Clone, Copy)]
struct Sample {
    /// Monotonic.
    taken: Duration,
    /// Between question and answer.
    trip: Duration,
}

impl Sample {
    /// How wrong it may be at a later moment.
    fn doubt(self, at: Duration) -> Duration {
        self.trip / 2 + at.saturating_sub(self.taken) / DRIFT
    }
}

impl StoreClock {
    /// Our own time until the store has answered.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, ahead: AtomicI64::new(UNHEARD), sample: Mutex::new(None) }
    }

    /// The store said its time in an answer to a question that was asked at monotonic time `asked`.
    fn heard(&self, said: Timestamp, asked: Duration) {
        let taken = self.own.monotonic();
        let trip = taken.saturating_sub(asked);
        let new = Sample { taken, trip };
        // Who comes at the same moment has no better sample.
        let Ok(mut last) = self.sample.try_lock() else { return };
        if trip > LONGEST || last.is_some_and(|last| last.doubt(taken) < new.doubt(taken)) {
            return;
        }
        *last = Some(new);
        let middle = millis(asked + trip / 2);
        self.ahead.store(said.as_millis().saturating_sub(middle), Ordering::Release);
    }

    fn is_unheard(&self) -> bool {
        self.ahead.load(Ordering::Acquire) == UNHEARD
    }

    /// The master may be another server now, with another clock: the next sample counts, however much worse it is.
    fn forget_sample(&self) {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        match self.ahead.load(Ordering::Acquire) {
            UNHEARD => self.own.now(),
            ahead => Timestamp::from_millis(ahead.saturating_add(millis(self.own.monotonic()))),
        }
    }

    fn monotonic(&self) -> Duration {
        self.own.monotonic()
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A store, watched.
pub struct Watched {
    store: Arc<dyn Store>,
    outages: Arc<Outages>,
    /// None where the store goes by this process's own clock.
    clock: Option<Arc<StoreClock>>,
}

impl Watched {
    /// Watches `store`.
    pub fn new(store: Arc<dyn Store>, outages: Arc<Outages>, clock: Option<Arc<StoreClock>>) -> Self {
        Self { store, outages, clock }
    }

    fn seen<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        match &answer {
            Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => {
                self.outages.failed();
                if let Some(clock) = &self.clock {
                    clock.forget_sample();
                }
            }
            Ok(_) | Err(StoreError::Broken(_) | StoreError::MixedPartitions(..)) => self.outages.answered(),
        }
        answer
    }
}

#[async_trait]
impl Store for Watched {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        self.seen(self.store.get_many(keys).await)
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.seen(self.store.take(key).await)
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.seen(self.store.scan(index, prefix, after, limit).await)
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        self.seen(self.store.entries(stream, walk, limit).await)
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        let Some(clock) = &self.clock else { return self.seen(self.store.apply(batch).await) };
        let asked = clock.monotonic();
        let answer = self.seen(self.store.apply(batch).await);
        if let Ok(Outcome::Applied(at) | Outcome::Refused(_, at)) = answer {
            clock.heard(at, asked);
        }
        answer
    }

    fn listen(&self, runtime: &Handle) -> Option<Receiver<Notice>> {
        self.store.listen(runtime)
    }

    fn hearing(&self) -> Option<u64> {
        self.store.hearing()
    }

    /// Asks for the time as well, where it has not been heard yet: before a server has written anything it must know it.
    async fn ping(&self) -> Result<(), StoreError> {
        self.seen(self.store.ping().await)?;
        if self.clock.as_ref().is_some_and(|clock| clock.is_unheard()) {
            self.apply(Batch::new().when(Guard::Absent(Key::alone("ping", "time")))).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    /// Time of day and monotonic time as they are set.
    #[derive(Default)]
    struct Set {
        day: AtomicI64,
        monotonic: AtomicU64,
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.day.load(Ordering::SeqCst))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
        }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_stores_time_goes_on_with_monotonic_time() {
        let own = Arc::new(Set::default());
        let clock = StoreClock::new(own.clone());
        own.day.store(5_000, Ordering::SeqCst);
        assert_eq!(clock.now().as_millis(), 5_000, "nothing heard yet");
        own.monotonic.store(100, Ordering::SeqCst);
        clock.heard(Timestamp::from_millis(900_000), at(80));
        assert_eq!(clock.now().as_millis(), 900_010, "said in the middle of the trip");
        own.day.store(99_999_999, Ordering::SeqCst);
        own.monotonic.store(1_100, Ordering::SeqCst);
        assert_eq!(clock.now().as_millis(), 901_010, "a step of the machine's clock moves nothing");
    }

    #[test]
    fn a_slower_sample_counts_when_the_better_one_is_old_or_forgotten() {
        let own = Arc::new(Set::default());
        let clock = StoreClock::new(own.clone());
        let hear = |said, asked, taken| {
            own.monotonic.store(taken, Ordering::SeqCst);
            clock.heard(Timestamp::from_millis(said), at(asked));
            clock.now().as_millis()
        };
        assert_eq!(hear(50_000, 998, 1_000), 50_001);
        assert_eq!(hear(90_000, 3_000, 3_100), 52_101, "a slower one");
        assert_eq!(hear(61_500, 60_900, 61_000), 110_001, "still a slower one, by the drift of a minute");
        assert_eq!(hear(61_500, 199_900, 200_000), 61_550, "the drift of minutes is more");
        clock.forget_sample();
        assert_eq!(hear(10_000, 204_000, 205_000), 10_500, "another master, another clock");
    }

    #[test]
    fn who_stood_still_learns_nothing_of_the_time() {
        let own = Arc::new(Set::default());
        let clock = StoreClock::new(own.clone());
        own.monotonic.store(1_000, Ordering::SeqCst);
        clock.heard(Timestamp::from_millis(50_000), at(998));
        own.monotonic.store(90_000, Ordering::SeqCst);
        clock.heard(Timestamp::from_millis(90_000), at(40_000));
        assert_eq!(clock.now().as_millis(), 139_001, "the better one is 90 s old, and good enough");
        clock.forget_sample();
        clock.heard(Timestamp::from_millis(90_000), at(40_000));
        assert_eq!(clock.now().as_millis(), 139_001, "nor is it the first of another clock");
    }

    #[test]
    fn an_outage_ends_with_an_answer() {
        let own = Arc::new(Set::default());
        let outages = Outages::new(own.clone());
        own.monotonic.store(70, Ordering::SeqCst);
        assert_eq!(outages.answering_for(), at(70));
        outages.failed();
        assert_eq!(outages.answering_for(), Duration::ZERO);
        own.monotonic.store(90, Ordering::SeqCst);
        outages.answered();
        own.monotonic.store(95, Ordering::SeqCst);
        outages.answered();
        assert_eq!(outages.answering_for(), at(5));
    }
}
