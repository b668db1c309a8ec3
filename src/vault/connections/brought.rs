//! What an attempt brought, sealed and guarded: it can wait in memory or on a disk for a store that does not answer, and be
//! written as often as needed.

use super::due::move_due;
use super::{Attempt, Connection, Connections, Failure, Fresh, Plan, Status, told};
use crate::domain::{AttemptId, Event, Timestamp};
use crate::ports::store::{Batch, Guard, StoreError, Value, Write};
use crate::vault::fields::Draft;
use crate::vault::{Slot, VaultError, events};

/// Fields that a new generation may do without.
const OF_A_GENERATION: &[&str] =
    &["refresh_token", "previous_refresh_token", "previous_until", "more_tokens", "expires_at"];
/// The refresh token before this one, kept for the provider's grace.
const OF_THE_TOKEN_BEFORE: &[&str] = &["previous_refresh_token", "previous_until"];
/// Fields that say that somebody is refreshing.
const OF_AN_ATTEMPT: &[&str] = &["attempt_id", "attempt_generation", "attempt_started", "attempt_deadline"];
/// Fields that a success takes away.
const OF_TROUBLE: &[&str] =
    &["reason", "failures", "retry_at", "last_error", "last_error_at", "doubted", "unknown_since"];
/// Fields of what is to come.
const OF_A_PLAN: &[&str] = &["due_at", "reauthorize_by"];

/// What an attempt brought. Its secrets are sealed.
#[derive(Clone, Debug)]
pub struct Brought {
    slot: Slot,
    attempt: AttemptId,
    /// The generation that the attempt was about.
    generation: u64,
    set: Vec<(String, Value)>,
    unset: Vec<String>,
    /// Where it stands in the index of what is due, and where it will.
    due: (Option<Timestamp>, Option<Timestamp>),
    told: Vec<Event>,
}

/// What became of an outcome that was to be stored.
#[derive(Clone, Debug)]
pub enum Committed {
    /// It is stored; this is the connection now.
    Stored(Box<Connection>),
    /// Somebody else's generation is there: nothing was stored. The connection as it is, unless it is gone.
    Superseded(Option<Box<Connection>>),
}

impl Connections<'_> {
    /// The outcome of an attempt that brought tokens: the next generation.
    pub async fn granted(
        &self,
        read: &Connection,
        attempt: &Attempt,
        fresh: &Fresh,
    ) -> Result<Brought, VaultError> {
        let mut next = read.clone();
        next.generation += 1;
        next.metadata.extend(fresh.metadata.clone());
        next.scopes = fresh.scopes.clone().unwrap_or_else(|| read.scopes.clone());
        let sealed = self.seal(&next, &fresh.tokens).await?;
        let draft = Draft::some()
            .put("status", Status::Active.word())
            .put("generation", next.generation)
            .put("token_type", &fresh.token_type)
            .time("issued_at", fresh.issued_at)
            .maybe_time("expires_at", fresh.expires_at)
            .maybe_time("refresh_expires_at", fresh.refresh_expires_at.or(read.refresh_expires_at))
            .scopes("scopes", &next.scopes)
            .map("metadata", &next.metadata)
            .put("last_attempt", &attempt.id)
            .time("refreshed_at", fresh.issued_at)
            .maybe_time("due_at", fresh.plan.due_at)
            .maybe_time("reauthorize_by", fresh.plan.reauthorize_by);
        let fields = sealed.into_iter().fold(draft, Draft::sealed).done();
        let gone = OF_A_GENERATION.iter().chain(OF_AN_ATTEMPT).chain(OF_TROUBLE).chain(OF_A_PLAN);
        let events = told::of_a_refresh(read, &next, self.vault.tells_refreshes);
        Ok(Brought::new(read, attempt, (fields, gone), fresh.plan, events))
    }

    /// The outcome of an attempt that brought nothing.
    pub fn failed(&self, read: &Connection, attempt: &Attempt, failure: &Failure) -> Brought {
        let unknown = (failure.doubt == super::Doubt::Unknown).then_some(attempt.started);
        let doubted = read.trouble.doubted || failure.doubt == super::Doubt::Answered;
        let reason = match failure.status {
            Status::ReauthorizationRequired(reason) => Some(reason.as_str()),
            _ => None,
        };
        let plan = Plan { due_at: failure.due_at, ..read.plan };
        let fields = Draft::some()
            .put("status", failure.status.word())
            .maybe("reason", reason)
            .put("failures", read.trouble.failures.saturating_add(1))
            .maybe_time("retry_at", failure.retry_at)
            .put("last_error", &failure.error)
            .time("last_error_at", attempt.started)
            .maybe("doubted", doubted.then_some(1))
            .maybe_time("unknown_since", read.trouble.unknown_since.or(unknown))
            .put("last_attempt", &attempt.id)
            .maybe_time("due_at", plan.due_at)
            .done();
        // Where there is nothing more to try, the token that was kept for a last try goes.
        let last_try: &[&str] = if reason.is_some() { OF_THE_TOKEN_BEFORE } else { &[] };
        let gone = OF_AN_ATTEMPT.iter().chain(&["retry_at", "due_at"]).chain(last_try);
        let events = told::of_a_failure(read, failure.status, &failure.error);
        Brought::new(read, attempt, (fields, gone), plan, events)
    }

    /// Stores an outcome where its attempt is still the one and its generation the one that is there. After any error it may be
    /// called again.
    pub async fn settle(&self, brought: &Brought) -> Result<Committed, VaultError> {
        let Brought { slot, attempt, .. } = brought;
        let lost = match self.vault.store.apply(self.batch(brought)).await {
            Ok(_) => None,
            Err(StoreError::OutcomeUnknown(why)) => Some(why),
            Err(error) => return Err(error.into()),
        };
        // Read back in any case: it answers for a lost answer, and gives the caller the record as it lies there.
        let now = self.find(slot).await?;
        match (now, lost) {
            (Some(now), _) if now.last_attempt.as_ref() == Some(attempt) => {
                Ok(Committed::Stored(Box::new(now)))
            }
            (Some(now), Some(why)) if now.attempt.as_ref().is_some_and(|a| a.id == *attempt) => {
                Err(StoreError::OutcomeUnknown(why).into())
            }
            (now, _) => Ok(Committed::Superseded(now.map(Box::new))),
        }
    }

    fn batch(&self, brought: &Brought) -> Batch {
        let Brought { slot, attempt, generation, set, unset, due, told } = brought;
        let (tenant, key) = (self.by.tenant(), self.key(slot));
        let batch = Batch::new()
            .when(Guard::Equals(key.clone(), "attempt_id".to_owned(), attempt.as_str().into()))
            .when(Guard::Equals(key.clone(), "generation".to_owned(), generation.to_string().into()))
            .then(Write::Unset { key: key.clone(), fields: unset.clone() })
            .then(Write::Set { key, fields: set.clone() });
        events::tell(move_due(batch, tenant, slot, *due), tenant, told)
    }
}

impl Brought {
    /// Of those `gone` that are not set, the fields are removed.
    fn new<'f>(
        read: &Connection,
        attempt: &Attempt,
        (set, gone): (Vec<(String, Value)>, impl Iterator<Item = &'f &'f str>),
        plan: Plan,
        told: Vec<Event>,
    ) -> Self {
        let is_set = |name: &str| set.iter().any(|(field, _)| field == name);
        let unset = gone.filter(|name| !is_set(name)).map(|name| (*name).to_owned()).collect();
        let due = (read.due_at(), plan.due_at);
        let (slot, attempt) = (read.slot.clone(), attempt.id.clone());
        Self { slot, attempt, generation: read.generation, set, unset, due, told }
    }
}
