//! New tokens that the store does not take: a provider that rotates gives them once. They are kept in memory and, sealed, on
//! this server's own disk, tried until the store has them, and served from here meanwhile (section 9.5 of the design).

use super::{Broker, Landed};
use crate::domain::{AttemptId, Refusal, TenantId, Who};
use crate::ports::{ChanceExt, Locked};
use crate::telemetry::metrics;
use crate::vault::{Authority, Brought, Committed, Connection, Slot, Spilled, VaultError};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// The first pause between two tries, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// What waits for the store. Of one slot that is one thing: nobody refreshes it again before.
#[derive(Default)]
pub(in crate::broker) struct Pending {
    /// How many, so that nobody takes the lock where there is none.
    count: AtomicUsize,
    table: Locked<HashMap<(TenantId, Slot), Arc<Brought>>>,
}

impl Pending {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<(TenantId, Slot), Arc<Brought>>) -> T) -> T {
        self.table.with(|table| {
            let done = work(table);
            self.count.store(table.len(), Ordering::Release);
            metrics::outcomes_waiting(table.len());
            done
        })
    }

    /// False where the same is waiting already.
    fn add(&self, tenant: &TenantId, brought: &Arc<Brought>) -> bool {
        let place = (tenant.clone(), brought.slot().clone());
        self.with(|table| {
            let known = table.get(&place).is_some_and(|known| known.attempt() == brought.attempt());
            if !known {
                table.insert(place, Arc::clone(brought));
            }
            !known
        })
    }

    fn remove(&self, tenant: &TenantId, brought: &Arc<Brought>) {
        let place = (tenant.clone(), brought.slot().clone());
        self.with(|table| {
            if table.get(&place).is_some_and(|known| Arc::ptr_eq(known, brought)) {
                table.remove(&place);
            }
        });
    }

    fn newer(&self, tenant: &TenantId, found: &Connection) -> Option<Arc<Brought>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let place = (tenant.clone(), found.slot.clone());
        let waiting = self.with(|table| table.get(&place).cloned());
        waiting.filter(|brought| brought.is_newer_than(found))
    }
}

impl Broker {
    /// A connection as this process knows it: what it has and the store has not yet, or has no more, lies over what was read.
    pub(in crate::broker) async fn as_known(
        self: &Arc<Self>,
        by: &Authority,
        found: Arc<Connection>,
    ) -> Arc<Connection> {
        if let Some(brought) = self.pending.newer(by.tenant(), &found) {
            return brought.next().cloned().map_or(found, Arc::new);
        }
        let Some(lost) = self.recent.newer(by.tenant(), &found, self.ports.clock.monotonic()) else {
            return found;
        };
        // It may only have been stored since that was read.
        let again = self.vault.connections(by).find(&found.slot).await;
        let found = match again {
            Ok(Some(now)) => Arc::new(now),
            Ok(None) | Err(_) => return found,
        };
        if !lost.is_newer_than(&found) {
            return found;
        }
        let Some(next) = lost.next().cloned() else { return found };
        self.went_back(by, &found, lost).await;
        Arc::new(next)
    }

    /// The store lost what it had taken: it is told, and given again.
    async fn went_back(self: &Arc<Self>, by: &Authority, found: &Connection, lost: Arc<Brought>) {
        if !self.pending.add(by.tenant(), &lost) {
            return;
        }
        let stored = lost.next().map(|next| next.generation);
        tracing::error!(
            tenant = %by.tenant(),
            connection = %found.id,
            found = found.generation,
            stored,
            "the store lost a generation that it had taken; this process has it and writes it again"
        );
        metrics::alarm(metrics::Alarm::WentBack);
        let name = self.spill(by, &lost).await;
        self.try_on(by.clone(), lost, name, None);
    }

    /// Looks after an outage whether the store lost anything that this process remembers.
    pub async fn look_for_what_went_back(self: &Arc<Self>) {
        for (tenant, slot) in self.recent.all() {
            let by = Authority::proven(tenant, Who::Grantkeep.at(None));
            match self.vault.connections(&by).find(&slot).await {
                Ok(Some(found)) => drop(self.as_known(&by, Arc::new(found)).await),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "what the store may have lost could not be looked at; the next read will tell");
                    return;
                }
            }
        }
    }

    /// How often the store came back since the start.
    pub fn outages_ended(&self) -> u64 {
        self.ports.outages.ended()
    }

    /// Keeps new tokens until the store has them. Waits for that as long as a caller waits; then the tokens are served from
    /// here.
    pub(super) async fn keep_on(
        self: &Arc<Self>,
        by: &Authority,
        brought: Arc<Brought>,
    ) -> Result<Landed, Refusal> {
        self.pending.add(by.tenant(), &brought);
        let name = self.spill(by, &brought).await;
        let (tell, told) = oneshot::channel();
        self.try_on(by.clone(), Arc::clone(&brought), name, Some(tell));
        match tokio::time::timeout(self.settings.wait, told).await {
            Ok(Ok(landed)) => landed,
            // Still tried, or left on the disk by a process that ends.
            Ok(Err(_)) | Err(_) => match brought.next() {
                Some(next) => Ok(Landed::Fresh(Box::new(next.clone()))),
                None => Err(Refusal::Internal),
            },
        }
    }

    /// Writes new tokens to this server's own disk; the page's name.
    async fn spill(&self, by: &Authority, brought: &Brought) -> Option<String> {
        let page = self.vault.connections(by).spill(brought)?;
        let name = self.ports.chance.id::<AttemptId>().to_string();
        match self.ports.spill.keep(&name, &page).await {
            Ok(()) => {
                metrics::outcome_kept("spilled");
                Some(name)
            }
            Err(error) => {
                tracing::error!(%error, "new tokens are in memory alone: neither store nor disk takes them");
                metrics::outcome_kept("not_spilled");
                None
            }
        }
    }

    /// Tries to store new tokens until the store has them, or wants them no more, or the process ends.
    fn try_on(
        self: &Arc<Self>,
        by: Authority,
        brought: Arc<Brought>,
        page: Option<String>,
        tell: Option<oneshot::Sender<Result<Landed, Refusal>>>,
    ) {
        let broker = Arc::clone(self);
        self.ports.tasks.start(async move {
            let Some(committed) = broker.until_settled(&by, &brought, page.is_some()).await else { return };
            let landed = broker.settled(&by, &brought, committed).await;
            broker.pending.remove(by.tenant(), &brought);
            if let Some(page) = page {
                broker.page_is_done(&page).await;
            }
            // Where nobody waits any more, the tokens are stored all the same.
            if let Some(tell) = tell {
                drop(tell.send(landed));
            }
        });
    }

    /// None where the process ends first and the tokens lie on its disk.
    async fn until_settled(&self, by: &Authority, brought: &Brought, on_disk: bool) -> Option<Committed> {
        let connections = self.vault.connections(by);
        let mut pause = PAUSE.0;
        let mut ending = false;
        loop {
            match connections.settle(brought).await {
                Ok(Committed::Contested(_)) => {}
                Ok(committed) => return Some(committed),
                Err(VaultError::Store(error)) => tracing::warn!(%error, "new tokens are not stored yet"),
                Err(error) => {
                    tracing::error!(%error, "new tokens cannot be stored; they stay where they are");
                }
            }
            if ending && on_disk {
                tracing::warn!("new tokens wait on this server's disk for its next start");
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(self.jittered(pause)) => {}
                () = self.ports.tasks.stopping(), if !ending => ending = true,
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn page_is_done(&self, page: &str) {
        if let Err(error) = self.ports.spill.remove(page).await {
            tracing::error!(%error, "a page of new tokens that are stored could not be removed; the next start will");
        }
    }

    /// Takes up what an earlier process of this server left on its disk. Where the store takes it, it is stored when this
    /// returns; else it is tried on.
    pub async fn take_up_spilled(self: &Arc<Self>) {
        let pages = match self.ports.spill.pages().await {
            Ok(pages) => pages,
            Err(error) => {
                tracing::error!(%error, "new tokens may lie on this server's disk that cannot be read");
                return;
            }
        };
        for (name, page) in pages {
            let spilled = match Spilled::read(&page) {
                Ok(spilled) => spilled,
                Err(what) => {
                    self.set_aside(&name, &what).await;
                    continue;
                }
            };
            let by = Authority::proven(spilled.tenant, Who::Grantkeep.at(None));
            let brought = Arc::new(spilled.brought);
            tracing::warn!(tenant = %by.tenant(), page = name, "new tokens of an earlier run are taken up");
            metrics::outcome_kept("taken_up");
            match self.vault.connections(&by).settle(&brought).await {
                Ok(committed @ (Committed::Stored(_) | Committed::Superseded(_))) => {
                    if let Err(refusal) = self.settled(&by, &brought, committed).await {
                        tracing::warn!(code = refusal.code(), "what became of new tokens is not recorded");
                    }
                    self.page_is_done(&name).await;
                }
                Err(VaultError::Store(_)) | Ok(Committed::Contested(_)) => {
                    self.pending.add(by.tenant(), &brought);
                    self.try_on(by, brought, Some(name), None);
                }
                Err(error) => self.set_aside(&name, &error.to_string()).await,
            }
        }
    }

    async fn set_aside(&self, name: &str, what: &str) {
        tracing::error!(page = name, what, "a page of new tokens cannot be taken up and is set aside");
        metrics::outcome_kept("set_aside");
        if let Err(error) = self.ports.spill.set_aside(name).await {
            tracing::error!(%error, page = name, "it could not be set aside either");
        }
    }
}
