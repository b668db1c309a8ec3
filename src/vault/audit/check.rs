//! One trail, checked record by record. No I/O.

use super::chain::{Head, Link, Trails};
use super::event::Entry;
use super::heads_log::Logged;
use crate::crypto::hash::same;
use crate::ports::store::{EntryId, Record};
use crate::vault::data_keys::TenantKeys;

/// What can be wrong with a trail. `sequence` is the record's number.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Wrong {
    #[error("record {0} was changed, or does not come from this trail")]
    Changed(u64),
    #[error(
        "record {0} does not follow what stands before it: one of the two was changed, or does not come from this trail"
    )]
    NotFollowing(u64),
    #[error("records {0} to {1} are missing: the beginning was cut off")]
    CutBefore(u64, u64),
    #[error("records {0} to {1} are missing")]
    Missing(u64, u64),
    #[error("records {0} to {1} are missing: the end was cut off; the head record says how far it went")]
    CutAfter(u64, u64),
    #[error("record {0} is out of order: it stands after record {1}")]
    OutOfOrder(u64, u64),
    #[error("record {0} is there again, after record {1}")]
    Again(u64, u64),
    #[error("what stands at {0} is no record")]
    NoRecord(EntryId),
    #[error("record {0} cannot be verified: its data key {1} is not there")]
    NoKey(u64, String),
    #[error("its head record is missing; the last record is {0}")]
    NoHead(u64),
    #[error("its head record cannot be read: {0}")]
    OddHead(String),
    #[error(
        "its head record says {0} and the last record is {1}: the head was set back, or records were made up"
    )]
    HeadBehind(u64, u64),
    #[error("its head record does not match record {0}")]
    HeadDiffers(u64),
    #[error("its checkpoint at record {0} was changed")]
    Checkpoint(u64),
    #[error("its checkpoint at record {0} let records go that were to be kept longer")]
    CheckpointEarly(u64),
    #[error("record {0} is not the one that the log names: the trail was rewritten")]
    LoggedDiffers(u64),
    #[error("records {0} to {1} are missing: the log says how far it went, and head and end were cut off")]
    LoggedBeyond(u64, u64),
    #[error("all of it is missing: the log says that it stood at record {0}")]
    LoggedGone(u64),
    #[error("it is not in the tenant's index of instances")]
    NotListed,
}

/// Checks the records of one trail in the order in which they stand.
pub(super) struct Checker<'a> {
    trails: &'a Trails<'a>,
    keys: &'a TenantKeys,
    /// The record after which those that are there have to begin.
    begin: Link,
    /// Where the head stood when the checking began.
    head: Option<Link>,
    highest: u64,
    /// What the MAC before the next record may be: as it stands there, and as it had to be. None where nobody knows.
    before: Vec<String>,
    /// The one before is not as it was written.
    spoilt: bool,
    missing: Vec<(u64, u64)>,
    logged: Vec<Logged>,
    compared: u64,
    count: u64,
    faults: Vec<Wrong>,
}

impl<'a> Checker<'a> {
    pub fn begin(
        trails: &'a Trails<'a>,
        keys: &'a TenantKeys,
        head: &Result<Option<Head>, String>,
        logged: Vec<Logged>,
    ) -> Self {
        let known = head.as_ref().ok().and_then(Option::as_ref);
        let begin = known.map_or_else(Link::beginning, Head::begins_after);
        let mut faults = Vec::new();
        if let Some(checkpoint) = known.and_then(|head| head.checkpoint.as_ref()) {
            if !checkpoint.is_authentic(trails, keys) {
                faults.push(Wrong::Checkpoint(begin.sequence));
            } else if !checkpoint.is_due() {
                faults.push(Wrong::CheckpointEarly(begin.sequence));
            }
        }
        Self {
            trails,
            keys,
            highest: begin.sequence,
            before: vec![begin.mac.clone()],
            spoilt: false,
            begin,
            head: known.map(|head| head.link.clone()),
            missing: Vec::new(),
            logged,
            compared: 0,
            count: 0,
            faults,
        }
    }

    pub fn records(&self) -> u64 {
        self.count
    }

    pub fn heads(&self) -> u64 {
        self.compared
    }

    pub fn into_faults(self) -> Vec<Wrong> {
        self.faults
    }

    /// The next entry of the stream.
    pub fn see(&mut self, id: EntryId, record: &Record) {
        self.count += 1;
        let Some(entry) = Entry::read(record).filter(|entry| entry.event().is_some()) else {
            self.faults.push(Wrong::NoRecord(id));
            return;
        };
        let sequence = entry.link.sequence;
        if sequence <= self.highest {
            let wrong = if self.found(sequence) { Wrong::OutOfOrder } else { Wrong::Again };
            self.faults.push(wrong(sequence, self.highest));
            return;
        }
        if sequence > self.highest + 1 {
            self.missing.push((self.highest + 1, sequence - 1));
            // Without the one before it nobody can say what its MAC has to be.
            self.before.clear();
        }
        self.compare(&entry);
        self.check_mac(&entry);
        self.highest = sequence;
    }

    /// Takes a record out of those that are missing.
    fn found(&mut self, sequence: u64) -> bool {
        let Some(place) = self.missing.iter().position(|(from, to)| (*from..=*to).contains(&sequence)) else {
            return false;
        };
        let (from, to) = self.missing.remove(place);
        let rests = [(from, sequence.saturating_sub(1)), (sequence + 1, to)];
        self.missing.extend(rests.into_iter().filter(|(from, to)| from <= to && *from > 0));
        true
    }

    fn check_mac(&mut self, entry: &Entry) {
        let sequence = entry.link.sequence;
        let wrong = if self.spoilt { Wrong::NotFollowing } else { Wrong::Changed };
        let mut before = vec![entry.link.mac.clone()];
        self.spoilt = true;
        for mac in &self.before {
            let link = Link { sequence: sequence - 1, mac: mac.clone() };
            let Some(expected) = self.trails.expected(&link, entry, self.keys) else {
                self.faults.push(Wrong::NoKey(sequence, entry.data_key.to_string()));
                self.before = before;
                return;
            };
            if same(expected.as_bytes(), entry.link.mac.as_bytes()) {
                self.before = vec![expected];
                self.spoilt = false;
                return;
            }
            before.push(expected);
        }
        if self.before.is_empty() {
            self.spoilt = false;
        } else {
            self.faults.push(wrong(sequence));
        }
        self.before = before;
    }

    /// With what else says how the record is: the head, and the log.
    fn compare(&mut self, entry: &Entry) {
        let Link { sequence, mac } = &entry.link;
        if self.head.as_ref().is_some_and(|head| head.sequence == *sequence && head.mac != *mac) {
            self.faults.push(Wrong::HeadDiffers(*sequence));
        }
        let mut logged = self.logged.iter().filter(|head| head.sequence == *sequence).peekable();
        if logged.peek().is_some() {
            self.compared += 1;
            if logged.any(|head| head.mac != *mac) {
                self.faults.push(Wrong::LoggedDiffers(*sequence));
            }
        }
    }

    /// After the last entry; the head as it is now.
    pub fn end(mut self, now: &Result<Option<Head>, String>) -> Self {
        self.missing.sort_unstable();
        for (from, to) in std::mem::take(&mut self.missing) {
            let front = from == self.begin.sequence + 1;
            self.faults.push(if front { Wrong::CutBefore(from, to) } else { Wrong::Missing(from, to) });
        }
        if let Some(head) = self.head.take() {
            if head.sequence > self.highest {
                self.faults.push(Wrong::CutAfter(self.highest + 1, head.sequence));
            } else if head.sequence == self.begin.sequence && head.mac != self.begin.mac {
                self.faults.push(Wrong::HeadDiffers(head.sequence));
            }
            self.highest = self.highest.max(head.sequence);
        }
        match now {
            Err(fault) => self.faults.push(Wrong::OddHead(fault.clone())),
            Ok(None) if self.count > 0 => self.faults.push(Wrong::NoHead(self.highest)),
            Ok(Some(head)) if head.link.sequence < self.highest => {
                self.faults.push(Wrong::HeadBehind(head.link.sequence, self.highest));
            }
            Ok(_) => {}
        }
        let furthest = self.logged.iter().map(|head| head.sequence).max();
        match furthest.filter(|sequence| *sequence > self.highest) {
            Some(sequence) if self.count == 0 && matches!(now, Ok(None)) => {
                self.faults.push(Wrong::LoggedGone(sequence));
            }
            Some(sequence) => self.faults.push(Wrong::LoggedBeyond(self.highest + 1, sequence)),
            None => {}
        }
        self
    }
}
