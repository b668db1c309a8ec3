//! The wing: the ports filled in with real things. Only `app` names them.

pub mod embedded;
pub mod http;
pub mod redis;
pub mod system;
