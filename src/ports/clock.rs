//! Time as an argument.

use crate::domain::Timestamp;
use std::time::Duration;

/// The clock of this process. Times that several processes compare are the store's, not this one's.
pub trait Clock: Send + Sync {
    /// The time of day; may jump.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;
}
