//! Token buckets in memory, each kept as the one time at which it would be full again (the generic cell rate algorithm,
//! ITU-T I.371 annex A).
//!
//! Each server process counts for itself. The number of buckets is bounded; the ones not asked for lately go first.

use crate::domain::Rate;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use std::hash::Hash;
use std::time::Duration;

/// How many buckets are kept, some 100 bytes each. A new one costs whoever needs it a password hash or another network, so
/// pushing others' out within their time is dear.
const BUCKETS: usize = 50_000;

/// What is left of a bucket, or that nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where there was no token: when there will be one.
    pub wait: Option<Duration>,
    /// How many are left.
    pub left: u32,
    /// When the bucket will be full again.
    pub full_in: Duration,
}

impl Taken {
    /// The time to wait as an error.
    pub fn or_wait(self) -> Result<(), Duration> {
        self.wait.map_or(Ok(()), Err)
    }
}

/// Takes a token of a bucket that is full again after `full_in`: when it is full after that, or how long until there is one.
pub fn take_one(rate: Rate, full_in: Duration) -> Result<Duration, Duration> {
    let then = full_in + rate.interval();
    let wait = then.saturating_sub(rate.per);
    if wait.is_zero() { Ok(then) } else { Err(wait) }
}

/// A bucket that was asked for a token before.
#[derive(Clone, Copy)]
struct Bucket {
    full_at: Duration,
    /// The latest time at which somebody asked. Whoever looked at the clock before that and comes behind is as late: else the
    /// moment between the two would cost the last token of a burst.
    asked_at: Duration,
}

impl Bucket {
    fn full_in(self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now.max(self.asked_at))
    }
}

/// So many in so long, for each of many.
pub struct Limiter<K> {
    rate: Rate,
    buckets: Cache<K, Bucket>,
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// Full buckets.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Cache::new(BUCKETS) }
    }

    /// What it allows.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Refuses with the time to wait when there is no token left; takes none.
    pub fn check(&self, who: &K, now: Duration) -> Result<(), Duration> {
        let full_in = self.buckets.get(who).map_or(Duration::ZERO, |bucket| bucket.full_in(now));
        take_one(self.rate, full_in).map(|_| ())
    }

    /// Takes a token where there is one.
    pub fn take(&self, who: &K, now: Duration) -> Taken {
        let entry = self.buckets.entry(who, None, |_, bucket| {
            let taken = take_one(self.rate, bucket.full_in(now));
            bucket.asked_at = now.max(bucket.asked_at);
            if let Ok(full_in) = taken {
                bucket.full_at = bucket.asked_at + full_in;
            }
            EntryAction::Retain((taken.err(), bucket.full_in(now)))
        });
        let (wait, full_in) = match entry {
            EntryResult::Retained(known) => known,
            EntryResult::Vacant(place) => {
                let full_in = self.rate.interval();
                // Refused only where the entry was evicted in this moment: a bucket that is lost is a full one.
                let _ = place.insert(Bucket { full_at: now + full_in, asked_at: now });
                (None, full_in)
            }
            EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => {
                (None, Duration::ZERO)
            }
        };
        Taken { wait, left: self.left(full_in), full_in }
    }

    /// How many tokens are in a bucket that is full again so soon.
    fn left(&self, full_in: Duration) -> u32 {
        let there = self.rate.per.saturating_sub(full_in).as_nanos() / self.rate.interval().as_nanos().max(1);
        u32::try_from(there).unwrap_or(u32::MAX).min(self.rate.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(count: u32, seconds: u64) -> Limiter<[u8; 32]> {
        Limiter::new(Rate { count, per: Duration::from_secs(seconds) })
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = limiter(3, 30);
        let (me, you) = ([1; 32], [2; 32]);
        let start = 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(limiter.check(&me, start), Ok(()));
            assert_eq!(limiter.take(&me, start).or_wait(), Ok(()));
        }
        assert_eq!(limiter.check(&me, start), Err(10 * SECOND));
        assert_eq!(limiter.take(&me, start).or_wait(), Err(10 * SECOND));
        assert_eq!(limiter.take(&you, start).or_wait(), Ok(()));
        assert_eq!(limiter.check(&me, start + 9 * SECOND), Err(SECOND));
        assert_eq!(limiter.take(&me, start + 10 * SECOND).or_wait(), Ok(()));
        assert_eq!(limiter.take(&me, start + 10 * SECOND).or_wait(), Err(10 * SECOND));
    }

    #[test]
    fn what_is_left_is_said() {
        let limiter = limiter(3, 30);
        let taken = |seconds| limiter.take(&[1; 32], seconds * SECOND);
        assert_eq!(taken(100), Taken { wait: None, left: 2, full_in: 10 * SECOND });
        assert_eq!(taken(104), Taken { wait: None, left: 1, full_in: 16 * SECOND });
        assert_eq!(taken(104), Taken { wait: None, left: 0, full_in: 26 * SECOND });
        assert_eq!(taken(105), Taken { wait: Some(5 * SECOND), left: 0, full_in: 25 * SECOND });
        assert_eq!(taken(1_000), Taken { wait: None, left: 2, full_in: 10 * SECOND });
    }

    #[test]
    fn who_looked_at_the_clock_first_and_comes_last_has_the_last_token() {
        let limiter = limiter(3, 30);
        let (me, moment) = ([1; 32], Duration::from_micros(1));
        let start = 100 * SECOND;
        for now in [start + moment, start, start] {
            assert_eq!(limiter.take(&me, now).or_wait(), Ok(()));
        }
        assert_eq!(limiter.take(&me, start).or_wait(), Err(10 * SECOND));
        assert_eq!(limiter.check(&me, start), Err(10 * SECOND));
    }

    #[test]
    fn a_rest_does_not_save_up_more_than_a_bucket() {
        let limiter = limiter(2, 20);
        let me = [1; 32];
        assert_eq!(limiter.take(&me, SECOND).or_wait(), Ok(()));
        let later = 1_000 * SECOND;
        let taken = (0..10).filter(|_| limiter.take(&me, later).or_wait().is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn of_many_at_once_no_more_than_a_bucket_come_through() {
        let limiter = limiter(5, 60);
        let taken = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if limiter.take(&[7; 32], SECOND).or_wait().is_ok() {
                            taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 5);
    }
}
