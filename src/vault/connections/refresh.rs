//! The fenced steps of a refresh: claim an attempt, store its outcome.
//!
//! A claim is guarded by the revision that was read, so its owner knows the whole record it acts on. What an attempt stores is
//! guarded by the attempt's id and the generation, not by the deadline and not by the revision: a late owner whose place nobody
//! took still stores, one whose place was taken stores nothing. Only the fields of the outcome are written.

use super::{Attempt, Connection, Connections, Status, Tokens};
use crate::domain::{AttemptId, Scopes, Timestamp};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Outcome, StoreError, Value, Write};
use crate::vault::VaultError;
use crate::vault::fields::Draft;
use std::collections::BTreeMap;
use std::time::Duration;

/// Fields that a new generation may do without.
const OF_A_GENERATION: &[&str] =
    &["refresh_token", "previous_refresh_token", "previous_until", "more_tokens", "expires_at"];
/// The refresh token before this one, kept for the provider's grace.
const OF_THE_TOKEN_BEFORE: &[&str] = &["previous_refresh_token", "previous_until"];
/// Fields that say that somebody is refreshing.
const OF_AN_ATTEMPT: &[&str] = &["attempt_id", "attempt_generation", "attempt_started", "attempt_deadline"];
/// Fields that a success takes away.
const OF_TROUBLE: &[&str] = &["reason", "failures", "retry_at", "last_error", "doubted", "unknown_since"];

/// What a refresh brought.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The tokens of the next generation, the previous refresh token among them where it still has a grace.
    pub tokens: Tokens,
    /// As the provider calls it.
    pub token_type: String,
    /// When the access token was issued, by our clock before the request.
    pub issued_at: Timestamp,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, where the answer said so.
    pub refresh_expires_at: Option<Timestamp>,
    /// What is granted from now on, where the answer said so.
    pub scopes: Option<Scopes>,
    /// What the answer told of the account; laid over what is known.
    pub metadata: BTreeMap<String, String>,
}

/// Whether the refresh token may have been spent by a refresh that brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It was not.
    None,
    /// The provider answered that it could not: it should not have been, and a later refusal is not taken at its word.
    Answered,
    /// Nobody saw the answer.
    Unknown,
}

/// What a refresh that brought nothing leaves behind.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status from now on.
    pub status: Status,
    /// The provider's own code, or our word for what happened.
    pub error: String,
    /// Not before this time again.
    pub retry_at: Option<Timestamp>,
    /// What it says of the refresh token.
    pub doubt: Doubt,
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
    /// Begins an attempt that others leave alone for `lasts`. None when the record is not the one that was read, or when
    /// another attempt is still within its time. An attempt found past its deadline is taken over, and remembered as one
    /// whose outcome is unknown.
    pub async fn claim(&self, read: &Connection, lasts: Duration) -> Result<Option<Attempt>, VaultError> {
        let key = self.key(&read.slot);
        let id: AttemptId = self.vault.chance.id();
        let mut batch = self.unchanged(Batch::new(), read);
        let mut draft = Draft::some()
            .put("attempt_id", &id)
            .put("attempt_generation", read.generation)
            .raw("attempt_started", Value::Now(Duration::ZERO))
            .raw("attempt_deadline", Value::Now(lasts));
        if let Some(lost) = &read.attempt {
            batch = batch.when(Guard::Passed(key.clone(), "attempt_deadline".to_owned()));
            draft = draft.time("unknown_since", read.trouble.unknown_since.unwrap_or(lost.started));
        }
        let applied = self.vault.store.apply(batch.then(Write::Set { key, fields: draft.done() })).await;
        match applied {
            Ok(Outcome::Applied(now)) => Ok(Some(Attempt { id, started: now, deadline: now.plus(lasts) })),
            Ok(Outcome::Refused(..)) => Ok(None),
            Err(StoreError::OutcomeUnknown(why)) => {
                let now = self.find(&read.slot).await?;
                match now.and_then(|connection| connection.attempt) {
                    Some(attempt) if attempt.id == id => Ok(Some(attempt)),
                    // Nothing was sent under it: where it did land, it ends by its deadline.
                    _ => Err(StoreError::OutcomeUnknown(why).into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores what a refresh brought as the next generation. After any error it may be called again with the same arguments.
    pub async fn commit(
        &self,
        read: &Connection,
        attempt: &Attempt,
        fresh: &Fresh,
    ) -> Result<Committed, VaultError> {
        let mut next = read.clone();
        next.generation += 1;
        next.metadata.extend(fresh.metadata.clone());
        let sealed = self.seal(&next, &fresh.tokens).await?;
        let draft = Draft::some()
            .put("status", Status::Active.word())
            .put("generation", next.generation)
            .put("token_type", &fresh.token_type)
            .time("issued_at", fresh.issued_at)
            .maybe_time("expires_at", fresh.expires_at)
            .maybe_time("refresh_expires_at", fresh.refresh_expires_at.or(read.refresh_expires_at))
            .scopes("scopes", fresh.scopes.as_ref().unwrap_or(&read.scopes))
            .map("metadata", &next.metadata)
            .put("last_attempt", &attempt.id)
            .time("refreshed_at", fresh.issued_at);
        let fields = sealed.into_iter().fold(draft, Draft::sealed).done();
        let gone = OF_A_GENERATION.iter().chain(OF_AN_ATTEMPT).chain(OF_TROUBLE);
        self.settle(read, attempt, fields, gone).await
    }

    /// Stores that an attempt brought nothing. After any error it may be called again with the same arguments.
    pub async fn fail(
        &self,
        read: &Connection,
        attempt: &Attempt,
        failure: &Failure,
    ) -> Result<Committed, VaultError> {
        let unknown = (failure.doubt == Doubt::Unknown).then_some(attempt.started);
        let doubted = read.trouble.doubted || failure.doubt == Doubt::Answered;
        let reason = match failure.status {
            Status::ReauthorizationRequired(reason) => Some(reason.as_str()),
            _ => None,
        };
        let fields = Draft::some()
            .put("status", failure.status.word())
            .maybe("reason", reason)
            .put("failures", read.trouble.failures.saturating_add(1))
            .maybe_time("retry_at", failure.retry_at)
            .put("last_error", &failure.error)
            .maybe("doubted", doubted.then_some(1))
            .maybe_time("unknown_since", read.trouble.unknown_since.or(unknown))
            .put("last_attempt", &attempt.id)
            .done();
        // Where there is nothing more to try, the token that was kept for a last try goes.
        let last_try: &[&str] = if reason.is_some() { OF_THE_TOKEN_BEFORE } else { &[] };
        self.settle(read, attempt, fields, OF_AN_ATTEMPT.iter().chain(&["retry_at"]).chain(last_try)).await
    }

    /// Writes the outcome of an attempt where it is still the one, and removes those fields of `gone` that it does not set.
    async fn settle<'f>(
        &self,
        read: &Connection,
        attempt: &Attempt,
        fields: Vec<(String, Value)>,
        gone: impl Iterator<Item = &'f &'f str>,
    ) -> Result<Committed, VaultError> {
        let key = self.key(&read.slot);
        let is_set = |name: &str| fields.iter().any(|(field, _)| field == name);
        let gone = gone.filter(|name| !is_set(name)).map(|name| (*name).to_owned()).collect();
        let batch = Batch::new()
            .when(Guard::Equals(key.clone(), "attempt_id".to_owned(), attempt.id.as_str().into()))
            .when(Guard::Equals(key.clone(), "generation".to_owned(), read.generation.to_string().into()))
            .then(Write::Unset { key: key.clone(), fields: gone })
            .then(Write::Set { key, fields });
        let lost = match self.vault.store.apply(batch).await {
            Ok(_) => None,
            Err(StoreError::OutcomeUnknown(why)) => Some(why),
            Err(error) => return Err(error.into()),
        };
        // Read back in any case: it answers for a lost answer, and gives the caller the record as it lies there.
        let now = self.find(&read.slot).await?;
        match (now, lost) {
            (Some(now), _) if now.last_attempt.as_ref() == Some(&attempt.id) => {
                Ok(Committed::Stored(Box::new(now)))
            }
            (Some(now), Some(why)) if now.attempt.as_ref().is_some_and(|a| a.id == attempt.id) => {
                Err(StoreError::OutcomeUnknown(why).into())
            }
            (now, _) => Ok(Committed::Superseded(now.map(Box::new))),
        }
    }
}
