//! The wing: the ports filled in with real things. Named only by the composition root.

pub mod http;
