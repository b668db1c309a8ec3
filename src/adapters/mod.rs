//! The wing: the ports filled in with real things. Only `app` names them.

pub mod embedded;
pub mod http;
mod message;
pub mod otlp;
pub mod outbox;
pub mod pages;
pub mod redis;
pub mod smtp;
pub mod system;
pub mod watched;
