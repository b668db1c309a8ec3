//! How far the store is: a number that only grows, on a line that an operator can end. Servers remember it, so that a store put
//! back from a backup is known as such, and the refresh tokens in it, spent long ago, are not sent by anybody.

use super::fields::{Draft, Fields};
use super::{Vault, VaultError, keys};
use crate::domain::{InstanceId, LineId, Timestamp};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Value, Write};
use std::time::Duration;

/// Lines that ended and are remembered.
const ANCESTORS: usize = 50;

/// How far a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// On which line.
    pub line: LineId,
    /// Grows for as long as a server runs.
    pub count: u64,
    /// Lines that led to this one.
    pub ancestors: Vec<LineId>,
    /// Refreshes of rotating providers wait for an operator.
    pub held: Option<Hold>,
    rev: u64,
}

/// Why refreshes wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// What was found.
    pub because: String,
    /// By which server.
    pub by: InstanceId,
}

/// What a server is certain that the store had reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// On which line.
    pub line: LineId,
    /// How far.
    pub count: u64,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The store is as far as it was, or farther.
    GoesOn,
    /// An operator has begun another line since.
    Resumed,
    /// It is where it was before: a backup was put back.
    Older,
    /// It is on a line that does not come from the one remembered: another store, or a backup from before a line was begun.
    Another,
    /// It is on no line yet; tenants are in it, and this server remembers a line: a backup from before there were any.
    Lineless,
    /// It is on no line yet, and there is nothing to lose by beginning one.
    New,
}

/// Compares what is remembered with what is found.
pub fn judge(remembered: Option<&Reached>, found: Option<&Epoch>, has_tenants: bool) -> Judgement {
    match (remembered, found) {
        (Some(_), None) if has_tenants => Judgement::Lineless,
        (_, None) => Judgement::New,
        (None, Some(_)) => Judgement::GoesOn,
        (Some(remembered), Some(found)) if remembered.line == found.line => {
            if found.count < remembered.count { Judgement::Older } else { Judgement::GoesOn }
        }
        (Some(remembered), Some(found)) if found.ancestors.contains(&remembered.line) => Judgement::Resumed,
        (Some(_), Some(_)) => Judgement::Another,
    }
}

/// How far the store is.
pub struct Epochs<'a> {
    vault: &'a Vault,
}

impl<'a> Epochs<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// How far it is; none where it is on no line yet.
    pub async fn read(&self) -> Result<Option<Epoch>, VaultError> {
        let key = keys::epoch();
        let Some(record) = self.vault.store.get(&key).await? else { return Ok(None) };
        let fields = Fields::of(&key, &record)?;
        let hold = match fields.optional("held_because") {
            None => None,
            Some(because) => Some(Hold {
                since: fields.time("held_since")?,
                because: because.to_owned(),
                by: fields.id("held_by")?,
            }),
        };
        let ancestors = fields.text("ancestors")?.split(' ');
        Ok(Some(Epoch {
            line: fields.id("line")?,
            count: fields.parsed("count", |text| text.parse().ok())?,
            ancestors: ancestors.filter_map(crate::domain::Id::parse).collect(),
            held: hold,
            rev: fields.rev(),
        }))
    }

    /// True where any tenant is in the store.
    pub async fn has_tenants(&self) -> Result<bool, VaultError> {
        let mut tenants = self.vault.all_tenants();
        while let Some(page) = tenants.next().await? {
            if !page.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins the first line of a store. False where somebody else did.
    pub async fn begin(&self) -> Result<bool, VaultError> {
        let line: LineId = self.vault.chance.id();
        let fields = Draft::record().put("line", line).put("count", 0).put("ancestors", "").done();
        let key = keys::epoch();
        let batch = Batch::new().when(Guard::Absent(key.clone()));
        let batch = batch.then(Write::Put { key, fields, lives: None });
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// One farther. Where somebody else was first, that is as good.
    pub async fn tick(&self, read: &Epoch) -> Result<(), VaultError> {
        self.change(read, Draft::some().put("count", read.count + 1), &[]).await.map(drop)
    }

    /// Lets refreshes of rotating providers wait, in the whole fleet. False where it was changed meanwhile.
    pub async fn hold(&self, read: &Epoch, because: &str, by: &InstanceId) -> Result<bool, VaultError> {
        let draft = Draft::some()
            .raw("held_since", Value::Now(Duration::ZERO))
            .put("held_because", because)
            .put("held_by", by);
        self.change(read, draft, &[]).await
    }

    /// Ends a hold and begins another line, so that no server takes the store for an older one any more. False where it was
    /// changed meanwhile.
    pub async fn resume(&self, read: &Epoch) -> Result<bool, VaultError> {
        let line: LineId = self.vault.chance.id();
        let lines = std::iter::once(&read.line).chain(&read.ancestors).take(ANCESTORS);
        let ancestors: Vec<&str> = lines.map(LineId::as_str).collect();
        let draft = Draft::some().put("line", line).put("ancestors", ancestors.join(" "));
        self.change(read, draft, &["held_since", "held_because", "held_by"]).await
    }

    async fn change(&self, read: &Epoch, draft: Draft, gone: &[&str]) -> Result<bool, VaultError> {
        let key = keys::epoch();
        let fields = gone.iter().map(|name| (*name).to_owned()).collect();
        let batch = Batch::new()
            .when(Guard::Rev(key.clone(), read.rev))
            .when(Guard::Equals(key.clone(), "line".to_owned(), read.line.as_str().into()))
            .then(Write::Unset { key: key.clone(), fields })
            .then(Write::Set { key, fields: draft.done() });
        Ok(self.vault.store.apply(batch).await?.applied())
    }
}

impl Reached {
    /// As it lies on a disk.
    pub fn page(&self) -> Vec<u8> {
        format!("{} {}\n", self.line, self.count).into_bytes()
    }

    /// Reads what [`Self::page`] wrote.
    pub fn read(page: &[u8]) -> Option<Self> {
        let (line, count) = std::str::from_utf8(page).ok()?.trim_end().split_once(' ')?;
        Some(Self { line: crate::domain::Id::parse(line)?, count: count.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Id;
    use proptest::prelude::*;

    fn line(number: usize) -> LineId {
        LineId::parse(&format!("{number:022}")).unwrap()
    }

    fn epoch(line: LineId, count: u64, ancestors: &[LineId]) -> Epoch {
        Epoch { line, count, ancestors: ancestors.to_vec(), held: None, rev: 1 }
    }

    #[test]
    fn what_is_found_is_judged_by_what_is_remembered() {
        let reached = Reached { line: line(1), count: 7 };
        let judged = |found: Option<&Epoch>| judge(Some(&reached), found, true);
        assert_eq!(judged(Some(&epoch(line(1), 7, &[]))), Judgement::GoesOn);
        assert_eq!(judged(Some(&epoch(line(1), 6, &[]))), Judgement::Older);
        assert_eq!(judged(Some(&epoch(line(2), 3, &[line(0), line(1)]))), Judgement::Resumed);
        assert_eq!(judged(Some(&epoch(line(2), 9, &[line(0)]))), Judgement::Another);
        assert_eq!(judged(None), Judgement::Lineless);
        assert_eq!(judge(Some(&reached), None, false), Judgement::New);
        assert_eq!(judge(None, None, true), Judgement::New);
        assert_eq!(judge(None, Some(&epoch(line(2), 9, &[])), true), Judgement::GoesOn);
        assert_eq!(Reached::read(&reached.page()), Some(reached));
        assert_eq!(Reached::read(b"junk"), None);
    }

    /// What can happen to a store and its servers.
    #[derive(Clone, Debug)]
    enum Step {
        Tick,
        /// A server looks, and is certain of what it finds.
        Look(usize),
        Backup,
        Restore,
        Resume,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Tick),
            4 => (0..3_usize).prop_map(Step::Look),
            1 => Just(Step::Backup),
            1 => Just(Step::Restore),
            1 => Just(Step::Resume),
        ]
    }

    proptest! {
        /// Whoever had been certain of more than a restored store has finds that out when it looks, and nobody raises an alarm
        /// where nothing was put back.
        #[test]
        fn a_store_that_went_back_is_always_found_out(steps in proptest::collection::vec(step(), 1..80)) {
            let mut store = epoch(line(0), 0, &[]);
            let mut backup = store.clone();
            let mut servers: [Option<Reached>; 3] = [None, None, None];
            let (mut restored, mut lines) = (false, 1);
            for step in steps {
                match step {
                    Step::Tick => store.count += 1,
                    Step::Backup => backup = store.clone(),
                    Step::Restore => {
                        restored |= store != backup;
                        store = backup.clone();
                    }
                    Step::Resume => {
                        let ancestors = std::iter::once(&store.line).chain(&store.ancestors).cloned().collect::<Vec<_>>();
                        store = epoch(line(lines), store.count, &ancestors);
                        lines += 1;
                    }
                    Step::Look(server) => {
                        let judgement = judge(servers[server].as_ref(), Some(&store), true);
                        let behind = servers[server].as_ref().is_some_and(|reached| {
                            reached.line == store.line && reached.count > store.count
                        });
                        prop_assert_eq!(judgement == Judgement::Older, behind);
                        if !restored {
                            prop_assert!(matches!(judgement, Judgement::GoesOn | Judgement::Resumed));
                        }
                        if matches!(judgement, Judgement::GoesOn | Judgement::Resumed) {
                            servers[server] = Some(Reached { line: store.line.clone(), count: store.count });
                        }
                    }
                }
            }
        }
    }
}
