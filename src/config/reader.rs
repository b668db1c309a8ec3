//! Reads values out of the layers, collecting every fault instead of stopping at the first.

use super::fault::Fault;
use super::layers::{DEFAULT_ORIGIN, Leaves, origin_of};
use crate::domain::Secret;
use config::{Value, ValueKind};
use std::collections::BTreeSet;

/// The merged layers, what was read of them, and what was found wrong.
pub(super) struct Reader {
    leaves: Leaves,
    /// The keys that were asked for: a test compares them with the defaults.
    pub(super) asked: BTreeSet<String>,
    /// What was wrong so far.
    pub(super) faults: Vec<Fault>,
}

impl Reader {
    /// Reads from `leaves`; `faults` were found while these were put together.
    pub(super) fn new(leaves: Leaves, faults: Vec<Fault>) -> Self {
        Self { leaves, asked: BTreeSet::new(), faults }
    }

    /// The value of `key` by `parse`, whose error says what is accepted. Nothing where there is a fault.
    pub(super) fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Some(text) = text(self.value(key)?) else {
            return self.refuse(key, "must be one value, not a list");
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => self.refuse(key, problem),
        }
    }

    /// The values of `key`, which is a list or comma-separated text, each by `parse`.
    pub(super) fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let items: Option<Vec<String>> = match &self.value(key)?.kind {
            ValueKind::Array(items) => items.iter().map(text).collect(),
            ValueKind::String(line) => {
                let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(str::to_owned).collect())
            }
            _ => None,
        };
        let Some(items) = items else {
            return self.refuse(key, "must be a list of text");
        };
        match items.iter().map(|item| parse(item)).collect() {
            Ok(values) => Some(values),
            Err(problem) => self.refuse(key, problem),
        }
    }

    /// What `key`, or the file that `<key>_file` names, holds, by `parse`, whose error must not quote it.
    pub(super) fn secret<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&Secret) -> Result<T, String>,
    ) -> Option<T> {
        let twin = format!("{key}_file");
        let path = self.read(&twin, |text| Ok(text.to_owned()));
        let direct = match text(self.value(key)?) {
            Some(text) => Secret::new(text),
            // A list of keys in a file is as good as one line of them.
            None => Secret::new(self.list(key, |item| Ok(item.to_owned()))?.join(",")),
        };
        let path = path?;
        let was_set = !direct.is_empty() && self.origin(key) != DEFAULT_ORIGIN;
        if was_set && !path.is_empty() {
            let problem = format!("both it and {twin} are set ({}): set one of them", self.origin(&twin));
            return self.refuse(key, problem);
        }
        let (at, secret) = if path.is_empty() {
            (key, direct)
        } else {
            match std::fs::read_to_string(&path) {
                Ok(content) => (twin.as_str(), Secret::new(content.trim())),
                Err(error) => return self.refuse(&twin, format!("`{path}` cannot be read: {error}")),
            }
        };
        match parse(&secret) {
            Ok(value) => Some(value),
            Err(problem) => self.refuse(at, problem),
        }
    }

    /// Notes a fault of `key`.
    pub(super) fn refuse<T>(&mut self, key: &str, problem: impl Into<String>) -> Option<T> {
        let origin = self.origin(key);
        self.faults.push(Fault { key: key.to_owned(), origin, problem: problem.into() });
        None
    }

    fn value(&mut self, key: &str) -> Option<&Value> {
        self.asked.insert(key.to_owned());
        // Absent only where a section was overwritten by something else, and that is a fault already.
        self.leaves.get(key)
    }

    fn origin(&self, key: &str) -> String {
        self.leaves.get(key).map_or_else(|| DEFAULT_ORIGIN.to_owned(), origin_of)
    }
}

/// A single value as text: variables are text anyway, so every parser starts there.
fn text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
        single => Some(single.to_string()),
    }
}
