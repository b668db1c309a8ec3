//! A record as one row: its fields in a compact encoding, and what of them the store itself keeps.
//!
//! The encoding is a version byte and then, for each field, name and value, each after its length as LEB128.

use crate::domain::Timestamp;
use crate::ports::store::{Record, StoreError};
use rusqlite::{Connection, OptionalExtension};

const VERSION: u8 = 1;

/// The field that the store keeps; a column, so that it stands only once.
pub(super) const REV: &str = "rev";

/// A record between row and batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) rev: i64,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Row {
    /// The row of that name, unless it is past its life.
    pub(super) fn load(database: &Connection, key: &str, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let mut query = database
            .prepare_cached("SELECT rev, expires_at, fields FROM record WHERE key = ?1")
            .map_err(|error| super::fault(&error))?;
        let found = query.query_row([key], |row| {
            let expires_at: Option<i64> = row.get(1)?;
            let fields = decode(row.get_ref(2)?.as_blob()?);
            Ok((row.get(0)?, expires_at.map(Timestamp::from_millis), fields))
        });
        let Some((rev, expires_at, fields)) = found.optional().map_err(|error| super::fault(&error))? else {
            return Ok(None);
        };
        if expires_at.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        let fields = fields.ok_or_else(|| {
            StoreError::Broken(format!("the record `{key}` is not as this version writes it"))
        })?;
        Ok(Some(Self { rev, expires_at, fields }))
    }

    /// Writes the row under that name, over what is there.
    pub(super) fn save(&self, database: &Connection, key: &str) -> rusqlite::Result<()> {
        database
            .prepare_cached(
                "INSERT INTO record (key, rev, expires_at, fields) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO \
                 UPDATE SET rev = excluded.rev, expires_at = excluded.expires_at, fields = excluded.fields",
            )?
            .execute((key, self.rev, self.expires_at.map(Timestamp::as_millis), encode(&self.fields)))?;
        Ok(())
    }

    /// Removes what is under that name.
    pub(super) fn remove(database: &Connection, key: &str) -> rusqlite::Result<()> {
        database.prepare_cached("DELETE FROM record WHERE key = ?1")?.execute([key])?;
        Ok(())
    }

    /// The bytes of a field, `rev` not among them.
    pub(super) fn get(&self, field: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_slice())
    }

    /// Sets a field.
    pub(super) fn set(&mut self, field: &str, value: Vec<u8>) {
        match self.fields.iter_mut().find(|(name, _)| name == field) {
            Some((_, old)) => *old = value,
            None => self.fields.push((field.to_owned(), value)),
        }
    }

    /// What callers see.
    pub(super) fn into_record(mut self) -> Record {
        self.fields.push((REV.to_owned(), self.rev.to_string().into_bytes()));
        Record::new(self.fields)
    }
}

pub(super) fn encode(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    let mut bytes = Vec::with_capacity(1 + size);
    bytes.push(VERSION);
    for (name, value) in fields {
        push(&mut bytes, name.as_bytes());
        push(&mut bytes, value);
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    let mut rest = part.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(part);
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let (version, mut rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut fields = Vec::with_capacity(16);
    while !rest.is_empty() {
        let name = String::from_utf8(pull(&mut rest)?.to_vec()).ok()?;
        fields.push((name, pull(&mut rest)?.to_vec()));
    }
    Some(fields)
}

fn pull<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let (part, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            return Some(part);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(fields in proptest::collection::vec((".{0,5}", proptest::collection::vec(any::<u8>(), 0..300)), 0..6)) {
            prop_assert_eq!(decode(&encode(&fields)), Some(fields));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_cut_or_foreign_row_is_not_guessed_at() {
        let good = encode(&[("name".to_owned(), b"value".to_vec())]);
        assert!(decode(&good).is_some());
        for end in 2..good.len() {
            assert_eq!(decode(&good[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(&[2]), None);
        assert_eq!(decode(&[]), None);
    }
}
