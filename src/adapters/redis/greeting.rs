//! What a server says it is: the answer to HELLO, for which every user has the right.

use super::fault;
use crate::ports::store::StoreError;
use redis::Value;

/// The oldest major version that has what is needed: rights for single subcommands, scripts that may read the time before
/// they write.
pub(super) const OLDEST: u32 = 7;

/// The answer to HELLO.
#[derive(Debug)]
pub(super) struct Greeting {
    /// `7.0.15`.
    pub(super) version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub(super) mode: String,
    /// True where it may write; a replica and a sentinel may not.
    pub(super) master: bool,
}

impl Greeting {
    pub(super) fn read(answer: Value) -> Result<Self, StoreError> {
        let Value::Map(pairs) = fault::value(answer)? else { return Err(fault::shape("HELLO")) };
        let text = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| word(name).is_some_and(|name| name == wanted));
            found.and_then(|(_, value)| word(value))
        };
        let (version, mode) = (text("version"), text("mode"));
        let (Some(version), Some(mode)) = (version, mode) else { return Err(fault::shape("HELLO")) };
        Ok(Self { version, mode, master: text("role").is_some_and(|role| role == "master") })
    }

    /// Whether a server that must be the one to write may be asked at all.
    pub(super) fn must_be_master(&self) -> Result<(), StoreError> {
        if self.master {
            return Ok(());
        }
        Err(StoreError::Unavailable(match self.mode.as_str() {
            "sentinel" => "this is a sentinel, not a server: use redis-sentinel://<host>/<master>".to_owned(),
            _ => "this server is a replica: it may hold old records, and takes no writes".to_owned(),
        }))
    }

    /// 7 of `7.0.15`.
    pub(super) fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}
