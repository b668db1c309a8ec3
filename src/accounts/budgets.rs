//! Limits that count in the fleet: what has passed in this process is counted once more in the store, so that who asks another
//! server, or waits for a restart, has no more of it.

use super::Accounts;
use super::veil::Veiled;
use crate::admission::{Limiter, network, take_one};
use crate::domain::{Rate, Refusal};
use crate::ports::Clock;
use crate::vault::{Vault, VaultError};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Others that came between a read and a write: each of them got on, so it is never for long.
const TRIES: usize = 32;

/// Who is counted: by a veiled name here, and in the store by a hash that all servers know.
pub(super) struct Counted {
    veiled: Veiled,
    name: String,
}

/// One such limit.
pub(super) struct FleetLimit {
    kind: &'static str,
    rate: Rate,
    here: Limiter<Veiled>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
}

impl FleetLimit {
    pub fn new(kind: &'static str, rate: Rate, vault: &Arc<Vault>, clock: &Arc<dyn Clock>) -> Self {
        let (vault, clock) = (Arc::clone(vault), Arc::clone(clock));
        Self { kind, rate, here: Limiter::new(rate), vault, clock }
    }

    /// Refuses with the longest time to wait where nothing is left for one of them; takes nothing.
    pub async fn check(&self, who: &[Counted]) -> Result<(), Refusal> {
        let now = self.clock.monotonic();
        refuse(who.iter().filter_map(|who| self.here.check(&who.veiled, now).err()).max())?;
        let mut longest = None;
        for who in who {
            let budget = self.vault.budgets().read(self.kind, &who.name).await?;
            longest = longest.max(take_one(self.rate, budget.full_at.since(self.clock.now())).err());
        }
        refuse(longest)
    }

    /// Takes one, or says how long to wait. Where this process has none left the store is not asked.
    pub async fn take(&self, who: &Counted) -> Result<Option<Duration>, VaultError> {
        match self.take_here(who) {
            Some(wait) => Ok(Some(wait)),
            None => self.take_in_store(who).await,
        }
    }

    /// Takes one in this process, or says how long to wait.
    pub fn take_here(&self, who: &Counted) -> Option<Duration> {
        self.here.take(&who.veiled, self.clock.monotonic()).wait
    }

    /// Takes one here and in the store, with the same work whether or not one is left.
    pub async fn take_alike(&self, who: &Counted) -> Result<Option<Duration>, VaultError> {
        let here = self.take_here(who);
        Ok(here.max(self.take_in_store(who).await?))
    }

    /// Takes one in the store, or says how long to wait.
    pub async fn take_in_store(&self, who: &Counted) -> Result<Option<Duration>, VaultError> {
        let budgets = self.vault.budgets();
        for _ in 0..TRIES {
            let (read, now) = (budgets.read(self.kind, &who.name).await?, self.clock.now());
            let taken = take_one(self.rate, read.full_at.since(now));
            // Where none is left, what lies there is written again: as much work as taking one.
            let full_in = taken.unwrap_or_else(|_| read.full_at.since(now));
            let lives = full_in.max(Duration::from_secs(1));
            if budgets.write((self.kind, &who.name), read, now.plus(full_in), lives).await? {
                return Ok(taken.err());
            }
        }
        // So many at once for one name: nobody has that many to count.
        Ok(Some(self.rate.interval()))
    }
}

/// A refusal where there is a time to wait.
fn refuse(wait: Option<Duration>) -> Result<(), Refusal> {
    wait.map_or(Ok(()), |retry_after| Err(Refusal::RateLimited { retry_after }))
}

impl Accounts {
    /// An e-mail address, or what was given as one.
    pub(super) fn counted_email(&self, text: &str) -> Counted {
        Counted { veiled: self.veil.email(text), name: format!("email {text}") }
    }

    /// Counts one more sign-up or mail asked for from a network, and refuses too many; `limited` is told of it.
    pub(super) async fn one_more_from(
        &self,
        from: Option<IpAddr>,
        limited: impl FnOnce(&'static str),
    ) -> Result<(), Refusal> {
        let Some(from) = from else { return Ok(()) };
        let wait = self.sign_ups.take(&self.counted_network(from)).await?;
        if wait.is_some() {
            limited("limited");
        }
        refuse(wait)
    }

    /// The network of an address.
    pub(super) fn counted_network(&self, from: IpAddr) -> Counted {
        Counted { veiled: self.veil.network(from), name: format!("network {}", network(from)) }
    }
}
