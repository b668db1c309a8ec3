//! Fields of records, read strictly: an impossible record is an error that names it, never a default.

use super::VaultError;
use crate::domain::{Id, Scopes, Timestamp};
use crate::ports::store::{Key, Record, Value};
use std::collections::BTreeMap;

/// The schema number that this version writes.
pub(super) const SCHEMA: u32 = 1;

/// Reads the fields of one record.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    key: &'a Key,
    record: &'a Record,
}

impl<'a> Fields<'a> {
    /// Refuses a record written by a later version.
    pub fn of(key: &'a Key, record: &'a Record) -> Result<Self, VaultError> {
        let fields = Self { key, record };
        match record.number::<u32>("v") {
            Some(SCHEMA) => Ok(fields),
            Some(_) => Err(fields.fault("v", "was written by another version of Grantkeep")),
            None => Err(fields.fault("v", "is missing")),
        }
    }

    pub fn fault(&self, field: &str, what: &'static str) -> VaultError {
        VaultError::Corrupt { record: self.key.name().to_owned(), field: field.to_owned(), what }
    }

    pub fn bytes(&self, field: &str) -> Option<&'a [u8]> {
        self.record.get(field)
    }

    pub fn text(&self, field: &str) -> Result<&'a str, VaultError> {
        self.record.text(field).ok_or_else(|| self.fault(field, "is missing"))
    }

    pub fn optional(&self, field: &str) -> Option<&'a str> {
        self.record.text(field)
    }

    /// Reads a field with `parse`; absent is an error.
    pub fn parsed<T>(&self, field: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, VaultError> {
        parse(self.text(field)?).ok_or_else(|| self.fault(field, "cannot be read"))
    }

    /// Reads a field with `parse`; absent is none, unreadable an error.
    pub fn maybe<T>(
        &self,
        field: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, VaultError> {
        let Some(text) = self.optional(field) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| self.fault(field, "cannot be read"))
    }

    pub fn id<T: Id>(&self, field: &str) -> Result<T, VaultError> {
        self.parsed(field, T::parse)
    }

    pub fn time(&self, field: &str) -> Result<Timestamp, VaultError> {
        self.parsed(field, millis)
    }

    pub fn maybe_time(&self, field: &str) -> Result<Option<Timestamp>, VaultError> {
        self.maybe(field, millis)
    }

    pub fn scopes(&self, field: &str) -> Result<Scopes, VaultError> {
        self.text(field).map(read_scopes)
    }

    pub fn map(&self, field: &str) -> Result<BTreeMap<String, String>, VaultError> {
        self.parsed(field, read_map)
    }

    /// A map that is left out where it is empty.
    pub fn map_if_any(&self, field: &str) -> Result<BTreeMap<String, String>, VaultError> {
        self.maybe(field, read_map).map(Option::unwrap_or_default)
    }

    pub fn rev(&self) -> u64 {
        self.record.rev()
    }
}

fn millis(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_millis)
}

fn read_map(text: &str) -> Option<BTreeMap<String, String>> {
    // So it is in most records.
    if text == "{}" { Some(BTreeMap::new()) } else { serde_json::from_str(text).ok() }
}

/// Scopes lie in records with spaces between them.
pub(super) fn read_scopes(text: &str) -> Scopes {
    Scopes::split(text, &[' '])
}

/// Collects the fields of a record to be written.
#[derive(Default)]
pub(super) struct Draft(Vec<(String, Value)>);

impl Draft {
    /// A whole record: begins with the schema number.
    pub fn record() -> Self {
        Self::default().put("v", SCHEMA)
    }

    /// Some fields of a record.
    pub fn some() -> Self {
        Self::default()
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers give numbers, texts and references alike")]
    pub fn put(mut self, field: &str, value: impl ToString) -> Self {
        self.0.push((field.to_owned(), value.to_string().into()));
        self
    }

    pub fn time(self, field: &str, at: Timestamp) -> Self {
        self.put(field, at.as_millis())
    }

    pub fn maybe(self, field: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.put(field, value),
            None => self,
        }
    }

    pub fn maybe_time(self, field: &str, at: Option<Timestamp>) -> Self {
        self.maybe(field, at.map(Timestamp::as_millis))
    }

    pub fn scopes(self, field: &str, scopes: &Scopes) -> Self {
        self.put(field, scopes.join(" "))
    }

    pub fn map(self, field: &str, map: &BTreeMap<String, String>) -> Self {
        self.put(field, serde_json::json!(map))
    }

    /// The same, left out where it is empty.
    pub fn map_unless_empty(self, field: &str, map: &BTreeMap<String, String>) -> Self {
        self.maybe(field, (!map.is_empty()).then(|| serde_json::json!(map)))
    }

    pub fn sealed(mut self, field: (String, Value)) -> Self {
        self.0.push(field);
        self
    }

    pub fn raw(mut self, field: &str, value: Value) -> Self {
        self.0.push((field.to_owned(), value));
        self
    }

    pub fn done(self) -> Vec<(String, Value)> {
        self.0
    }
}
