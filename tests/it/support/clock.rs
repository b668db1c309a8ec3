//! A clock that can be moved.

use grantkeep::adapters::system::SystemClock;
use grantkeep::domain::Timestamp;
use grantkeep::ports::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The machine's clock, and how far it was moved ahead.
#[derive(Default)]
pub struct Ahead {
    machine: SystemClock,
    milliseconds: AtomicU64,
}

impl Ahead {
    /// Lets that much time pass at once.
    pub fn pass(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).expect("not that long");
        self.milliseconds.fetch_add(milliseconds, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.milliseconds.load(Ordering::SeqCst))
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.machine.now().plus(self.passed())
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic() + self.passed()
    }
}
