//! Providers' hosts: how many refreshes each is asked at once, and a breaker that leaves one alone that does not answer.
//!
//! A turn is taken before an attempt is claimed, so waiting for it costs nothing of the attempt's time, and one slow host keeps
//! only those waiting who want something of it. One tenant has three quarters of the turns at most, so that however many of its
//! grants end at once, another one's refresh finds a turn. The breaker opens after a row of requests without a complete answer or with a
//! 5xx; a refusal and a 429 are answers. While it is open nothing is sent, and when its pause is over one request tries.

use crate::domain::TenantId;
use crate::telemetry::metrics;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hosts that are known at once; more can come out of what end users name, such as shops.
const MOST: usize = 10_000;
/// The longest pause; each further failure doubles it.
const LONGEST: Duration = Duration::from_mins(2);

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct HostSettings {
    /// Refreshes at one host at once.
    pub at_once: usize,
    /// Requests in a row that fail before it is left alone.
    pub opens_after: u32,
    /// For how long, the first time.
    pub pause: Duration,
}

/// The hosts that this process has asked lately.
pub(super) struct Hosts {
    settings: HostSettings,
    table: Mutex<HashMap<String, Arc<Host>>>,
}

struct Host {
    turns: Arc<Semaphore>,
    /// What of them each tenant may have that has some or waits.
    shares: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
    breaker: Mutex<Breaker>,
}

#[derive(Default)]
struct Breaker {
    /// In a row.
    failures: u32,
    /// Left alone until then, in monotonic time.
    until: Option<Duration>,
    pause: Duration,
    /// Somebody tries.
    probing: bool,
}

/// Somebody's turn at a host. Ends when it is dropped; what is not told to have ended well or badly counts as neither.
pub(super) struct Turn {
    host: Arc<Host>,
    settings: HostSettings,
    probe: bool,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Nothing is to be sent for so long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftAlone(pub Duration);

impl Hosts {
    pub fn new(settings: HostSettings) -> Self {
        Self { settings, table: Mutex::default() }
    }

    /// Takes a turn of a tenant at a host, and waits for one as long as `patience`. `now` is monotonic time.
    pub async fn enter(
        &self,
        host: &str,
        tenant: &TenantId,
        now: Duration,
        patience: Duration,
    ) -> Result<Turn, LeftAlone> {
        let host = self.host(host);
        let probe = host.may_pass(now)?;
        let mut turn = Waiting { host: &host, probe };
        let permits = tokio::time::timeout(patience, host.permits(tenant, self.settings.at_once)).await;
        let Ok(Some(permits)) = permits else { return Err(LeftAlone(Duration::from_secs(1))) };
        turn.probe = false;
        drop(turn);
        Ok(Turn { host: Arc::clone(&host), settings: self.settings, probe, _permits: permits })
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = table.get(name) {
            return Arc::clone(host);
        }
        if table.len() >= MOST {
            table.retain(|_, host| Arc::strong_count(host) > 1 || host.breaker().failures > 0);
        }
        let turns = Arc::new(Semaphore::new(self.settings.at_once));
        let host = Arc::new(Host { turns, shares: Mutex::default(), breaker: Mutex::default() });
        table.insert(name.to_owned(), Arc::clone(&host));
        host
    }
}

/// Whoever goes away while it waits is nobody's probe any more.
struct Waiting<'a> {
    host: &'a Host,
    probe: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.host.breaker().probing = false;
        }
    }
}

impl Host {
    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn of the tenant's share, and then one of all. None where there are none any more.
    async fn permits(
        &self,
        tenant: &TenantId,
        at_once: usize,
    ) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let own = self.share(tenant, at_once).acquire_owned().await.ok()?;
        let one = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some((own, one))
    }

    fn share(&self, tenant: &TenantId, at_once: usize) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        // Whoever has no turn and waits for none is known no more.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(at_once - at_once / 4));
        shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }

    /// Whether one may pass, and whether as the one who tries.
    fn may_pass(&self, now: Duration) -> Result<bool, LeftAlone> {
        let mut breaker = self.breaker();
        match breaker.until {
            None => Ok(false),
            Some(until) if now < until => Err(LeftAlone(until.saturating_sub(now))),
            Some(_) if breaker.probing => Err(LeftAlone(Duration::from_secs(1))),
            Some(_) => {
                breaker.probing = true;
                Ok(true)
            }
        }
    }
}

impl Turn {
    /// It answered.
    pub fn answered(self) {
        let mut breaker = self.host.breaker();
        if breaker.until.is_some() {
            tracing::info!("a provider's host answers again");
            metrics::host_left_alone(false);
        }
        *breaker = Breaker::default();
    }

    /// It did not, or could not. `now` is monotonic time; `dice` from 0 to 255 spreads the pauses of a fleet.
    pub fn failed(self, now: Duration, dice: u8) {
        let mut breaker = self.host.breaker();
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures < self.settings.opens_after || (breaker.until.is_some() && !self.probe) {
            return;
        }
        if breaker.until.is_none() {
            tracing::warn!(
                failures = breaker.failures,
                "a provider's host does not answer and is left alone for a while"
            );
            metrics::host_left_alone(true);
        }
        breaker.pause =
            if breaker.pause.is_zero() { self.settings.pause } else { (breaker.pause * 2).min(LONGEST) };
        breaker.until = Some(now + breaker.pause / 2 + breaker.pause * u32::from(dice) / 512);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.probe {
            self.host.breaker().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Id;

    const SETTINGS: HostSettings =
        HostSettings { at_once: 2, opens_after: 3, pause: Duration::from_secs(10) };
    const PATIENCE: Duration = Duration::from_millis(20);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn tenant(number: u8) -> TenantId {
        TenantId::parse(&format!("{number:0>width$}", width = TenantId::LENGTH)).unwrap()
    }

    async fn enter(hosts: &Hosts, host: &str, now: Duration) -> Result<Turn, LeftAlone> {
        hosts.enter(host, &tenant(1), now, PATIENCE).await
    }

    #[tokio::test]
    async fn a_tenant_with_many_leaves_a_turn_for_another() {
        let hosts = Hosts::new(HostSettings { at_once: 4, ..SETTINGS });
        let mut many = Vec::new();
        for _ in 0..3 {
            many.push(enter(&hosts, "a", at(0)).await.unwrap());
        }
        assert_eq!(enter(&hosts, "a", at(0)).await.err(), Some(LeftAlone(at(1))), "its share is taken");
        let other = hosts.enter("a", &tenant(2), at(0), PATIENCE).await.unwrap();
        let third = hosts.enter("a", &tenant(3), at(0), PATIENCE).await;
        assert_eq!(third.err(), Some(LeftAlone(at(1))), "four at once, whoever they are");
        drop((many.pop(), other));
        enter(&hosts, "a", at(0)).await.unwrap().answered();
        drop(many);
        let host = hosts.host("a");
        drop(host.share(&tenant(4), 4));
        assert_eq!(host.shares.lock().unwrap().len(), 1, "who is gone is not remembered");
    }

    #[tokio::test]
    async fn a_full_host_keeps_only_its_own_waiting() {
        let hosts = Hosts::new(SETTINGS);
        let first = enter(&hosts, "slow", at(0)).await.unwrap();
        let _second = enter(&hosts, "slow", at(0)).await.unwrap();
        assert_eq!(enter(&hosts, "slow", at(0)).await.err(), Some(LeftAlone(at(1))));
        enter(&hosts, "quick", at(0)).await.unwrap().answered();
        drop(first);
        enter(&hosts, "slow", at(0)).await.unwrap().answered();
    }

    #[tokio::test]
    async fn a_host_that_fails_is_left_alone_and_tried_by_one() {
        let hosts = Hosts::new(SETTINGS);
        for _ in 0..3 {
            enter(&hosts, "a", at(0)).await.unwrap().failed(at(0), 255);
        }
        let Err(LeftAlone(wait)) = enter(&hosts, "a", at(4)).await else { panic!("it is asked") };
        assert!((5..=6).contains(&wait.as_secs()), "{wait:?}");
        enter(&hosts, "b", at(4)).await.unwrap().answered();
        let probe = enter(&hosts, "a", at(11)).await.unwrap();
        assert_eq!(enter(&hosts, "a", at(11)).await.err(), Some(LeftAlone(at(1))), "one tries");
        probe.failed(at(11), 0);
        assert_eq!(enter(&hosts, "a", at(20)).await.err(), Some(LeftAlone(at(1))), "twice the pause");
        // Who goes away in the middle leaves the try to another.
        drop(enter(&hosts, "a", at(22)).await.unwrap());
        enter(&hosts, "a", at(22)).await.unwrap().answered();
        enter(&hosts, "a", at(22)).await.unwrap().failed(at(22), 0);
        enter(&hosts, "a", at(22)).await.unwrap().answered();
    }

    #[tokio::test]
    async fn an_answer_ends_a_row() {
        let hosts = Hosts::new(SETTINGS);
        for _ in 0..5 {
            for _ in 0..2 {
                enter(&hosts, "a", at(0)).await.unwrap().failed(at(0), 0);
            }
            enter(&hosts, "a", at(0)).await.unwrap().answered();
        }
    }
}
