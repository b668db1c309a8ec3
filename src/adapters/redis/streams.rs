//! Streams as Redis reads them: `XRANGE` and `XREVRANGE`, and what they answer.

use super::asking::Question;
use super::fault;
use crate::ports::store::{EntryId, Key, Record, StoreError, Walk};
use redis::Value;

/// Asks for entries.
pub(super) fn question(stream: &Key, walk: Walk, limit: usize) -> Question<'_> {
    let (command, bound, last) = match walk {
        Walk::Up(after) => ("XRANGE", after, ("-", "+")),
        Walk::Down(before) => ("XREVRANGE", before, ("+", "-")),
    };
    let from = match bound {
        None => last.0.to_owned(),
        // Redis refuses an open bound with nothing beyond it. No entry stands at either end, so a closed one says the same.
        Some(id) if [EntryId::FIRST, EntryId::LAST].contains(&id) => id.to_string(),
        Some(id) => format!("({id}"),
    };
    let mut question = Question::new(command, stream);
    question.arg(from).arg(last.1).arg("COUNT").arg(i64::try_from(limit).unwrap_or(i64::MAX));
    question
}

/// What came: each entry is its id and its fields.
pub(super) fn entries(answer: Value) -> Result<Vec<(EntryId, Record)>, StoreError> {
    let shape = || fault::shape("XRANGE");
    let Value::Array(entries) = answer else { return Err(shape()) };
    let entry = |entry: Value| {
        let Value::Array(parts) = entry else { return Err(shape()) };
        let [Value::BulkString(id), fields] = <[Value; 2]>::try_from(parts).map_err(|_| shape())? else {
            return Err(shape());
        };
        let id = std::str::from_utf8(&id).ok().and_then(EntryId::parse).ok_or_else(shape)?;
        Ok((id, super::record(fields)?.ok_or_else(shape)?))
    };
    entries.into_iter().map(entry).collect()
}
