//! What an attempt brought, sealed and guarded: it can wait in memory or on a disk for a store that does not answer, and be
//! written as often as needed.
//!
//! New tokens are wanted as long as no newer generation of their grant is there. The provider gave them for the generation that
//! lies in the store, so they win over whoever took the attempt over and brought nothing.

use super::due::move_due;
use super::{
    Attempt, Connection, Connections, Doubt, Failure, Fresh, Plan, Slot, Status, Trouble, layout, told,
};
use crate::domain::{AttemptId, Event, Timestamp};
use crate::ports::store::{Batch, Guard, Key, Outcome, Record, StoreError, Value, Write};
use crate::vault::fields::Draft;
use crate::vault::{HeldKeys, VaultError, events};

/// Fields that say that somebody is refreshing.
const OF_AN_ATTEMPT: &[&str] = &["attempt_id", "attempt_generation", "attempt_started", "attempt_deadline"];
/// The refresh token before this one, kept for the provider's grace.
const OF_THE_TOKEN_BEFORE: &[&str] = &["previous_refresh_token", "previous_until"];
/// Fields that new tokens write, where the new generation has them.
const OF_A_GENERATION: &[&str] = &[
    "status",
    "generation",
    "token_type",
    "issued_at",
    "expires_at",
    "refresh_expires_at",
    "scopes",
    // It goes without saying where it is the same as `scopes`.
    "requested_scopes",
    "metadata",
    "last_attempt",
    "refreshed_at",
    "used_at",
    "due_at",
    "reauthorize_by",
    "access_token",
    "refresh_token",
    "previous_refresh_token",
    "previous_until",
    "more_tokens",
];
/// Fields that a success takes away.
const OF_TROUBLE: &[&str] = &[
    "reason",
    "failures",
    "retry_at",
    "last_error",
    "last_error_at",
    "failed_revision",
    "doubted",
    "unknown_since",
];

/// What an attempt brought. Its secrets are sealed.
#[derive(Clone, Debug)]
pub struct Brought {
    pub(super) slot: Slot,
    pub(super) attempt: AttemptId,
    /// The generation that the attempt was about.
    pub(super) generation: u64,
    set: Vec<(String, Value)>,
    unset: Vec<String>,
    /// Where it stood in the index of what is due.
    pub(super) due_before: Option<Timestamp>,
    due_after: Option<Timestamp>,
    pub(super) told: Vec<Event>,
    /// The connection as it will be, where there are new tokens.
    next: Option<Box<Connection>>,
}

/// What became of an outcome that was to be stored.
#[derive(Clone, Debug)]
pub enum Committed {
    /// It is stored; this is the connection now.
    Stored(Box<Connection>),
    /// Something newer is there: nothing was stored. The connection as it is, unless it is gone.
    Superseded(Option<Box<Connection>>),
    /// Somebody else is refreshing at this moment: what they bring decides. To be asked again.
    Contested(Box<Connection>),
}

impl Connections<'_> {
    /// The outcome of an attempt that brought tokens: the next generation. Needs no store.
    pub fn granted(
        &self,
        read: &Connection,
        attempt: &Attempt,
        fresh: &Fresh,
        keys: &HeldKeys,
    ) -> Result<Brought, VaultError> {
        let mut next = read.clone();
        next.status = Status::Active;
        next.generation += 1;
        next.token_type.clone_from(&fresh.token_type);
        next.issued_at = fresh.issued_at;
        next.expires_at = fresh.expires_at;
        next.refresh_expires_at = fresh.refresh_expires_at.or(read.refresh_expires_at);
        next.metadata.extend(fresh.metadata.clone());
        next.scopes = fresh.scopes.clone().unwrap_or_else(|| read.scopes.clone());
        next.last_attempt = Some(attempt.id.clone());
        next.refreshed_at = Some(fresh.issued_at);
        next.attempt = None;
        next.trouble = Trouble::default();
        next.used_at = fresh.used_at.or(read.used_at);
        next.plan = fresh.plan;
        let key = self.key(&read.slot);
        let fields = next.fields(self.seal_with(keys, &next, &fresh.tokens)?);
        let told = told::of_a_refresh(read, &next, self.vault.tells_refreshes);
        let due_before = read.plan.due_at;
        Brought::of_tokens(&key, fields, attempt.id.clone(), read.generation, (due_before, told))
    }

    /// The outcome of an attempt that brought nothing.
    pub fn failed(&self, read: &Connection, attempt: &Attempt, failure: &Failure) -> Brought {
        let unknown = (failure.doubt == Doubt::Unknown).then_some(attempt.started);
        let doubted = read.trouble.doubted || failure.doubt == Doubt::Answered;
        let reason = match failure.status {
            Status::ReauthorizationRequired(reason) => Some(reason.as_str()),
            _ => None,
        };
        let plan = Plan { due_at: failure.due_at, ..read.plan };
        let set = Draft::some()
            .put("status", failure.status.word())
            .maybe("reason", reason)
            .put("failures", read.trouble.failures.saturating_add(1))
            .maybe_time("retry_at", failure.retry_at)
            .put("last_error", &failure.error)
            .time("last_error_at", attempt.started)
            .maybe("failed_revision", failure.revision)
            .maybe("doubted", doubted.then_some(1))
            .maybe_time("unknown_since", read.trouble.unknown_since.or(unknown))
            .put("last_attempt", &attempt.id)
            .maybe_time("due_at", plan.due_at)
            .done();
        // Where there is nothing more to try, the token that was kept for a last try goes.
        let last_try: &[&str] = if reason.is_some() { OF_THE_TOKEN_BEFORE } else { &[] };
        let unset = unset(&set, &[OF_AN_ATTEMPT, &["retry_at", "due_at", "failed_revision"], last_try]);
        Brought {
            slot: read.slot.clone(),
            attempt: attempt.id.clone(),
            generation: read.generation,
            set,
            unset,
            due_before: read.plan.due_at,
            due_after: plan.due_at,
            told: told::of_a_failure(read, failure.status, &failure.error),
            next: None,
        }
    }

    /// Stores an outcome where its attempt is still the one and its generation the one that is there; new tokens also where
    /// their attempt was taken over and brought nothing. After any error it may be called again.
    pub async fn settle(&self, brought: &Brought) -> Result<Committed, VaultError> {
        if let Err(error) = self.hint(brought.due_after).await {
            // Tokens come first: a hint that is missing is put back later.
            tracing::warn!(%error, "that a tenant has something due is not told");
        }
        let lost = match self.vault.store.apply(self.batch(brought)).await {
            Ok(_) => None,
            Err(StoreError::OutcomeUnknown(why)) => Some(why),
            Err(error) => return Err(error.into()),
        };
        // Read back in any case: it answers for a lost answer, and gives the caller the record as it lies there.
        let now = self.find(&brought.slot).await?;
        match (now, lost) {
            (Some(now), _) if now.last_attempt.as_ref() == Some(&brought.attempt) => {
                Ok(Committed::Stored(Box::new(now)))
            }
            (Some(now), Some(why)) if now.attempt.as_ref().is_some_and(|a| a.id == brought.attempt) => {
                Err(StoreError::OutcomeUnknown(why).into())
            }
            (Some(now), _) if brought.is_newer_than(&now) => self.put_over(now, brought).await,
            (now, _) => Ok(Committed::Superseded(now.map(Box::new))),
        }
    }

    /// Puts new tokens over what was read, where nobody has written or begun anything since.
    pub async fn put_over(&self, now: Connection, brought: &Brought) -> Result<Committed, VaultError> {
        let Some(next) = &brought.next else { return Ok(Committed::Superseded(Some(Box::new(now)))) };
        let key = self.key(&brought.slot);
        let mut batch = self.unchanged(Batch::new(), &now);
        if now.attempt.is_some() {
            batch = batch.when(Guard::Passed(key.clone(), "attempt_deadline".to_owned()));
        }
        let events = told::of_a_refresh(&now, next, self.vault.tells_refreshes);
        let batch = self.writes(batch, brought, now.plan.due_at, &events);
        match self.vault.store.apply(batch).await? {
            Outcome::Refused(..) => Ok(Committed::Contested(Box::new(now))),
            Outcome::Applied(_) => {
                let found = self.find(&brought.slot).await?;
                Ok(match found {
                    Some(now) if now.last_attempt.as_ref() == Some(&brought.attempt) => {
                        Committed::Stored(Box::new(now))
                    }
                    now => Committed::Superseded(now.map(Box::new)),
                })
            }
        }
    }

    fn batch(&self, brought: &Brought) -> Batch {
        let Brought { slot, attempt, generation, due_before, told, .. } = brought;
        let key = self.key(slot);
        let batch = Batch::new()
            .when(Guard::Equals(key.clone(), "attempt_id".to_owned(), attempt.as_str().into()))
            .when(Guard::Equals(key, "generation".to_owned(), generation.to_string().into()));
        self.writes(batch, brought, *due_before, told)
    }

    fn writes(
        &self,
        batch: Batch,
        brought: &Brought,
        due_before: Option<Timestamp>,
        told: &[Event],
    ) -> Batch {
        let (tenant, key) = (self.by.tenant(), self.key(&brought.slot));
        let batch = batch
            .then(Write::Unset { key: key.clone(), fields: brought.unset.clone() })
            .then(Write::Set { key, fields: brought.set.clone() });
        let batch = move_due(batch, tenant, &brought.slot, (due_before, brought.due_after));
        events::tell(batch, tenant, told)
    }
}

impl Brought {
    /// From all fields of the connection as it will be.
    pub(super) fn of_tokens(
        key: &Key,
        fields: Vec<(String, Value)>,
        attempt: AttemptId,
        generation: u64,
        (due_before, told): (Option<Timestamp>, Vec<Event>),
    ) -> Result<Self, VaultError> {
        let next = layout::read(key, &record(&fields))?;
        let mut set = fields;
        set.retain(|(name, _)| OF_A_GENERATION.contains(&name.as_str()));
        let unset = unset(&set, &[OF_A_GENERATION, OF_AN_ATTEMPT, OF_TROUBLE]);
        Ok(Self {
            slot: next.slot.clone(),
            attempt,
            generation,
            set,
            unset,
            due_before,
            due_after: next.plan.due_at,
            told,
            next: Some(Box::new(next)),
        })
    }

    /// Whose outcome it is.
    pub fn attempt(&self) -> &AttemptId {
        &self.attempt
    }

    /// The slot that it is for.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The connection as it will be, where there are new tokens.
    pub fn next(&self) -> Option<&Connection> {
        self.next.as_deref()
    }

    /// True when its tokens are of the grant that is there, and of a later generation.
    pub fn is_newer_than(&self, now: &Connection) -> bool {
        let next = self.next.as_ref();
        now.status != Status::Deleting
            && next.is_some_and(|next| next.grant == now.grant && next.generation > now.generation)
    }
}

/// The fields of those lists that are not set.
fn unset(set: &[(String, Value)], lists: &[&[&str]]) -> Vec<String> {
    let is_set = |name: &str| set.iter().any(|(field, _)| field == name);
    let gone = lists.iter().flat_map(|list| list.iter());
    gone.filter(|name| !is_set(name)).map(|name| (*name).to_owned()).collect()
}

/// As a store would give them back. None of a connection's fields is the store's own time.
fn record(fields: &[(String, Value)]) -> Record {
    let bytes = fields.iter().filter_map(|(name, value)| match value {
        Value::Bytes(bytes) => Some((name.clone(), bytes.clone())),
        Value::Now(_) => None,
    });
    Record::new(bytes.collect())
}
