//! The question asked millions of times: a working access token, please.
//!
//! A token that is fresh enough is answered from one read, without a lock. Otherwise a refresh is joined or begun, and a token
//! that still lives is handed out where that fails. Each hand-out is recorded in the audit trail before the token leaves.

use super::Broker;
use super::refresh::{Ask, Landed, Target};
use crate::catalog::{OldAccess, Provider, RefreshWith};
use crate::domain::{
    AccessToken, Action, Deed, HandoutRecords, ReauthorizationReason, Refusal, Scopes, Timestamp,
};
use crate::telemetry::metrics;
use crate::vault::{Authority, Connection, Slot, SlotRead, Status, VaultError};
use std::sync::Arc;
use std::time::Duration;

/// What a caller wants of a token.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// It should live at least this long.
    pub min_ttl: Option<Duration>,
    /// It should come from a refresh that begins after this request came.
    pub force_refresh: bool,
    /// A further token of the grant, by name.
    pub token: Option<String>,
}

/// The store cannot be reached, and this is what was known.
const STALE: &str = "stale_store";

/// A token and what there is to know about it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of section 2.9 of the design")]
pub struct Handout {
    pub access_token: AccessToken,
    pub expires_at: Option<Timestamp>,
    /// Whole seconds.
    pub expires_in: Option<u64>,
    pub missing_scopes: Scopes,
    /// Where it comes from.
    pub connection: Arc<Connection>,
    pub refresh: RefreshState,
}

/// How the token came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshState {
    /// `fresh`, `refreshed`, `failing`, `unverified`, `stale_store` or `none`.
    pub state: &'static str,
    /// Where it is failing: not before this time again.
    pub retry_at: Option<Timestamp>,
    /// Where it is failing: the provider's own code, or our word for what happened.
    pub error: Option<String>,
}

impl Wish {
    /// True where what was kept will not do: a refresh that began before the request came must not pass for a later one.
    pub fn wants_anew(&self) -> bool {
        self.force_refresh || self.min_ttl.is_some()
    }
}

impl RefreshState {
    fn plain(state: &'static str) -> Self {
        Self { state, retry_at: None, error: None }
    }
}

impl Broker {
    /// Records that a token was asked for by somebody who may have none of that provider.
    pub async fn token_refused(&self, by: &Authority, slot: &Slot, refusal: &Refusal) {
        let deed = slot.named_in(Deed { outcome: refusal.code(), ..Deed::done(Action::TokenHandedOut) });
        let audit = self.vault.audit(by);
        let behind = self.settings.handouts != HandoutRecords::Before;
        if behind || matches!(refusal, Refusal::StoreUnavailable { .. }) {
            // Nobody waits for a store that was just seen not to answer.
            audit.note(&deed);
        } else if let Err(error) = audit.record(deed).await {
            tracing::error!(%error, "a refused hand-out is not recorded");
        }
    }

    /// Records a hand-out, as the settings say before the token leaves: where that cannot be, none leaves. While the store
    /// cannot be reached, a token that was known before leaves with a record on this server's disk.
    async fn recorded(&self, by: &Authority, slot: &Slot, mut handout: Handout) -> Result<Handout, Refusal> {
        let deed = |handout: &Handout| {
            slot.named_in(Deed::done(Action::TokenHandedOut))
                .about("connection", &handout.connection.id)
                .about("generation", handout.connection.generation)
                .about("refresh", handout.refresh.state)
        };
        // What a refresh brought is known to this process alone.
        let known = handout.refresh.state != "refreshed";
        let (audit, records) = (self.vault.audit(by), self.settings.handouts);
        let recorded = match records {
            HandoutRecords::Off => return Ok(handout),
            _ if known && self.vault.goes_on_without_store() => None,
            HandoutRecords::Before => Some(audit.record_first(deed(&handout)).await),
            HandoutRecords::Behind => Some(audit.note_or_wait(deed(&handout)).await),
        };
        if let Some(recorded) = recorded {
            let Err(error) = recorded else { return Ok(handout) };
            if !known || !self.vault.lost_the_store(&error).await {
                return Err(error.into());
            }
        }
        handout.refresh = RefreshState::plain(STALE);
        audit.record_on_disk(&deed(&handout)).await?;
        Ok(handout)
    }

    /// A token for a slot. `read` is what the caller has already read of it.
    pub async fn access_token(
        self: &Arc<Self>,
        by: &Authority,
        slot: &Slot,
        wish: Wish,
        read: Option<SlotRead>,
    ) -> Result<Handout, Refusal> {
        let outcome = self.token_for(by, slot, wish, read).await;
        let outcome = match outcome {
            Ok(handout) => self.recorded(by, slot, handout).await,
            Err(refusal) => {
                self.token_refused(by, slot, &refusal).await;
                Err(refusal)
            }
        };
        let state = outcome.as_ref().map_or_else(Refusal::code, |handout| handout.refresh.state);
        // Only of known providers: a label must not be for a caller to invent.
        if self.catalog.get(&slot.provider).is_some() {
            metrics::handout(&slot.provider, state);
        }
        outcome
    }

    async fn token_for(
        self: &Arc<Self>,
        by: &Authority,
        slot: &Slot,
        wish: Wish,
        read: Option<SlotRead>,
    ) -> Result<Handout, Refusal> {
        let provider = self.provider(&slot.provider)?;
        let SlotRead { connection, enabled, stale } = match read {
            Some(read) => read,
            None => self.vault.connections(by).slot(slot, wish.wants_anew()).await?,
        };
        let connection = self.as_known(by, connection.ok_or(Refusal::ConnectionNotFound)?).await;
        check_status(&connection)?;
        if !enabled {
            return Err(not_enabled());
        }
        let target = wish.token.map_or(Target::Main, Target::More);
        let held = self.held(by, &connection, &target).await?;
        let now = self.ports.clock.now();
        if stale {
            // Nothing can be refreshed: it lives, or there is none.
            if !held.lives_for(Duration::ZERO, now) {
                return Err(VaultError::unavailable("and the token that was known has ended").into());
            }
            return self.hand_out(by, connection, &target, RefreshState::plain(STALE)).await;
        }
        let needed = held.needed(&provider, wish.min_ttl);
        let fresh = held.lives_for(needed, now);
        if fresh && !wish.force_refresh {
            let state = resting_state(&connection, &provider, &held);
            self.note_use(by, &connection);
            return self.hand_out(by, connection, &target, state).await;
        }
        if !held.renewable {
            return self.unrenewable(by, connection, &target, held.lives_for(Duration::ZERO, now)).await;
        }
        let ask = Ask {
            by: by.clone(),
            slot: slot.clone(),
            target: target.clone(),
            needed: (!wish.force_refresh).then_some(needed),
            seen_grant: connection.grant.clone(),
            seen_generation: connection.generation,
            seen_attempt: connection.attempt.as_ref().map(|attempt| attempt.id.clone()),
            ahead: false,
        };
        let landed = self.join_refresh(ask).await;
        self.after_refresh(by, connection, &target, landed).await
    }

    /// Answers with what a refresh brought, or with what still lives.
    async fn after_refresh(
        self: &Arc<Self>,
        by: &Authority,
        before: Arc<Connection>,
        target: &Target,
        landed: Landed,
    ) -> Result<Handout, Refusal> {
        let (connection, refusal) = match landed {
            Landed::Fresh(connection) => {
                // The same generation: it may not be refreshed yet, or was read anew.
                let state = if connection.generation == before.generation { "fresh" } else { "refreshed" };
                // It may have been one that nobody had asked for.
                self.note_use(by, &connection);
                return self.hand_out(by, connection.into(), target, RefreshState::plain(state)).await;
            }
            Landed::Kept(connection, refusal) => (connection.map_or(before, Arc::from), refusal),
        };
        let final_word =
            matches!(refusal, Refusal::ReauthorizationRequired { .. } | Refusal::ConnectionNotFound);
        let lives = match self.held(by, &connection, target).await {
            Ok(held) => held.lives_for(Duration::ZERO, self.ports.clock.now()),
            Err(_) => false,
        };
        if final_word || !lives {
            return Err(refusal);
        }
        let provider = self.provider(&connection.slot.provider)?;
        let word = if maybe_killed(&connection, &provider) { "unverified" } else { "failing" };
        let (retry_at, error) = if matches!(refusal, Refusal::RefreshHeld { .. }) {
            // Whatever went wrong before, this is why nothing is sent now.
            (None, "refresh_held".to_owned())
        } else {
            let last = connection.trouble.last_error.clone();
            (connection.trouble.retry_at, last.unwrap_or_else(|| refusal.code().to_owned()))
        };
        let state = RefreshState { state: word, retry_at, error: Some(error) };
        self.hand_out(by, connection, target, state).await
    }

    async fn unrenewable(
        &self,
        by: &Authority,
        connection: Arc<Connection>,
        target: &Target,
        lives: bool,
    ) -> Result<Handout, Refusal> {
        if lives {
            return self.hand_out(by, connection, target, RefreshState::plain("none")).await;
        }
        Err(Refusal::ReauthorizationRequired {
            reason: ReauthorizationReason::RefreshTokenExpired,
            connection: Some(connection.id.clone()),
        })
    }

    async fn hand_out(
        &self,
        by: &Authority,
        connection: Arc<Connection>,
        target: &Target,
        refresh: RefreshState,
    ) -> Result<Handout, Refusal> {
        let connections = self.vault.connections(by);
        let (access_token, expires_at) = match target {
            Target::Main => (connections.access_token(&connection).await?, connection.expires_at),
            Target::More(name) => {
                let mut tokens = connections.open(&connection).await?;
                let token = tokens.more.remove(name).ok_or_else(|| no_such_token(name))?;
                (token.access, token.expires_at)
            }
        };
        let now = self.ports.clock.now();
        Ok(Handout {
            access_token,
            expires_at,
            expires_in: expires_at.map(|end| end.since(now).as_secs()),
            missing_scopes: connection.requested_scopes.missing_from(&connection.scopes),
            connection,
            refresh,
        })
    }

    /// What is known of one token of a grant, without opening the main one.
    pub(super) async fn held(
        &self,
        by: &Authority,
        connection: &Connection,
        target: &Target,
    ) -> Result<Held, Refusal> {
        let provider = self.provider(&connection.slot.provider)?;
        match target {
            Target::Main => Ok(Held {
                expires_at: connection.expires_at,
                lifetime: connection.expires_at.map(|end| end.since(connection.issued_at)),
                renewable: connection.has_refresh_token()
                    || provider.refresh.send == RefreshWith::AccessToken,
            }),
            Target::More(name) => {
                let tokens = self.vault.connections(by).open(connection).await?;
                let token = tokens.more.get(name).ok_or_else(|| no_such_token(name))?;
                Ok(Held {
                    expires_at: token.expires_at,
                    // Of a further token only the end is kept: the margin is that of an hour.
                    lifetime: token.expires_at.map(|_| Duration::from_hours(1)),
                    renewable: token.refresh.is_some(),
                })
            }
        }
    }
}

/// What is known of one token without showing it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    expires_at: Option<Timestamp>,
    lifetime: Option<Duration>,
    renewable: bool,
}

impl Held {
    /// How long it has to live to be answered without a refresh.
    fn needed(&self, provider: &Provider, min_ttl: Option<Duration>) -> Duration {
        let margin = self.lifetime.map_or(Duration::ZERO, |lifetime| provider.margin(lifetime));
        margin.max(min_ttl.unwrap_or_default())
    }

    /// True when there is something to refresh it with.
    pub fn renewable(&self) -> bool {
        self.renewable
    }

    /// True when it has ended, although it was given for longer than a `request` may take: whoever brought it stood still.
    /// One of a shorter life is as good as the next.
    pub fn outlived(&self, request: Duration, now: Timestamp) -> bool {
        !self.lives_for(Duration::ZERO, now) && self.lifetime.is_some_and(|life| life > request)
    }

    /// True when it lives longer than `span` from `now` on; always where its end is not known.
    pub fn lives_for(&self, span: Duration, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now.plus(span))
    }
}

pub(super) fn check_status(connection: &Connection) -> Result<(), Refusal> {
    match connection.status {
        Status::Active | Status::Failing => Ok(()),
        Status::Deleting => Err(Refusal::ConnectionNotFound),
        Status::ReauthorizationRequired(reason) => {
            Err(Refusal::ReauthorizationRequired { reason, connection: Some(connection.id.clone()) })
        }
    }
}

/// A refresh that may have happened, or is happening, at a provider where it kills the old access token.
fn maybe_killed(connection: &Connection, provider: &Provider) -> bool {
    let in_doubt = connection.attempt.is_some() || connection.trouble.unknown_since.is_some();
    in_doubt && provider.refresh.old_access != OldAccess::Valid
}

/// The state of a token that needs no refresh.
fn resting_state(connection: &Connection, provider: &Provider, held: &Held) -> RefreshState {
    let trouble = &connection.trouble;
    match connection.status {
        _ if maybe_killed(connection, provider) => RefreshState::plain("unverified"),
        Status::Failing => {
            RefreshState { state: "failing", retry_at: trouble.retry_at, error: trouble.last_error.clone() }
        }
        _ if held.renewable => RefreshState::plain("fresh"),
        _ => RefreshState::plain("none"),
    }
}

/// The tenant took the provider away.
pub(super) fn not_enabled() -> Refusal {
    Refusal::IntegrationMisconfigured { error: "not_enabled".to_owned() }
}

fn no_such_token(name: &str) -> Refusal {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Refusal::field("token", format!("is not the name of a token of this grant: `{shown}`"))
}
