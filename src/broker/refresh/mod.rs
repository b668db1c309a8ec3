//! Refreshes: one flight per connection in the process, one attempt per connection in the fleet.
//!
//! Section 9 of the design. A flight reads the record, claims the attempt, sends, and stores; or it finds another instance's
//! attempt and waits for its outcome, bounded. Who waits takes the flight's outcome. `attempt` sends what `claimed`
//! holds, `verdict` says what an answer means, `keep` stores what came of it, `pending` holds what
//! the store does not take, `recent` what it took and may lose.

mod ahead;
mod attempt;
mod claimed;
mod flights;
#[cfg(test)]
mod interleavings;
mod keep;
mod pending;
mod recent;
mod rounds;
mod verdict;
mod waiting;

pub use ahead::AheadSettings;
pub(super) use pending::Pending;
pub(super) use recent::Recent;
pub(super) use rounds::Uses;
pub(super) use waiting::Waiting;

use super::Broker;
use super::hosts::{LeftAlone, Turn};
use crate::catalog::Rotation;
use crate::domain::{AttemptId, GrantId, Refusal, TenantId};
use crate::telemetry::metrics;
use crate::vault::{Authority, Connection, Slot, Status};
use claimed::{Claimed, Ready};
use flights::Landing;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::{self, Arc};
use std::time::Duration;
use tracing::Instrument;

/// Nobody knows when an operator ends a hold; asked once a minute it costs nothing.
const HELD: Duration = Duration::from_mins(1);

/// Which token of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// The one that every grant has.
    Main,
    /// A further one, by name.
    More(String),
}

/// What somebody wants of a refresh.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub by: Authority,
    pub slot: Slot,
    pub target: Target,
    /// A token that lives longer than this will do; none where only a refresh will.
    pub needed: Option<Duration>,
    /// The grant that was in the slot when the request came.
    pub seen_grant: GrantId,
    /// The generation seen when the request came. A later one will do, however short it lives,
    pub seen_generation: u64,
    /// unless it came from the attempt that was under way then: a wish is met by a refresh that began after it.
    pub seen_attempt: Option<AttemptId>,
    /// Nobody asked: it is done ahead.
    pub ahead: bool,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Landed {
    /// With a token that is new enough, for whoever began it and as far as it knows.
    Fresh(Box<Connection>),
    /// Without one, for this reason; the connection as it is now, where that is known.
    Kept(Option<Box<Connection>>, Refusal),
}

impl Landed {
    /// True where it tells of the slot as it was with another grant in it, or with none.
    fn is_of_another(&self, grant: &GrantId) -> bool {
        match self {
            Self::Fresh(connection) | Self::Kept(Some(connection), _) => connection.grant != *grant,
            Self::Kept(None, refusal) => matches!(refusal, Refusal::ConnectionNotFound),
        }
    }
}

type FlightKey = (TenantId, Slot, Target);

/// The flights of this process.
pub(super) type Flights = flights::Flights<FlightKey, Landed>;

impl Broker {
    /// Joins the flight of a slot or begins one. The flight may have begun for somebody who wanted less, or before this one
    /// came, or have stood still longer than its token lives: who is not served by what it brought goes again. So does who
    /// joined one that had read a grant which was replaced before this one came; what begins from now on reads anew.
    pub(super) async fn join_refresh(self: &Arc<Self>, ask: Ask) -> Landed {
        let key = (ask.by.tenant().clone(), ask.slot.clone(), ask.target.clone());
        let _waiting = metrics::waiting_for_refresh();
        let mut may_be_of_before = true;
        loop {
            let flight = self.flights.join(&key, |landing| {
                may_be_of_before = false;
                self.take_off(ask.clone(), landing)
            });
            let landed = flight.await;
            if std::mem::take(&mut may_be_of_before) && landed.is_of_another(&ask.seen_grant) {
                continue;
            }
            match landed {
                Landed::Fresh(connection) if matches!(self.serves(&ask, &connection).await, Ok(false)) => {}
                landed => return landed,
            }
        }
    }

    fn take_off(
        self: &Arc<Self>,
        ask: Ask,
        landing: Landing<FlightKey, Landed>,
    ) -> BoxFuture<'static, Landed> {
        let broker = Arc::clone(self);
        let (span, tasks) = (tracing::Span::current(), self.ports.tasks.clone());
        let work = async move {
            let _landing = landing;
            broker.fly(&ask).await.unwrap_or_else(|refusal| Landed::Kept(None, refusal))
        };
        // It goes on to its end whether or not anybody stays to hear it.
        let work = work.boxed();
        let flight = async move { tasks.finish(work).await.unwrap_or(Landed::Kept(None, Refusal::Internal)) };
        flight.instrument(span).boxed()
    }

    async fn fly(self: &Arc<Self>, ask: &Ask) -> Result<Landed, Refusal> {
        let connections = self.vault.connections(&ask.by);
        let began = self.ports.clock.monotonic();
        let mut place = None;
        loop {
            let (found, integration) = connections.find_with_integration(&ask.slot).await?;
            let Some(found) = found else {
                return Ok(Landed::Kept(None, Refusal::ConnectionNotFound));
            };
            let connection = Arc::unwrap_or_clone(self.as_known(&ask.by, Arc::new(found)).await);
            if let Some(landed) = self.nothing_to_do(ask, &connection).await? {
                return Ok(landed);
            }
            if !self.rests(&connection) {
                let ready = self.prepare(ask, &connection, integration).await?;
                let turn = match self.turn(ask.by.tenant(), &ready).await {
                    Ok(turn) => turn,
                    Err(LeftAlone(retry_after)) => {
                        let refusal = Refusal::ProviderUnavailable { retry_after };
                        return Ok(Landed::Kept(Some(Box::new(connection)), refusal));
                    }
                };
                let claimed_at = self.ports.clock.monotonic();
                if let Some(attempt) = connections.claim(&connection, self.attempt_lasts()).await? {
                    let claimed = Claimed { ask, read: connection, attempt, ready, at: claimed_at };
                    // Boxed: each step would have it twice, and there are as many flights as requests under way.
                    return self.attempt(Box::new(claimed), turn).await;
                }
            }
            if self.ports.clock.monotonic().saturating_sub(began) > self.settings.wait {
                let refusal = Refusal::ProviderUnavailable { retry_after: Duration::from_secs(1) };
                return Ok(Landed::Kept(Some(Box::new(connection)), refusal));
            }
            // Another instance is at it. Once in place, look again: what came before is not told.
            match &mut place {
                None => place = Some(self.wait_for(connections.told_as(&ask.slot))),
                Some(place) => place.wait(|pause| self.jittered(pause)).await,
            }
        }
    }

    /// Waits for a turn at the host that is to be asked. None where no host comes of the file and what is known: that will be
    /// told when the request is built.
    async fn turn(&self, tenant: &TenantId, ready: &Ready) -> Result<Option<Turn>, LeftAlone> {
        let provider = &ready.provider;
        let url = provider.fill(provider.refresh_url(), &ready.values).ok();
        let Some(url) = url else { return Ok(None) };
        // Host and port; nothing else stands there in a provider's file.
        let now = self.ports.clock.monotonic();
        self.hosts.enter(url.authority(), tenant, now, self.settings.wait).await.map(Some)
    }

    /// Why there is nothing to refresh: somebody did it, nobody may, or not yet.
    async fn nothing_to_do(&self, ask: &Ask, connection: &Connection) -> Result<Option<Landed>, Refusal> {
        let kept = |refusal| Ok(Some(Landed::Kept(Some(Box::new(connection.clone())), refusal)));
        match connection.status {
            Status::Deleting => return kept(Refusal::ConnectionNotFound),
            Status::ReauthorizationRequired(reason) => {
                let connection = Some(connection.id.clone());
                return kept(Refusal::ReauthorizationRequired { reason, connection });
            }
            Status::Active | Status::Failing => {}
        }
        if self.serves(ask, connection).await? {
            return Ok(Some(Landed::Fresh(Box::new(connection.clone()))));
        }
        if self.on_hold() && self.provider(&connection.slot.provider)?.refresh.rotation != Rotation::None {
            return kept(Refusal::RefreshHeld { retry_after: HELD });
        }
        let now = self.ports.clock.now();
        match connection.trouble.retry_at.filter(|at| *at > now) {
            Some(_) if self.was_mended(ask, connection).await? => Ok(None),
            Some(at) => kept(verdict::pausing(&connection.trouble, at.since(now))),
            None => Ok(None),
        }
    }

    /// True where the registration was at fault and was changed since: there is nothing to wait for.
    async fn was_mended(&self, ask: &Ask, connection: &Connection) -> Result<bool, Refusal> {
        let Some(refused) = connection.trouble.revision else { return Ok(false) };
        let found = self.vault.integrations(&ask.by).find(&connection.slot.provider).await?;
        Ok(found.is_some_and(|integration| integration.rev != refused))
    }

    /// True when what lies there is what was asked for, or no better can be had yet.
    async fn serves(&self, ask: &Ask, connection: &Connection) -> Result<bool, Refusal> {
        let now = self.ports.clock.now();
        let provider = self.provider(&connection.slot.provider)?;
        let later = connection.generation > ask.seen_generation
            && (ask.seen_attempt.is_none() || connection.last_attempt != ask.seen_attempt);
        let held = self.held(&ask.by, connection, &ask.target).await?;
        let fresh = (later && !held.outlived(self.settings.upstream_timeout, now))
            || ask.needed.is_some_and(|needed| held.lives_for(needed, now));
        let too_young = provider.refresh.min_age.is_some_and(|age| now.since(connection.issued_at) < age);
        Ok(fresh || (too_young && connection.lives_at(now)))
    }

    /// True where somebody's attempt is there and its owner comes first, however late: the store has only just come back.
    fn rests(&self, connection: &Connection) -> bool {
        connection.attempt.is_some() && self.ports.outages.answering_for() < self.settings.rest
    }

    /// How long an attempt is left alone by others: longer than its request may take.
    fn attempt_lasts(&self) -> Duration {
        self.settings.upstream_timeout + self.settings.attempt_slack
    }
}
