//! The ground's own voice: lines of log, numbers, and traces. None of them ever holds a secret; what is recorded is said by types and by
//! static words, never by text from outside.

pub mod logs;
pub mod metrics;
pub mod traces;
