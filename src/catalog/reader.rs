//! Reading TOML tables without stopping at the first fault: every key that is asked for becomes a known one, and what
//! nobody asked for is an unknown one, with the closest known one as a hint.

use super::fault::Fault;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike two keys must be (0 to 1) for one to be taken for a slip of the other.
const ALIKE: f64 = 0.7;

/// One file being read, and what was wrong with it so far.
pub(super) struct Sink<'a> {
    file: &'a str,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, faults: RefCell::default() }
    }

    pub(super) fn fault(&self, span: &Range<usize>, what: impl Into<String>, hint: Option<&str>) {
        let fault = Fault::at(self.file, self.text, span.start, what).hint(hint.map(str::to_owned));
        self.faults.borrow_mut().push(fault);
    }

    /// All faults, in the order of the file.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort();
        faults.dedup();
        faults
    }
}

/// A value and where it stands.
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// One table of the file, or one that is not there: then every key has its default.
pub(super) struct Table<'a> {
    sink: &'a Sink<'a>,
    /// Its name in front of its keys: `token.response.`, empty for the file itself.
    path: String,
    entries: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

type Entry<'a> = Spanned<DeValue<'a>>;

impl<'a> Table<'a> {
    /// The file itself.
    pub(super) fn file(sink: &'a Sink<'a>, entries: &'a DeTable<'a>) -> Self {
        Self::new(sink, String::new(), Some(entries), 0..0)
    }

    fn new(sink: &'a Sink<'a>, path: String, entries: Option<&'a DeTable<'a>>, span: Range<usize>) -> Self {
        Self { sink, path, entries, span, known: Vec::new() }
    }

    pub(super) fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// A fault of the table as a whole.
    pub(super) fn fault(&self, what: impl Into<String>, hint: Option<&str>) {
        self.sink.fault(&self.span, what, hint);
    }

    /// A fault of one value.
    pub(super) fn fault_at<T>(&self, at: &At<T>, what: impl Into<String>, hint: Option<&str>) {
        self.sink.fault(&at.span, what, hint);
    }

    /// The name of a key with the tables it is in.
    pub(super) fn name_of(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Entry<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries?.get(key)
    }

    fn wrong_type(&self, key: &str, value: &Entry<'_>, wanted: &str) {
        self.sink.fault(&value.span(), format!("`{}` must be {wanted}", self.name_of(key)), None);
    }

    /// Text; empty text counts as absent.
    pub(super) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        self.any_text(key).filter(|at| !at.value.is_empty())
    }

    /// Text, empty or not.
    pub(super) fn any_text(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, value, "a string");
        }
        Some(At { value: text?.to_owned(), span: value.span() })
    }

    /// Text without which there is no provider.
    pub(super) fn required_text(&mut self, key: &'static str) -> Option<At<String>> {
        let absent = self.entries.is_none_or(|entries| entries.get(key).is_none());
        let at = self.any_text(key);
        match &at {
            Some(at) if at.value.is_empty() => {
                self.fault_at(at, format!("`{}` is empty", self.name_of(key)), None);
            }
            None if absent => self.fault(format!("`{}` is missing", self.name_of(key)), None),
            _ => {}
        }
        at.filter(|at| !at.value.is_empty())
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        let Some(value) = self.value(key) else { return false };
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        flag.unwrap_or_default()
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<At<String>> {
        self.value(key).map(|value| self.text_list(key, value)).unwrap_or_default()
    }

    fn text_list(&self, key: &str, value: &Entry<'_>) -> Vec<At<String>> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of strings");
            return Vec::new();
        };
        let text = |item: &Entry<'_>| {
            let text = item.get_ref().as_str();
            if text.is_none() {
                self.wrong_type(key, item, "a list of strings");
            }
            Some(At { value: text?.to_owned(), span: item.span() })
        };
        items.iter().filter_map(text).collect()
    }

    /// A table whose keys are the file's own, with texts as values.
    pub(super) fn map(&mut self, key: &'static str) -> BTreeMap<String, At<String>> {
        let mut map = BTreeMap::new();
        for (name, span, value) in self.own_entries(key) {
            match value.get_ref().as_str() {
                Some(text) => drop(map.insert(name, At { value: text.to_owned(), span })),
                None => self.wrong_type(&format!("{key}.{name}"), value, "a string"),
            }
        }
        map
    }

    /// A table whose keys are the file's own, with lists of texts as values.
    pub(super) fn lists(&mut self, key: &'static str) -> BTreeMap<String, At<Vec<At<String>>>> {
        let entries = self.own_entries(key).into_iter();
        entries
            .map(|(name, span, value)| {
                let list = self.text_list(&format!("{key}.{name}"), value);
                (name, At { value: list, span })
            })
            .collect()
    }

    /// A table whose keys are the file's own, with tables as values.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(At<String>, Table<'a>)> {
        let mut tables = Vec::new();
        for (name, span, value) in self.own_entries(key) {
            match value.get_ref().as_table() {
                Some(entries) => {
                    let path = format!("{}{key}.{name}.", self.path);
                    let table = Self::new(self.sink, path, Some(entries), span.clone());
                    tables.push((At { value: name, span }, table));
                }
                None => self.wrong_type(&format!("{key}.{name}"), value, "a table"),
            }
        }
        tables
    }

    fn own_entries(&mut self, key: &'static str) -> Vec<(String, Range<usize>, &'a Entry<'a>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return Vec::new();
        };
        table.iter().map(|(name, value)| (name.get_ref().to_string(), name.span(), value)).collect()
    }

    /// A table; one that is not there where the file has none.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'a> {
        let value = self.value(key);
        let entries = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, entries) {
            self.wrong_type(key, value, "a table");
        }
        let name = self.entries.and_then(|entries| entries.get_key_value(key));
        let span = name.map_or_else(|| self.span.clone(), |(name, _)| name.span());
        Self::new(self.sink, format!("{}{key}.", self.path), entries, span)
    }

    /// An array of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "an array of tables, in double brackets");
            return Vec::new();
        };
        let table = |item: &'a Entry<'a>| {
            let entries = item.get_ref().as_table();
            if entries.is_none() {
                self.wrong_type(key, item, "an array of tables, in double brackets");
            }
            Some(Self::new(self.sink, format!("{}{key}.", self.path), Some(entries?), item.span()))
        };
        items.iter().filter_map(table).collect()
    }

    /// Where `key` stands, if the file has it. Does not make it a known one.
    pub(super) fn presence(&self, key: &str) -> Option<At<()>> {
        let (name, _) = self.entries?.get_key_value(key)?;
        Some(At { value: (), span: name.span() })
    }

    /// Reports what nobody asked for. The last thing done with a table.
    pub(super) fn finish(self) {
        for (name, _) in self.entries.into_iter().flatten() {
            let key = name.get_ref().as_ref();
            if !self.known.contains(&key) {
                let what = format!("unknown key `{}`", self.name_of(key));
                self.sink.fault(&name.span(), what, Some(&hint_for(key, &self.known)));
            }
        }
    }
}

/// `did you mean …` where one is alike, else all there are.
pub(super) fn hint_for(given: &str, known: &[&str]) -> String {
    let given = given.to_ascii_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&given, &known.to_ascii_lowercase());
    let closest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match closest.filter(|known| likeness(known) >= ALIKE) {
        Some(known) => format!("did you mean `{known}`?"),
        None if known.is_empty() => "there is nothing to choose from".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}
