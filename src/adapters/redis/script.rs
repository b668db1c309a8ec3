//! A batch as the script `apply.lua` reads it. What the arguments mean stands there.

use super::eval::{Invocation, Script, Words};
use super::index;
use crate::domain::Timestamp;
use crate::ports::store::{Batch, Guard, Key, Outcome, Value, Write};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

/// Does a batch.
pub(super) static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("apply.lua")));

/// Reads and removes a record.
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// The longest span that is sent: some 30,000 years, so that now plus it stays exact in Lua's doubles.
const LONGEST: u128 = 1_000_000_000_000_000;

/// Words of the script in the order of its head.
const HEAD: usize = 4;

/// What a write wants to find under its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Record,
    Index,
    Stream,
    /// A deletion: whatever it is.
    Any,
}

impl Kind {
    fn of(write: &Write) -> Self {
        match write {
            Write::Put { .. } | Write::Set { .. } | Write::Unset { .. } => Self::Record,
            Write::IndexAdd { .. } | Write::IndexRemove { .. } => Self::Index,
            Write::Append { .. } | Write::Trim { .. } => Self::Stream,
            Write::Delete { .. } | Write::Tell { .. } => Self::Any,
        }
    }
}

/// The arguments of `apply.lua`.
#[derive(Default)]
struct Call<'a> {
    keys: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    words: Words,
    times: Vec<(usize, u128)>,
}

/// The call that does `batch`.
pub(super) fn invocation(batch: &Batch) -> Invocation {
    let mut call = Call::default();
    let records = call.know_all(batch, Kind::Record);
    let indexes = call.know_all(batch, Kind::Index);
    let streams = call.know_all(batch, Kind::Stream);
    call.know_all(batch, Kind::Any);
    batch.guards.iter().for_each(|guard| call.know(guard.key()));

    // Telling comes first: where the user has no right to it, nothing is written. Nobody hears of it before the script ends.
    let (told, writes): (Vec<_>, Vec<_>) =
        batch.writes.iter().partition(|write| matches!(write, Write::Tell { .. }));
    call.count(batch.guards.len() + told.len());
    batch.guards.iter().for_each(|guard| call.guard(guard));
    for write in &told {
        call.head("tell", write.key());
    }
    call.count(writes.len());
    for write in &writes {
        call.write(write);
    }

    let mut invocation = APPLY.prepare_invoke();
    for key in &call.keys {
        invocation.key(key);
    }
    for count in [records, indexes, streams, HEAD + call.words.len() + 1] {
        invocation.arg(count.to_string());
    }
    for word in call.words.iter() {
        invocation.arg(word);
    }
    for (place, span) in call.times {
        invocation.arg(place.to_string()).arg(span.to_string());
    }
    invocation
}

/// What the script answered.
pub(super) fn outcome((refused, now): (i64, i64)) -> Outcome {
    let at = Timestamp::from_millis(now);
    usize::try_from(refused).map_or(Outcome::Applied(at), |guard| Outcome::Refused(guard, at))
}

impl<'a> Call<'a> {
    /// Knows the keys of the writes of one kind; how many were new.
    fn know_all(&mut self, batch: &'a Batch, kind: Kind) -> usize {
        let before = self.keys.len();
        batch.writes.iter().filter(|write| Kind::of(write) == kind).for_each(|write| self.know(write.key()));
        self.keys.len() - before
    }

    fn know(&mut self, key: &'a Key) {
        let next = self.keys.len() + 1;
        let place = *self.places.entry(key.name()).or_insert(next);
        if place == next {
            self.keys.push(key.name());
        }
    }

    fn word(&mut self, word: impl AsRef<[u8]>) {
        self.words.push(word);
    }

    fn count(&mut self, count: usize) {
        self.word(count.to_string());
    }

    fn head(&mut self, kind: &str, key: &Key) {
        self.word(kind);
        self.count(self.places.get(key.name()).copied().unwrap_or_default());
    }

    fn guard(&mut self, guard: &Guard) {
        match guard {
            Guard::Absent(key) => self.head("absent", key),
            Guard::Present(key) => self.head("present", key),
            Guard::Rev(key, rev) => {
                self.head("equals", key);
                self.word("rev");
                self.word(rev.to_string());
            }
            Guard::Equals(key, field, value) => {
                self.head("equals", key);
                self.word(field.as_str());
                self.word(value.as_slice());
            }
            Guard::Missing(key, field) => {
                self.head("missing", key);
                self.word(field.as_str());
            }
            Guard::Passed(key, field) => {
                self.head("passed", key);
                self.word(field.as_str());
            }
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            // Redis removes a record whose life is over before it began; then there is no revision to go on from.
            Write::Put { key, lives: Some(lives), .. } if lives.as_millis() == 0 => self.head("delete", key),
            Write::Put { key, fields, lives } => self.fields("put", key, fields, *lives),
            Write::Set { key, fields } => self.fields("set", key, fields, None),
            Write::Unset { key, fields } => {
                // Were `rev` removed with the last other field, the record would end, and its life with it.
                let fields: Vec<_> = fields.iter().filter(|field| *field != "rev").collect();
                self.head("unset", key);
                self.count(fields.len());
                for field in fields {
                    self.word(field.as_str());
                }
            }
            Write::Delete { key } => self.head("delete", key),
            // Done with the guards.
            Write::Tell { .. } => {}
            Write::IndexAdd { index, member } => {
                self.head("add", index);
                self.word(index::written(member));
            }
            Write::IndexRemove { index, member } => {
                self.head("remove", index);
                self.word(index::written(member));
            }
            Write::Append { stream, fields } => {
                self.head("append", stream);
                self.count(2 * fields.len());
                self.pairs(fields);
            }
            Write::Trim { stream, before } => {
                self.head("trim", stream);
                self.word(before.to_string());
            }
        }
    }

    fn fields(&mut self, kind: &str, key: &Key, fields: &[(String, Value)], lives: Option<Duration>) {
        self.head(kind, key);
        self.word(lives.map(|lives| lives.as_millis().min(LONGEST).to_string()).unwrap_or_default());
        self.count(2 * fields.len() + 2);
        self.pairs(fields);
        self.word("rev");
        self.word("");
    }

    fn pairs(&mut self, fields: &[(String, Value)]) {
        for (field, value) in fields {
            self.word(field.as_str());
            match value {
                Value::Bytes(bytes) => self.word(bytes.as_slice()),
                Value::Now(span) => {
                    self.word("");
                    self.times.push((HEAD + self.words.len(), span.as_millis().min(LONGEST)));
                }
            }
        }
    }
}
