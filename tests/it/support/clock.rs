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

/// The machine's clock, set wrong: ahead by so many milliseconds, or behind.
pub struct Wrong {
    machine: SystemClock,
    by: i64,
}

impl Wrong {
    /// A clock that is wrong by so many minutes.
    pub fn by_minutes(minutes: i64) -> Self {
        Self { machine: SystemClock::new(), by: minutes * 60_000 }
    }
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.machine.now().as_millis() + self.by)
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}
