//! The fenced steps of a refresh: an attempt is claimed here, and `brought` stores what it brought.
//!
//! A claim is guarded by the revision that was read, so its owner knows the whole record it acts on. What an attempt stores is
//! guarded by the attempt's id and the generation, not by the deadline and not by the revision: a late owner whose place nobody
//! took still stores, one whose place was taken stores nothing. Only the fields of the outcome are written.

use super::{Attempt, Connection, Connections, Plan, Status, Tokens};
use crate::domain::{AttemptId, Scopes, Timestamp};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Outcome, StoreError, Value, Write};
use crate::vault::VaultError;
use crate::vault::fields::Draft;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// When it was last used, where that is now.
    pub used_at: Option<Timestamp>,
    /// What is to come.
    pub plan: Plan,
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
    /// Where the registration is at fault: the revision of the integration that was not taken.
    pub revision: Option<u64>,
    /// Not before this time again.
    pub retry_at: Option<Timestamp>,
    /// What it says of the refresh token.
    pub doubt: Doubt,
    /// When the server tries again by itself; none: it does not.
    pub due_at: Option<Timestamp>,
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
}
