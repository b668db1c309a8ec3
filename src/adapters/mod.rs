//! The wing: what the ports need of the world, each in its own folder. Only `app` names them.

pub mod embedded;
pub mod redis;
pub mod system;
