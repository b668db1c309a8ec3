//! What became of an attempt, stored behind its fence; and what the callers hear of it.

use super::claimed::Claimed;
use super::verdict::{self, Class, Nothing};
use super::{Ask, Broker, Landed};
use crate::domain::{Action, Deed, HandoutRecords, ReauthorizationReason, Refusal};
use crate::telemetry::metrics;
use crate::vault::{Authority, Brought, Committed, Connection, Doubt, Failure, Status};
use crate::wire::TokenSet;
use std::sync::Arc;
use std::time::Duration;

impl Broker {
    /// Stores new tokens. Where the store does not take them now they are kept until it does, and served meanwhile.
    pub(super) async fn keep(
        self: &Arc<Self>,
        claimed: Box<Claimed<'_>>,
        set: TokenSet,
    ) -> Result<Landed, Refusal> {
        let (by, answered) = (&claimed.ask.by, self.ports.clock.monotonic());
        let issued_at = self.ports.clock.now().minus(answered.saturating_sub(claimed.at));
        let connections = self.vault.connections(by);
        let mut fresh = claimed.fresh(set, issued_at);
        fresh.plan = self.plan_after(&claimed, &fresh);
        let keys = &claimed.ready.keys;
        let brought = Arc::new(connections.granted(&claimed.read, &claimed.attempt, &fresh, keys)?);
        match connections.settle(&brought).await {
            Ok(committed @ (Committed::Stored(_) | Committed::Superseded(_))) => {
                metrics::stored(self.ports.clock.monotonic().saturating_sub(answered));
                self.settled(by, &brought, committed).await
            }
            Ok(Committed::Contested(_)) => self.keep_on(by, brought).await,
            Err(error) => {
                tracing::error!(%error, connection = %claimed.read.id, "new tokens are not stored yet");
                self.keep_on(by, brought).await
            }
        }
    }

    /// What follows from new tokens having been stored, or being wanted no more.
    pub(super) async fn settled(
        &self,
        by: &Authority,
        brought: &Arc<Brought>,
        committed: Committed,
    ) -> Result<Landed, Refusal> {
        match committed {
            Committed::Stored(connection) => {
                self.recent.remember(by.tenant(), brought, self.ports.clock.monotonic());
                let deed = of_refresh(&connection, Deed::done(Action::ConnectionRefreshed));
                let audit = self.vault.audit(by);
                if self.settings.handouts == HandoutRecords::Before {
                    // The record of the hand-out comes behind this one in the same trail, and is waited for.
                    audit.note_or_wait(deed).await?;
                } else {
                    audit.record(deed).await?;
                }
                Ok(Landed::Fresh(connection))
            }
            Committed::Superseded(Some(now)) if now.status != Status::Deleting => {
                tracing::warn!(connection = %now.id, "a refresh came too late: a newer generation is kept");
                metrics::outcome_kept("superseded");
                Ok(Landed::Fresh(now))
            }
            Committed::Superseded(gone) => {
                self.revoke_unwanted(by, brought).await;
                Ok(Landed::Kept(gone, Refusal::ConnectionNotFound))
            }
            Committed::Contested(now) => Ok(Landed::Fresh(now)),
        }
    }

    /// Stores that none came, and what follows from it.
    pub(super) async fn record_failure(
        &self,
        claimed: Box<Claimed<'_>>,
        nothing: &Nothing,
    ) -> Result<Landed, Refusal> {
        let (status, doubt) =
            verdict::consequence(&claimed.ready.provider, nothing.class, &claimed.read.trouble);
        let backoff = self.backoff(claimed.read.trouble.failures);
        let wait = nothing.retry_after.map_or(backoff, |after| after.max(backoff));
        let client = &claimed.ready.client;
        let at_fault = nothing.class == Class::ClientFault;
        if at_fault {
            self.client_was_refused(&claimed.ask.by, client, &nothing.error).await;
        }
        let retry_at = self.ports.clock.now().plus(wait);
        let failure = Failure {
            status,
            error: nothing.error.clone(),
            revision: at_fault.then(|| client.revision()),
            retry_at: Some(retry_at),
            doubt,
            due_at: self.due_again(&claimed.read, status, retry_at, at_fault),
        };
        let refusal = verdict::refusal(status, nothing, &claimed.read.id, wait);
        self.land(claimed, failure, refusal).await
    }

    /// Stores that nothing was sent, and why the end user has to connect again.
    pub(super) async fn give_up(
        &self,
        claimed: Box<Claimed<'_>>,
        reason: ReauthorizationReason,
    ) -> Result<Landed, Refusal> {
        let connection = Some(claimed.read.id.clone());
        let failure = Failure {
            status: Status::ReauthorizationRequired(reason),
            error: reason.as_str().to_owned(),
            revision: None,
            retry_at: None,
            doubt: Doubt::None,
            due_at: None,
        };
        self.land(claimed, failure, Refusal::ReauthorizationRequired { reason, connection }).await
    }

    async fn land(
        &self,
        claimed: Box<Claimed<'_>>,
        failure: Failure,
        refusal: Refusal,
    ) -> Result<Landed, Refusal> {
        let connections = self.vault.connections(&claimed.ask.by);
        let outcome = connections.failed(&claimed.read, &claimed.attempt, &failure);
        match self.store(&claimed, &outcome).await? {
            Committed::Stored(connection) => {
                let deed = Deed { outcome: refusal.code(), ..Deed::done(Action::ConnectionRefreshed) };
                self.vault.audit(&claimed.ask.by).record(of_refresh(&connection, deed)).await?;
                Ok(Landed::Kept(Some(connection), refusal))
            }
            // What this one heard is no news of what is there now.
            Committed::Superseded(now) => self.overtaken(claimed.ask, now).await,
            // Only new tokens are contested.
            Committed::Contested(now) => Ok(Landed::Kept(Some(now), refusal)),
        }
    }

    /// What is there instead of the outcome that came too late; whoever is not served by it goes again.
    async fn overtaken(&self, ask: &Ask, now: Option<Box<Connection>>) -> Result<Landed, Refusal> {
        let Some(now) = now else { return Ok(Landed::Kept(None, Refusal::ConnectionNotFound)) };
        let landed = self.nothing_to_do(ask, &now).await?;
        Ok(landed.unwrap_or(Landed::Fresh(now)))
    }

    async fn store(&self, claimed: &Claimed<'_>, brought: &Brought) -> Result<Committed, Refusal> {
        let connections = self.vault.connections(&claimed.ask.by);
        self.insist("the outcome of a refresh", || connections.settle(brought)).await
    }

    /// Ends tokens that came for a connection which was deleted meanwhile.
    async fn revoke_unwanted(&self, by: &Authority, brought: &Brought) {
        let Some(next) = brought.next() else { return };
        let ended = match self.vault.connections(by).open(next).await {
            Ok(tokens) => self.revoke_connection(by, next, &tokens).await.as_str(),
            Err(error) => {
                tracing::error!(%error, "tokens for a deleted connection do not open");
                "failed"
            }
        };
        tracing::warn!(connection = %next.id, revocation = ended, "tokens came for a deleted connection");
    }

    fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.settings.backoff_min.saturating_mul(1 << failures.min(16));
        self.jittered(doubled.min(self.settings.backoff_max))
    }
}

fn of_refresh(connection: &Connection, deed: Deed) -> Deed {
    let deed = connection.slot.named_in(deed).about("connection", &connection.id);
    deed.about("generation", connection.generation)
}
