//! Refreshes that nobody asked for: rounds over what is due, and what is to come after each change (`ahead` reckons it).

use super::ahead::Prospect;
use super::claimed::Claimed;
use super::{Ask, Broker, Landed, Target};
use crate::catalog::{Provider, Rotation};
use crate::domain::{AttemptId, Refusal, TenantId, Timestamp, Who};
use crate::ports::ChanceExt;
use crate::telemetry::metrics;
use crate::vault::{
    Authority, Connection, DueHint, DueSlot, Fresh, NewGrant, Plan, Slot, Status, VaultError,
};
use futures_util::StreamExt;
use quick_cache::sync::Cache;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a part of what is due is in one's hands at most.
const LEASE: Duration = Duration::from_mins(2);
/// Tenants looked at together, and slots of each of them in a turn.
const TENANTS: usize = 200;
const SLOTS: usize = 32;
/// What could not be sent is looked at again after this;
const LATER: Duration = Duration::from_mins(1);
/// for want of a provider's file or of the registration, after this: whoever asks for a token finds it back at once.
const SELDOM: Duration = Duration::from_hours(1);
/// A use is written down at most this often by one process, whatever came of it.
const AT_MOST_EVERY: Duration = Duration::from_mins(10);
/// How many connections' uses are remembered.
const REMEMBERED: usize = 50_000;

/// Whose use this process wrote down lately, by a hash of tenant and slot, and when in monotonic time.
pub(in crate::broker) struct Uses {
    hashes: RandomState,
    table: Cache<u64, Duration>,
}

impl Default for Uses {
    fn default() -> Self {
        Self { hashes: RandomState::new(), table: Cache::new(REMEMBERED) }
    }
}

impl Uses {
    /// True for the first in a while.
    fn is_first(&self, tenant: &TenantId, slot: &Slot, now: Duration) -> bool {
        let key = self.hashes.hash_one((tenant, slot));
        let lately = self.table.get(&key).is_some_and(|at| now.saturating_sub(at) < AT_MOST_EVERY);
        if !lately {
            self.table.insert(key, now);
        }
        !lately
    }
}

impl Broker {
    /// What is to come for a new grant.
    pub(in crate::broker) fn plan_of_new(&self, provider: &Provider, grant: &NewGrant) -> Plan {
        let now = self.ports.clock.now();
        self.settings.ahead.plan(&Prospect {
            provider,
            issued_at: grant.issued_at,
            expires_at: grant.expires_at,
            has_refresh_token: grant.tokens.refresh.is_some(),
            refresh_expires_at: grant.refresh_expires_at,
            slides: false,
            connected_at: now,
            used_at: Some(now),
            told: false,
            now,
            dice: self.dice(),
        })
    }

    /// What is to come after a refresh.
    pub(super) fn plan_after(&self, claimed: &Claimed<'_>, fresh: &Fresh) -> Plan {
        let read = &claimed.read;
        let known = fresh.refresh_expires_at.or(read.refresh_expires_at);
        let slides = match (read.refresh_expires_at, fresh.refresh_expires_at) {
            (Some(before), Some(after)) => after > before.plus(Duration::from_mins(1)),
            _ => false,
        };
        self.settings.ahead.plan(&Prospect {
            issued_at: fresh.issued_at,
            expires_at: fresh.expires_at,
            has_refresh_token: fresh.tokens.refresh.is_some(),
            refresh_expires_at: known,
            slides,
            used_at: fresh.used_at.or(read.used_at),
            ..self.prospect(&claimed.ready.provider, read)
        })
    }

    /// When a refresh that failed is tried again without being asked.
    pub(super) fn due_again(
        &self,
        read: &Connection,
        status: Status,
        retry_at: Timestamp,
        hopeless: bool,
    ) -> Option<Timestamp> {
        if matches!(status, Status::ReauthorizationRequired(_)) {
            return None;
        }
        let now = self.ports.clock.now();
        self.settings.ahead.again(read.used_at, retry_at, hopeless, (now, self.dice()))
    }

    fn prospect<'a>(&self, provider: &'a Provider, of: &Connection) -> Prospect<'a> {
        Prospect {
            provider,
            issued_at: of.issued_at,
            expires_at: of.expires_at,
            has_refresh_token: of.has_refresh_token(),
            refresh_expires_at: of.refresh_expires_at,
            slides: of.refresh_expires_at.is_some() && of.plan.reauthorize_by.is_none(),
            connected_at: of.connected_at,
            used_at: of.used_at,
            told: of.expiring_told,
            now: self.ports.clock.now(),
            dice: self.dice(),
        }
    }

    /// Writes down that a connection is in use, where that was last said long ago; nobody waits for it.
    pub(in crate::broker) fn note_use(self: &Arc<Self>, by: &Authority, connection: &Connection) {
        let now = self.ports.clock.now();
        let lately = self.settings.ahead.used_within / 8;
        let said = connection.used_at.is_some_and(|at| now.since(at) < lately);
        if said || !self.uses.is_first(by.tenant(), &connection.slot, self.ports.clock.monotonic()) {
            return;
        }
        let (broker, by, connection) = (Arc::clone(self), by.clone(), connection.clone());
        self.ports.tasks.start(async move {
            let Ok(provider) = broker.provider(&connection.slot.provider) else { return };
            let of = Prospect { used_at: Some(now), ..broker.prospect(&provider, &connection) };
            let plan = match connection.status {
                Status::Active => broker.settings.ahead.plan(&of),
                // What was reckoned after its failure stands.
                _ => connection.plan,
            };
            if let Err(error) = broker.vault.connections(&by).replan(&connection, Some(now), plan).await {
                tracing::debug!(%error, "that a connection is in use is not written down; the next use will be");
            }
        });
    }

    /// One round: whatever is due in the parts that nobody else looks at, until nothing is. `pace` is the pause between two
    /// rounds.
    pub async fn refresh_what_is_due(self: &Arc<Self>, pace: Duration) {
        let worker: AttemptId = self.ports.chance.id();
        let stopping = self.ports.tasks.stopping();
        tokio::pin!(stopping);
        while self.look_around(&worker, pace).await {
            // A round ends where the process does.
            if futures_util::poll!(&mut stopping).is_ready() {
                return;
            }
        }
    }

    /// Looks once through all parts; true where more is due now than had a turn.
    async fn look_around(self: &Arc<Self>, worker: &AttemptId, pace: Duration) -> bool {
        let mut shards: Vec<u16> = self.vault.due().shards().collect();
        let mut seen = Seen::default();
        while !shards.is_empty() {
            // Each instance in an order of its own, so that they share the parts.
            let place = usize::from(self.dice()) % shards.len();
            let shard = shards.swap_remove(place);
            if let Err(error) = self.look_through(shard, worker, pace, &mut seen).await {
                tracing::warn!(%error, shard, "what is due could not be looked through; the next round goes on");
                return false;
            }
        }
        metrics::due(seen.backlog, seen.lag);
        seen.more
    }

    /// Puts back what is missing of the hints which tenants have something due.
    pub async fn heal_due(&self) {
        if let Err(error) = self.vault.due().heal().await {
            tracing::warn!(%error, "hints of what is due could not be looked at; the next run goes on");
        }
    }

    async fn look_through(
        self: &Arc<Self>,
        shard: u16,
        worker: &AttemptId,
        pace: Duration,
        seen: &mut Seen,
    ) -> Result<(), VaultError> {
        let due = self.vault.due();
        let now = self.ports.clock.now();
        // Most of the time there is nothing, and that costs one read.
        let mut hints = due.hints(shard, now, None, TENANTS).await?;
        if hints.is_empty() || !due.take(shard, worker, LEASE).await? {
            return Ok(());
        }
        let mut all = true;
        while let Some(last) = hints.last().cloned() {
            all &= self.do_what_is_due(&hints, now, seen).await?;
            for hint in &hints {
                due.drop_hint(shard, hint, now).await?;
            }
            // Hints stay for a while after their span: who stands behind many of them has a turn too.
            hints = if hints.len() < TENANTS {
                Vec::new()
            } else {
                due.hints(shard, now, Some(&last), TENANTS).await?
            };
        }
        // Where there is more, another instance may go on at once.
        seen.more |= !all;
        due.release(shard, worker, if all { pace } else { Duration::ZERO }).await
    }

    /// One turn for each of those tenants; true when nothing was left of it, or nothing could be done about it.
    async fn do_what_is_due(
        self: &Arc<Self>,
        hints: &[DueHint],
        now: Timestamp,
        seen: &mut Seen,
    ) -> Result<bool, VaultError> {
        let mut work: Vec<(Authority, DueSlot)> = Vec::new();
        let mut tenants: HashSet<&TenantId> = HashSet::new();
        let mut all = true;
        for hint in hints.iter().filter(|hint| tenants.insert(&hint.tenant)) {
            let slots = self.vault.due().slots(&hint.tenant, now, SLOTS).await?;
            all &= slots.len() < SLOTS;
            for due in slots {
                seen.see(&due, now);
                work.push((Authority::proven(hint.tenant.clone(), Who::Grantkeep.at(None)), due));
            }
        }
        let looked_at = AtomicUsize::new(0);
        let done = futures_util::stream::iter(work).for_each_concurrent(
            self.settings.ahead_at_once,
            |(by, due)| async {
                let (by, due) = (by, due);
                let stopping = self.ports.tasks.stopping();
                let work = self.look_at(&by, &due);
                // A flight under way goes on; no further one begins.
                tokio::select! {
                    () = stopping => {}
                    looked = work => match looked {
                        Ok(()) => drop(looked_at.fetch_add(1, Ordering::Relaxed)),
                        Err(refusal) => {
                            let code = refusal.code();
                            tracing::debug!(code, "a connection that is due could not be looked at");
                        }
                    }
                }
            },
        );
        done.await;
        Ok(all || looked_at.into_inner() == 0)
    }

    /// Does what is due for one connection, and sees to it that it is not due in the same way again.
    async fn look_at(self: &Arc<Self>, by: &Authority, due: &DueSlot) -> Result<(), Refusal> {
        let connections = self.vault.connections(by);
        let found = connections.find(&due.slot).await?;
        let Some(connection) = found.filter(|found| found.plan.due_at == Some(due.at)) else {
            return Ok(self.vault.due().sweep(by.tenant(), due).await?);
        };
        let now = self.ports.clock.now();
        let Ok(provider) = self.provider(&connection.slot.provider) else {
            // Its file is gone: it may come back.
            return self.later(by, &connection, SELDOM).await;
        };
        let of = self.prospect(&provider, &connection);
        let end = connection.plan.reauthorize_by.filter(|_| !connection.expiring_told);
        if end.is_some_and(|end| self.settings.ahead.notice_of(&of, end) <= now) {
            let plan = self.settings.ahead.plan(&Prospect { told: true, ..of });
            connections.tell_expiring(&connection, plan).await?;
            return Ok(());
        }
        if self.on_hold() && provider.refresh.rotation != Rotation::None {
            return self.later(by, &connection, LATER).await;
        }
        let ask = Ask {
            by: by.clone(),
            slot: connection.slot.clone(),
            target: Target::Main,
            needed: None,
            seen_grant: connection.grant.clone(),
            seen_generation: connection.generation,
            seen_attempt: None,
            ahead: true,
        };
        let mut again = LATER;
        if let Landed::Kept(_, refusal) = self.join_refresh(ask).await {
            tracing::debug!(code = refusal.code(), "refreshed ahead in vain");
            // Nothing was sent, and nothing will be before the tenant has done something.
            if matches!(
                refusal,
                Refusal::IntegrationMisconfigured { .. } | Refusal::ReauthorizationRequired { .. }
            ) {
                again = SELDOM;
            }
        }
        let after = connections.find(&due.slot).await?;
        match after.filter(|after| after.plan.due_at == Some(due.at)) {
            Some(after) => self.later(by, &after, again).await,
            None => Ok(()),
        }
    }

    async fn later(&self, by: &Authority, connection: &Connection, span: Duration) -> Result<(), Refusal> {
        let due_at = Some(self.ports.clock.now().plus(self.jittered(span * 2)));
        let plan = Plan { due_at, ..connection.plan };
        self.vault.connections(by).replan(connection, None, plan).await?;
        Ok(())
    }
}

/// What a round has seen.
#[derive(Default)]
struct Seen {
    backlog: usize,
    lag: Duration,
    /// More is due than had a turn.
    more: bool,
}

impl Seen {
    fn see(&mut self, due: &DueSlot, now: Timestamp) {
        self.backlog += 1;
        self.lag = self.lag.max(now.since(due.at));
    }
}
