//! The wing: the ports filled in with real things. Named only by the composition root.

pub mod http;
mod message;
pub mod outbox;
pub mod smtp;
