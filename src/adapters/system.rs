//! The machine's own clock and its own chance.

use crate::domain::Timestamp;
use crate::ports::{Chance, Clock};
use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zeroize::{Zeroize, Zeroizing};

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

/// The operating system's generator of random bytes. Each thread asks it for several hundred at a time, of which every one
/// is given once and wiped where it lay: a request takes some for its id, and a call of the kernel for each would show.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

/// Bytes that a thread has in stock, and how many of them are given.
struct Stock {
    bytes: Zeroizing<[u8; 512]>,
    given: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = RefCell::new(Stock { bytes: Zeroizing::new([0; 512]), given: 512 });
}

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        // A thread that ends has no stock any more.
        let taken = STOCK.try_with(|stock| stock.borrow_mut().take(bytes)).unwrap_or(false);
        if !taken {
            ask_the_system(bytes);
        }
    }
}

impl Stock {
    /// False where so many are not kept.
    fn take(&mut self, wanted: &mut [u8]) -> bool {
        if wanted.len() > self.bytes.len() / 4 {
            return false;
        }
        if self.bytes.len() - self.given < wanted.len() {
            ask_the_system(self.bytes.as_mut());
            self.given = 0;
        }
        let Some(next) = self.bytes.get_mut(self.given..self.given + wanted.len()) else { return false };
        wanted.copy_from_slice(next);
        next.zeroize();
        self.given += wanted.len();
        true
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the chance that the port speaks of")]
fn ask_the_system(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        // Keys and states made of anything else could be guessed: there is no going on, and no unwinding into a server
        // that would.
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
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

    #[test]
    fn no_byte_of_the_stock_is_given_twice_and_none_is_left_in_it() {
        let mut seen = std::collections::HashSet::new();
        for length in (8..=600).chain(8..=600) {
            let mut bytes = vec![0; length];
            SystemChance.fill(&mut bytes);
            for part in bytes.chunks_exact(8) {
                assert!(seen.insert(part.to_vec()), "given twice, or never filled: {part:?}");
            }
        }
        STOCK.with(|stock| {
            let stock = stock.borrow();
            assert!(stock.bytes[..stock.given].iter().all(|byte| *byte == 0));
        });
    }
}
