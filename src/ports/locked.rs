//! A value behind a lock that is held for one piece of work at a time.

use std::sync::{Mutex, PoisonError};

/// Every change of the value is one call of [`Self::with`] that leaves it whole, so that a panic in one (the lock's poison)
/// keeps nobody from the next.
#[derive(Debug, Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Behind a lock of its own.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Does `work` on it, alone.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
