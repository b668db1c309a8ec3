//! Whether the store answers, as this process has seen it.

use super::Clock;
use crate::domain::whole_millis;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Since when the store has been answering this process. A process that has just begun knows of nothing before.
pub struct Outages {
    clock: Arc<dyn Clock>,
    down: AtomicBool,
    /// Monotonic milliseconds.
    back_at: AtomicU64,
    ended: AtomicU64,
}

impl Outages {
    /// None seen yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let back_at = AtomicU64::new(whole_millis(clock.monotonic()));
        Self { clock, down: AtomicBool::new(false), back_at, ended: AtomicU64::new(0) }
    }

    /// The store did not answer.
    pub fn failed(&self) {
        self.down.store(true, Ordering::Release);
    }

    /// The store answered.
    pub fn answered(&self) {
        if self.down.load(Ordering::Acquire) && self.down.swap(false, Ordering::AcqRel) {
            self.back_at.store(whole_millis(self.clock.monotonic()), Ordering::Release);
            self.ended.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How many times it has come back.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// How long it has been answering; zero while it does not.
    pub fn answering_for(&self) -> Duration {
        if self.down.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let back_at = Duration::from_millis(self.back_at.load(Ordering::Acquire));
        self.clock.monotonic().saturating_sub(back_at)
    }
}
