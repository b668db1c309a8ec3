//! A batch inside a transaction: looked at and changed in memory first, then written. A refused one writes nothing.

use super::record::{REV, Row};
use super::{fault, stream};
use crate::domain::Timestamp;
use crate::ports::store::{Batch, Guard, Key, Outcome, Record, StoreError, Value, Write};
use rusqlite::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Records as the batch sees them.
struct View<'a> {
    database: &'a Connection,
    now: Timestamp,
    rows: HashMap<&'a str, Seen>,
}

#[derive(Default)]
struct Seen {
    row: Option<Row>,
    changed: bool,
}

/// Does a batch. After an error the transaction must be rolled back.
pub(super) fn apply(database: &Connection, batch: &Batch, now: Timestamp) -> Result<Outcome, StoreError> {
    let mut view = View { database, now, rows: HashMap::new() };
    for (number, guard) in batch.guards.iter().enumerate() {
        if !view.holds(guard)? {
            return Ok(Outcome::Refused(number, now));
        }
    }
    for write in &batch.writes {
        view.change(write)?;
    }
    view.save().map_err(|error| fault(&error))?;
    Ok(Outcome::Applied(now))
}

/// Reads and removes. After an error the transaction must be rolled back.
pub(super) fn take(database: &Connection, key: &str, now: Timestamp) -> Result<Option<Record>, StoreError> {
    let row = Row::load(database, key, now)?;
    if row.is_some() {
        Row::remove(database, key).map_err(|error| fault(&error))?;
    }
    Ok(row.map(Row::into_record))
}

impl<'a> View<'a> {
    fn see(&mut self, key: &'a Key) -> Result<&mut Seen, StoreError> {
        Ok(match self.rows.entry(key.name()) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(place) => {
                let row = Row::load(self.database, key.name(), self.now)?;
                place.insert(Seen { row, changed: false })
            }
        })
    }

    fn change_row(&mut self, key: &'a Key) -> Result<&mut Option<Row>, StoreError> {
        let seen = self.see(key)?;
        seen.changed = true;
        Ok(&mut seen.row)
    }

    fn holds(&mut self, guard: &'a Guard) -> Result<bool, StoreError> {
        let now = self.now;
        let row = self.see(guard.key())?.row.as_ref();
        Ok(match guard {
            Guard::Absent(_) => row.is_none(),
            Guard::Present(_) => row.is_some(),
            Guard::Rev(_, rev) => row.is_some_and(|row| u64::try_from(row.rev) == Ok(*rev)),
            Guard::Equals(_, field, value) if field == REV => {
                row.is_some_and(|row| row.rev.to_string().as_bytes() == value)
            }
            Guard::Equals(_, field, value) => row.and_then(|row| row.get(field)) == Some(value),
            Guard::Missing(_, field) => row.is_none_or(|row| field != REV && row.get(field).is_none()),
            Guard::Passed(_, field) => {
                row.and_then(|row| row.get(field)).and_then(time).is_some_and(|time| time <= now)
            }
        })
    }

    fn change(&mut self, write: &'a Write) -> Result<(), StoreError> {
        let now = self.now;
        match write {
            Write::Put { key, fields, lives } => {
                let row = self.change_row(key)?;
                let rev = row.as_ref().map_or(0, |row| row.rev) + 1;
                let expires_at = lives.map(|lives| now.plus(lives));
                let new = Row { rev, expires_at, fields: Vec::with_capacity(fields.len()) };
                set(row.insert(new), fields, now);
                // A life that is over before it began leaves nothing, and no revision to go on from.
                row.take_if(|row| row.expires_at == Some(now));
            }
            Write::Set { key, fields } => {
                let row = self.change_row(key)?.get_or_insert_default();
                row.rev += 1;
                set(row, fields, now);
            }
            Write::Unset { key, fields } => {
                if let Some(row) = self.change_row(key)? {
                    row.rev += 1;
                    row.fields.retain(|(name, _)| !fields.contains(name));
                }
            }
            Write::Delete { key } => {
                *self.change_row(key)? = None;
                stream::forget(self.database, key.name()).map_err(|error| fault(&error))?;
            }
            Write::IndexAdd { index, member } => {
                self.member("INSERT OR IGNORE INTO member (list, name) VALUES (?1, ?2)", index, member)?;
            }
            Write::IndexRemove { index, member } => {
                self.member("DELETE FROM member WHERE list = ?1 AND name = ?2", index, member)?;
            }
            Write::Append { stream, fields } => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), bytes(value, now)));
                stream::append(self.database, stream.name(), &fields.collect::<Vec<_>>(), now)
                    .map_err(|error| fault(&error))?;
            }
            // Whoever could wait for it is in this process, and waits for the flight.
            Write::Tell { .. } => {}
            Write::Trim { stream, before } => {
                stream::trim(self.database, stream.name(), *before).map_err(|error| fault(&error))?;
            }
        }
        Ok(())
    }

    fn member(&self, statement: &str, index: &Key, member: &str) -> Result<(), StoreError> {
        let statement = self.database.prepare_cached(statement);
        let done = statement.and_then(|mut statement| statement.execute((index.name(), member)));
        done.map(drop).map_err(|error| fault(&error))
    }

    fn save(self) -> rusqlite::Result<()> {
        for (key, seen) in self.rows.into_iter().filter(|(_, seen)| seen.changed) {
            match seen.row {
                Some(row) => row.save(self.database, key)?,
                None => Row::remove(self.database, key)?,
            }
        }
        Ok(())
    }
}

fn set(row: &mut Row, fields: &[(String, Value)], now: Timestamp) {
    for (name, value) in fields.iter().filter(|(name, _)| name != REV) {
        row.set(name, bytes(value, now));
    }
}

fn bytes(value: &Value, now: Timestamp) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Now(span) => now.plus(*span).as_millis().to_string().into_bytes(),
    }
}

/// Milliseconds as a decimal number; more than 15 digits are no time that a store writes.
fn time(field: &[u8]) -> Option<Timestamp> {
    let plain = field.len() <= 15 && field.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(field).ok().filter(|_| plain)?;
    text.parse().ok().map(Timestamp::from_millis)
}
