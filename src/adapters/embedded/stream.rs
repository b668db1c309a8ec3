//! Streams: rows in the order of their places.

use super::{fault, record};
use crate::domain::Timestamp;
use crate::ports::store::{EntryId, Record, StoreError, Walk};
use rusqlite::{Connection, OptionalExtension, Row};

/// SQLite counts with a sign; no time and no number of ours comes near its end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn place(row: &Row<'_>) -> rusqlite::Result<EntryId> {
    let part = |column| row.get::<_, i64>(column).map(|part| u64::try_from(part).unwrap_or_default());
    Ok(EntryId { millis: part(0)?, number: part(1)? })
}

/// Adds an entry after the last one, whatever the clock says.
pub(super) fn append(
    database: &Connection,
    stream: &str,
    fields: &[(String, Vec<u8>)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut last = database.prepare_cached("SELECT millis, number FROM stream WHERE name = ?1")?;
    let last = last.query_row([stream], place).optional()?;
    let fresh = EntryId { millis: u64::try_from(now.as_millis()).unwrap_or_default(), number: 0 };
    let id = last.map_or(fresh, |last| fresh.max(last.next()));
    database
        .prepare_cached(
            "INSERT INTO stream (name, millis, number) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET \
             millis = excluded.millis, number = excluded.number",
        )?
        .execute((stream, signed(id.millis), signed(id.number)))?;
    database
        .prepare_cached("INSERT INTO entry (stream, millis, number, fields) VALUES (?1, ?2, ?3, ?4)")?
        .execute((stream, signed(id.millis), signed(id.number), record::encode(fields)))?;
    Ok(())
}

/// Removes the entries before a place.
pub(super) fn trim(database: &Connection, stream: &str, before: EntryId) -> rusqlite::Result<()> {
    database
        .prepare_cached("DELETE FROM entry WHERE stream = ?1 AND (millis, number) < (?2, ?3)")?
        .execute((stream, signed(before.millis), signed(before.number)))?;
    Ok(())
}

/// Removes what else than a record is under that name: a stream, or an index.
pub(super) fn forget(database: &Connection, name: &str) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM stream WHERE name = ?1",
        "DELETE FROM entry WHERE stream = ?1",
        "DELETE FROM member WHERE list = ?1",
    ] {
        database.prepare_cached(statement)?.execute([name])?;
    }
    Ok(())
}

/// Entries in the order of the walk.
pub(super) fn read(
    database: &Connection,
    stream: &str,
    walk: Walk,
    limit: usize,
) -> Result<Vec<(EntryId, Record)>, StoreError> {
    const UP: &str = "SELECT millis, number, fields FROM entry WHERE stream = ?1 AND (millis, number) > (?2, ?3) \
                      ORDER BY millis, number LIMIT ?4";
    const DOWN: &str = "SELECT millis, number, fields FROM entry WHERE stream = ?1 AND (millis, number) < (?2, ?3) \
                        ORDER BY millis DESC, number DESC LIMIT ?4";
    let (statement, from) = match walk {
        Walk::Up(after) => (UP, after.map_or((-1, -1), |id| (signed(id.millis), signed(id.number)))),
        Walk::Down(before) => {
            (DOWN, before.map_or((i64::MAX, i64::MAX), |id| (signed(id.millis), signed(id.number))))
        }
    };
    let mut query = database.prepare_cached(statement).map_err(|error| fault(&error))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.query_map((stream, from.0, from.1, limit), |row| {
        let id = place(row)?;
        Ok(record::decode(row.get_ref(2)?.as_blob()?).map(|fields| (id, Record::new(fields))).ok_or(id))
    });
    let odd = |id| StoreError::Broken(format!("entry {id} of `{stream}` is not as this version writes it"));
    let rows = rows.map_err(|error| fault(&error))?;
    rows.map(|row| row.map_err(|error| fault(&error))?.map_err(odd)).collect()
}
