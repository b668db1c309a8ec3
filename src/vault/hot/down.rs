//! Whether the store looks unreachable to those who read: then what is kept will do, and only now and then somebody asks.

use crate::domain::whole_millis;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a store that did not answer is asked again.
const PROBE: Duration = Duration::from_millis(250);

/// Zero while it answers; else the monotonic milliseconds from which somebody may ask again.
#[derive(Default)]
pub(super) struct Down(AtomicU64);

impl Down {
    /// It did not answer.
    pub fn failed(&self, now: Duration) {
        self.0.store(whole_millis(now + PROBE), Ordering::Release);
    }

    /// It answered.
    pub fn answered(&self) {
        if self.0.load(Ordering::Acquire) != 0 {
            self.0.store(0, Ordering::Release);
        }
    }

    /// True where it did not answer lately, and nobody need find out at this moment whether it does again.
    pub fn is_so(&self, now: Duration) -> bool {
        let again = self.0.load(Ordering::Acquire);
        if again == 0 || whole_millis(now) < again {
            return again != 0;
        }
        // One of those who come asks.
        let next = whole_millis(now + PROBE);
        self.0.compare_exchange(again, next, Ordering::AcqRel, Ordering::Acquire).is_err()
    }

    /// True where it did not answer when it was last asked.
    pub fn was_so(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}
