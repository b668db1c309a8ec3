//! The queue of mails: what was asked for is written here first and leaves when the mail server has it.
//!
//! An entry says to whom, on which occasion, and what the text needs; no link lies in it, since the ticket of a link is made
//! when the mail is (docs/adr/0016). An entry and the index it stands in share a partition, so both change in one batch.
//! Whoever has an entry has it by a lease: `due_at` is moved into the future, by the store's clock and under the revision
//! that was read, so of several servers one gets it, and after one that died it comes due again.

use super::fields::{Draft, Fields};
use super::{PendingSignUp, Vault, VaultError, keys};
use crate::domain::{EmailAddress, Id, MailId, Timestamp};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Key, Outcome, Record, Value, Write};
use std::net::IpAddr;
use std::time::Duration;

/// Entries of one partition that are looked at in one go.
const AT_ONCE: usize = 1000;
/// How long an entry stays beyond its last try, should nobody have taken it out: an address must not lie here for ever.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The occasion of a mail.
#[derive(Clone, Debug)]
pub enum Letter {
    /// Somebody signed up.
    Verification(Box<PendingSignUp>),
    /// Somebody forgot the password of whatever account this address has, if any.
    PasswordForgotten {
        /// Where it was asked from.
        from: Option<IpAddr>,
    },
    /// The password was changed.
    PasswordChanged,
}

/// A mail that is to be sent.
#[derive(Clone, Debug)]
pub struct MailDraft {
    /// To whom.
    pub to: EmailAddress,
    /// Why.
    pub letter: Letter,
    /// How long it is tried.
    pub keep_trying: Duration,
}

/// An entry that the holder of this may send now, and nobody else until the lease is over.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// Its id.
    pub id: MailId,
    /// To whom.
    pub to: EmailAddress,
    /// Why.
    pub letter: Letter,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it is not tried any more.
    pub give_up_at: Timestamp,
    /// Tries that failed.
    pub tries: u32,
    /// When the lease began, as time of this process, or a little before.
    pub leased_at: Duration,
    member: String,
    rev: u64,
}

/// An entry as it stands in the index.
#[derive(Clone, Debug)]
pub struct WaitingMail {
    /// From when on it may be taken; a hint, the record knows.
    pub due: Timestamp,
    /// When it was asked for.
    pub asked: Timestamp,
    id: MailId,
    member: String,
}

/// The queue of mails.
pub struct Mails<'a> {
    vault: &'a Vault,
}

impl<'a> Mails<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Puts a mail into the queue; the caller has it for as long as `lease`.
    pub async fn put(&self, draft: MailDraft, lease: Duration) -> Result<QueuedMail, VaultError> {
        let lives = draft.keep_trying + lease + FORGOTTEN_AFTER;
        self.write(draft, lease, lives).await
    }

    /// The same work for a mail that nobody is to get: what is written is gone before it comes due.
    pub async fn pretend(&self, draft: MailDraft, lease: Duration) -> Result<(), VaultError> {
        self.write(draft, lease, lease / 2).await.map(drop)
    }

    async fn write(
        &self,
        draft: MailDraft,
        lease: Duration,
        lives: Duration,
    ) -> Result<QueuedMail, VaultError> {
        let (id, leased_at, now) =
            (self.vault.chance.id(), self.vault.clock.monotonic(), self.vault.clock.now());
        let give_up_at = now.plus(draft.keep_trying);
        let fields = Draft::record()
            .put("kind", kind(&draft.letter))
            .put("to", &draft.to)
            .time("asked_at", now)
            .time("give_up_at", give_up_at)
            .raw("due_at", Value::Now(lease))
            .put("tries", 0);
        let fields = details(fields, &draft.letter).done();
        let member = member(now.plus(lease), now, &id);
        let batch = Batch::new()
            .then(Write::Put { key: keys::mail(&id), fields, lives: Some(lives) })
            .then(Write::IndexAdd { index: index(&id), member: member.clone() });
        self.vault.store.apply(batch).await?;
        let MailDraft { to, letter, .. } = draft;
        Ok(QueuedMail { id, to, letter, asked_at: now, give_up_at, tries: 0, leased_at, member, rev: 1 })
    }

    /// All partitions.
    pub fn shards(&self) -> std::ops::Range<u16> {
        keys::mail_shards()
    }

    /// The entries of a partition, those due first in front; 1000 at most.
    pub async fn waiting(&self, shard: u16) -> Result<Vec<WaitingMail>, VaultError> {
        let members = self.vault.store.scan(&keys::mails(shard), "", None, AT_ONCE).await?;
        let read = |member: String| {
            let waiting = parse(&member);
            if waiting.is_none() {
                tracing::error!(shard, "the queue of mails has an entry that cannot be read");
            }
            waiting
        };
        Ok(members.into_iter().filter_map(read).collect())
    }

    /// Takes an entry that is due, for as long as `lease`. None where it is gone, or somebody else has it.
    pub async fn claim(
        &self,
        waiting: &WaitingMail,
        lease: Duration,
    ) -> Result<Option<QueuedMail>, VaultError> {
        let leased_at = self.vault.clock.monotonic();
        let key = keys::mail(&waiting.id);
        let Some(record) = self.vault.store.get(&key).await? else {
            // Entry and index are written together, so it was done with or is past its life.
            let swept = Batch::new()
                .when(Guard::Absent(key))
                .then(Write::IndexRemove { index: index(&waiting.id), member: waiting.member.clone() });
            self.vault.store.apply(swept).await?;
            return Ok(None);
        };
        let read = read(&key, &record, &waiting.id)?;
        let mine = QueuedMail { leased_at, member: waiting.member.clone(), ..read };
        let guards = [Guard::Rev(key.clone(), mine.rev), Guard::Passed(key, "due_at".to_owned())];
        self.move_to(mine, &guards, Draft::some(), lease).await
    }

    /// Gives an entry back after a try that failed: it comes due again after `pause`.
    pub async fn postpone(&self, mail: QueuedMail, pause: Duration) -> Result<(), VaultError> {
        let guards = [Guard::Rev(keys::mail(&mail.id), mail.rev)];
        let tries = Draft::some().put("tries", mail.tries.saturating_add(1));
        self.move_to(mail, &guards, tries, pause).await.map(drop)
    }

    /// Takes an entry out for good.
    pub async fn done(&self, mail: &QueuedMail) -> Result<(), VaultError> {
        // Without a guard: whoever has it by now would send it again.
        let batch = Batch::new()
            .then(Write::Delete { key: keys::mail(&mail.id) })
            .then(Write::IndexRemove { index: index(&mail.id), member: mail.member.clone() });
        self.vault.store.apply(batch).await?;
        Ok(())
    }

    /// Lets an entry come due after `pause`; none where a guard does not hold.
    async fn move_to(
        &self,
        mail: QueuedMail,
        guards: &[Guard],
        fields: Draft,
        pause: Duration,
    ) -> Result<Option<QueuedMail>, VaultError> {
        let fields = fields.raw("due_at", Value::Now(pause)).done();
        let next = member(self.vault.clock.now().plus(pause), mail.asked_at, &mail.id);
        let batch = guards.iter().cloned().fold(Batch::new(), Batch::when);
        let batch = batch
            .then(Write::Set { key: keys::mail(&mail.id), fields })
            .then(Write::IndexRemove { index: index(&mail.id), member: mail.member.clone() })
            .then(Write::IndexAdd { index: index(&mail.id), member: next.clone() });
        match self.vault.store.apply(batch).await? {
            Outcome::Applied(_) => Ok(Some(QueuedMail { member: next, rev: mail.rev + 1, ..mail })),
            Outcome::Refused(..) => Ok(None),
        }
    }
}

fn index(id: &MailId) -> Key {
    keys::mails(keys::mail_shard(id))
}

fn member(due: Timestamp, asked: Timestamp, id: &MailId) -> String {
    format!("{:015}:{:015}:{id}", due.as_millis(), asked.as_millis())
}

fn parse(member: &str) -> Option<WaitingMail> {
    let time = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    let mut parts = member.split(':');
    let (due, asked, id) = (time(parts.next()?)?, time(parts.next()?)?, MailId::parse(parts.next()?)?);
    parts.next().is_none().then(|| WaitingMail { due, asked, id, member: member.to_owned() })
}

fn kind(letter: &Letter) -> &'static str {
    match letter {
        Letter::Verification(_) => "verification",
        Letter::PasswordForgotten { .. } => "password-forgotten",
        Letter::PasswordChanged => "password-changed",
    }
}

fn details(fields: Draft, letter: &Letter) -> Draft {
    match letter {
        Letter::Verification(sign_up) => {
            fields.put("password_hash", &sign_up.password_hash).put("product", &sign_up.product)
        }
        Letter::PasswordForgotten { from } => fields.maybe("asked_from", *from),
        Letter::PasswordChanged => fields,
    }
}

fn read(key: &Key, record: &Record, id: &MailId) -> Result<QueuedMail, VaultError> {
    let fields = Fields::of(key, record)?;
    let to = fields.parsed("to", |text| EmailAddress::parse(text).ok())?;
    let asked_at = fields.time("asked_at")?;
    let letter = match fields.text("kind")? {
        "verification" => {
            let sign_up = PendingSignUp {
                email: to.clone(),
                password_hash: fields.text("password_hash")?.to_owned(),
                product: fields.text("product")?.to_owned(),
                created_at: asked_at,
            };
            Letter::Verification(Box::new(sign_up))
        }
        "password-forgotten" => {
            Letter::PasswordForgotten { from: fields.maybe("asked_from", |text| text.parse().ok())? }
        }
        "password-changed" => Letter::PasswordChanged,
        _ => return Err(fields.fault("kind", "cannot be read")),
    };
    Ok(QueuedMail {
        id: id.clone(),
        to,
        letter,
        asked_at,
        give_up_at: fields.time("give_up_at")?,
        tries: fields.parsed("tries", |text| text.parse().ok())?,
        leased_at: Duration::ZERO,
        member: String::new(),
        rev: fields.rev(),
    })
}
