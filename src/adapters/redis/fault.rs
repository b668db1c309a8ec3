//! What a failure of Redis means for the caller, in words that hold no value, key or password.

use super::url::Address;
use crate::ports::store::StoreError;
use redis::{ErrorKind, RedisError, Value};

/// Refusals that are about the server's state: the command was not run, and may be later.
const STATES: &[&str] = &[
    "READONLY",
    "LOADING",
    "MISCONF",
    "OOM",
    "BUSY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
    "NOAUTH",
    // From a cluster that goes on redirecting: the command was not run by anybody.
    "MOVED",
    "ASK",
];

/// Refusals whose text is the server's own, without anything that we sent.
const PLAIN: &[&str] = &["NOPERM", "WRONGTYPE", "CROSSSLOT", "WRONGPASS"];

/// How Redis 7.0 says NOPERM inside a script.
const NOPERM_IN_SCRIPT: &str = "The user executing the script can't run this command";

/// A connection could not be opened: nothing happened.
pub(super) fn of_opening(address: &Address, error: &RedisError) -> StoreError {
    StoreError::Unavailable(format!("no connection to Redis at {address}: {}", text(error)))
}

/// A sentinel could not be asked: nothing happened.
pub(super) fn of_sentinel(address: &Address, error: &RedisError) -> StoreError {
    StoreError::Unavailable(format!("no answer of the sentinel at {address}: {}", text(error)))
}

/// A read failed: nothing happened.
pub(super) fn of_read(error: &RedisError) -> StoreError {
    of_server(error).unwrap_or_else(|| match error.kind() {
        ErrorKind::Io => StoreError::Unavailable(text(error)),
        _ => StoreError::Broken(text(error)),
    })
}

/// A write failed after it was handed to the connection: unless the server said no, nobody knows.
pub(super) fn of_write(error: &RedisError) -> StoreError {
    of_server(error).unwrap_or_else(|| StoreError::OutcomeUnknown(text(error)))
}

/// The value, or the refusal that stands in its place in a pipeline's answer.
pub(super) fn value(value: Value) -> Result<Value, StoreError> {
    // No answer to a command of ours holds a refusal deeper inside, and looking for one copies all of it.
    match value {
        Value::ServerError(refusal) => Err(of_read(&refusal.into())),
        value => Ok(value),
    }
}

/// An answer of a shape that the command does not give.
pub(super) fn shape(command: &str) -> StoreError {
    StoreError::Broken(format!("the answer to {command} has another shape than Redis gives"))
}

/// True when the connection is of no more use: gone, silent, or to a server that was made a replica.
pub(super) fn spoils_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "NOAUTH"))
}

/// True when another server may have taken this one's place.
pub(super) fn tells_of_change(error: &RedisError) -> bool {
    let codes = ["READONLY", "CLUSTERDOWN", "MASTERDOWN", "LOADING"];
    error.is_io_error() || error.code().is_some_and(|code| codes.contains(&code))
}

fn of_server(error: &RedisError) -> Option<StoreError> {
    let code = error.code()?;
    let kind = if STATES.contains(&code) { StoreError::Unavailable } else { StoreError::Broken };
    Some(kind(text(error)))
}

/// Server texts may quote arguments (an unknown command's, for one), so only known ones pass.
fn text(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let detail = error.detail().unwrap_or_default();
    match (error.kind(), error.code()) {
        (_, Some(code)) if STATES.contains(&code) || PLAIN.contains(&code) => format!("{code} {detail}"),
        (_, Some(_)) if detail.starts_with(NOPERM_IN_SCRIPT) => format!("NOPERM {detail}"),
        (_, Some(code)) => format!("Redis answered {code}"),
        (ErrorKind::Io, None) => error.to_string(),
        (ErrorKind::AuthenticationFailed, None) => "the user name or password was refused".to_owned(),
        (_, None) => error.category().to_owned(),
    }
}
