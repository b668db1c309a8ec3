//! So many in so long: token buckets in memory, kept as the one time at which each would be full again (the generic cell
//! rate algorithm, ITU-T I.371 annex A).
//!
//! Each server process counts for itself. The number of buckets is bounded; the ones not asked for lately go first.

use super::veil::Veiled;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use std::time::Duration;

/// How many buckets are kept, some 100 bytes each. A new one costs whoever needs it a password hash or another network, so
/// pushing others' out within their time is dear.
const BUCKETS: usize = 50_000;

/// So many in so long, for each of many.
pub(super) struct Limiter {
    /// One token comes back after this long.
    interval: Duration,
    /// A whole bucket comes back after this long.
    whole: Duration,
    full_at: Cache<Veiled, Duration>,
}

impl Limiter {
    /// `burst` at once, and as many again over `per`.
    pub fn new(burst: u32, per: Duration) -> Self {
        Self { interval: per / burst.max(1), whole: per, full_at: Cache::new(BUCKETS) }
    }

    /// How long until there is a token, at a bucket that is full again at `full_at`; none when there is one.
    fn wait(&self, full_at: Duration, now: Duration) -> Option<Duration> {
        let wait = (full_at.max(now) + self.interval).saturating_sub(now + self.whole);
        (!wait.is_zero()).then_some(wait)
    }

    /// Refuses with the time to wait when there is no token left; takes none.
    pub fn check(&self, who: &Veiled, now: Duration) -> Result<(), Duration> {
        self.full_at.get(who).and_then(|full_at| self.wait(full_at, now)).map_or(Ok(()), Err)
    }

    /// Takes a token, or refuses with the time to wait.
    pub fn take(&self, who: &Veiled, now: Duration) -> Result<(), Duration> {
        let entry = self.full_at.entry(who, None, |_, full_at| {
            let wait = self.wait(*full_at, now);
            if wait.is_none() {
                *full_at = (*full_at).max(now) + self.interval;
            }
            EntryAction::Retain(wait)
        });
        match entry {
            EntryResult::Retained(wait) => wait.map_or(Ok(()), Err),
            EntryResult::Vacant(place) => {
                // Refused only where the entry was evicted in this moment: a bucket that is lost is a full one.
                let _ = place.insert(now + self.interval);
                Ok(())
            }
            EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = Limiter::new(3, 30 * SECOND);
        let (me, you) = ([1; 32], [2; 32]);
        let start = 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(limiter.check(&me, start), Ok(()));
            assert_eq!(limiter.take(&me, start), Ok(()));
        }
        assert_eq!(limiter.check(&me, start), Err(10 * SECOND));
        assert_eq!(limiter.take(&me, start), Err(10 * SECOND));
        assert_eq!(limiter.take(&you, start), Ok(()));
        assert_eq!(limiter.check(&me, start + 9 * SECOND), Err(SECOND));
        assert_eq!(limiter.take(&me, start + 10 * SECOND), Ok(()));
        assert_eq!(limiter.take(&me, start + 10 * SECOND), Err(10 * SECOND));
    }

    #[test]
    fn a_rest_does_not_save_up_more_than_a_bucket() {
        let limiter = Limiter::new(2, 20 * SECOND);
        let me = [1; 32];
        assert_eq!(limiter.take(&me, SECOND), Ok(()));
        let later = 1_000 * SECOND;
        let taken = (0..10).filter(|_| limiter.take(&me, later).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn of_many_at_once_no_more_than_a_bucket_come_through() {
        let limiter = Limiter::new(5, 60 * SECOND);
        let taken = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if limiter.take(&[7; 32], SECOND).is_ok() {
                            taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 5);
    }
}
