//! The machine's own clock and its own chance.

use crate::domain::Timestamp;
use crate::ports::{Chance, Clock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Its monotonic time begins here.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the port speaks of")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the port speaks of")]
    fn now(&self) -> Timestamp {
        // A machine that believes to live before 1970 gets 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(0).plus(since)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The operating system's generator of random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    #[expect(clippy::disallowed_methods, reason = "this is the chance that the port speaks of")]
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // Keys and states made of anything else could be guessed: there is no going on, and no unwinding into a
            // server that would.
            tracing::error!(%error, "the operating system gives no random bytes");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::ChanceExt;

    #[test]
    fn time_passes_and_is_ours() {
        let clock = SystemClock::new();
        assert!(clock.monotonic() <= clock.monotonic());
        assert!(clock.now() > Timestamp::parse("2025-01-01T00:00:00Z").unwrap());
    }

    #[test]
    fn chance_fills_everything() {
        let (one, two) = (SystemChance.bytes::<64>(), SystemChance.bytes::<64>());
        assert_ne!(one, two);
        assert!(one.chunks(8).all(|part| part != [0; 8]));
    }
}
