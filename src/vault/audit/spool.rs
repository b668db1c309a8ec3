//! Records of tokens that are handed out while the store cannot be reached: sealed, on this server's own disk, before the token
//! leaves. They go into the trail as soon as the store takes them; where a process dies in between, the next one sees to it.
//! A record may then be there twice, and is never missing.

use super::event::Event;
use super::trail::Trail;
use super::{Heard, heard};
use crate::domain::TenantId;
use crate::ports::store::{StoreError, Value};
use crate::ports::{ChanceExt, Locked, Pages, Tasks};
use crate::telemetry::metrics;
use crate::vault::{Vault, VaultError, keys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// The version that is written.
const VERSION: u32 = 1;
/// Records of one page at most.
const PAGE: usize = 512;
/// Records that may lie on the disk, of some 500 bytes each; beyond them no token leaves.
const MOST: usize = 200_000;
/// The record that the pages' envelopes belong to.
const KIND: &str = "audit-spool";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    version: u32,
    tenant: TenantId,
    /// How many there are.
    records: usize,
    /// The events as they are written, a JSON array, sealed; in base64.
    events: String,
}

struct Waiting {
    tenant: TenantId,
    event: String,
    tell: oneshot::Sender<Result<(), VaultError>>,
}

#[derive(Default)]
struct Table {
    waiting: Vec<Waiting>,
    /// Somebody writes, and will see what comes meanwhile.
    writing: bool,
}

/// What this process keeps on its disk.
pub(in crate::vault) struct Spool {
    pages: Arc<dyn Pages>,
    vault: Weak<Vault>,
    tasks: Tasks,
    table: Locked<Table>,
    /// As many records as this process has put there.
    on_disk: AtomicUsize,
    /// Something may lie there: at the start nobody knows.
    some: AtomicBool,
}

impl Vault {
    /// Gives the audit trail a disk for what the store cannot take; to be called once, after [`Self::write_audit`].
    pub fn spool_audit(self: &Arc<Self>, pages: Arc<dyn Pages>, tasks: &Tasks) {
        let (vault, tasks) = (Arc::downgrade(self), tasks.clone());
        let (table, on_disk, some) = (Locked::default(), AtomicUsize::new(0), AtomicBool::new(true));
        let spool = Spool { pages, vault, tasks, table, on_disk, some };
        // Called twice, the first one stays.
        let _ = self.spool.set(Arc::new(spool));
    }

    /// Puts into the trails what lies on the disk, an earlier process's too. What the store does not take stays there for the
    /// next call.
    pub async fn take_up_spooled_audit(&self) {
        let (Some(spool), Some(trail)) = (self.spool.get(), self.trail.get()) else { return };
        if spool.some.swap(false, Ordering::AcqRel) && !spool.take_up(self, trail).await {
            spool.some.store(true, Ordering::Release);
        }
    }
}

impl Spool {
    /// Puts a deed among those that are written next; what comes back is told when it is on the disk.
    pub fn push(self: &Arc<Self>, tenant: &TenantId, event: String) -> Result<Heard, VaultError> {
        let (tell, heard) = oneshot::channel();
        let waiting = Waiting { tenant: tenant.clone(), event, tell };
        let begin = self.table.with(|table| {
            let records = self.on_disk.load(Ordering::Relaxed) + table.waiting.len();
            if records >= MOST {
                return Err(VaultError::TrailFull(records));
            }
            table.waiting.push(waiting);
            Ok(!std::mem::replace(&mut table.writing, true))
        })?;
        if begin {
            let spool = Arc::clone(self);
            self.tasks.start(async move { Writer { spool, ended: false }.write().await });
        }
        Ok(heard)
    }

    async fn keep(&self, tenant: &TenantId, events: &[&str]) -> Result<(), VaultError> {
        let vault = self.vault.upgrade().ok_or(VaultError::NoTrail)?;
        let trail = vault.trail.get().ok_or(VaultError::NoTrail)?;
        // The time first: pages are taken up in the order of their names.
        let now = vault.clock.now().as_millis();
        let name = format!("{now:015}-{:016x}", u64::from_be_bytes(vault.chance.bytes()));
        let key = keys::audit(tenant, &trail.instance);
        let held = vault.hold_keys(tenant).await?;
        let sealer = vault.sealer_with(&held, &key, (KIND, &name));
        let (_, sealed) = sealer.seal("events", &serde_json::json!(events).to_string())?;
        let Value::Bytes(sealed) = sealed else { return Err(VaultError::NoTrail) };
        let page = Page {
            version: VERSION,
            tenant: tenant.clone(),
            records: events.len(),
            events: STANDARD.encode(sealed),
        };
        let bytes = serde_json::to_vec(&page).map_err(|error| unwritable(&error))?;
        self.pages.keep(&name, &bytes).await.map_err(|error| unwritable(&error))?;
        self.on_disk.fetch_add(events.len(), Ordering::Relaxed);
        self.some.store(true, Ordering::Release);
        Ok(())
    }

    async fn take_up(&self, vault: &Vault, trail: &Arc<Trail>) -> bool {
        let mut pages = match self.pages.pages().await {
            Ok(pages) => pages,
            Err(error) => {
                tracing::error!(%error, "audit records may lie on this server's disk that cannot be read");
                return false;
            }
        };
        pages.sort();
        for (name, bytes) in pages {
            let page = match read(&bytes) {
                Ok(page) => page,
                Err(what) => {
                    self.set_aside(&name, &what).await;
                    continue;
                }
            };
            match self.write_down(vault, trail, &name, &page).await {
                Ok(()) | Err(VaultError::TenantGone(_)) => {}
                // Nothing is wrong with the page.
                Err(
                    error @ (VaultError::Store(_)
                    | VaultError::TrailFull(_)
                    | VaultError::MasterKeyMissing { .. }),
                ) => {
                    tracing::warn!(%error, "audit records stay on this server's disk for now");
                    return false;
                }
                Err(error) => {
                    self.set_aside(&name, &error.to_string()).await;
                    continue;
                }
            }
            if let Err(error) = self.pages.remove(&name).await {
                tracing::error!(%error, "audit records that are stored cannot be removed from the disk");
                return false;
            }
            self.forget(page.records);
        }
        true
    }

    async fn write_down(
        &self,
        vault: &Vault,
        trail: &Arc<Trail>,
        name: &str,
        page: &Page,
    ) -> Result<(), VaultError> {
        let key = keys::audit(&page.tenant, &trail.instance);
        let corrupt =
            |what| VaultError::Corrupt { record: key.name().to_owned(), field: "events".to_owned(), what };
        let sealed = STANDARD.decode(&page.events).map_err(|_| corrupt("is no base64"))?;
        let sealer = vault.sealer(&page.tenant, &key, (KIND, name), Some(&sealed)).await?;
        let events: Vec<String> =
            serde_json::from_str(&sealer.open("events", &sealed)?).map_err(|_| corrupt("cannot be read"))?;
        let mut written = Vec::with_capacity(events.len());
        for event in events {
            let at = serde_json::from_str::<Event>(&event).map_err(|_| corrupt("is no event"))?.at();
            // As one that must not be lost: an error is told, and the page stays.
            written.push(trail.push(&page.tenant, event, at, true)?);
        }
        for written in written {
            heard(written).await?;
        }
        metrics::audit_records("taken_up", page.records);
        Ok(())
    }

    fn forget(&self, records: usize) {
        let less = |on_disk: usize| Some(on_disk.saturating_sub(records));
        // Never fails: there is always an answer.
        let _ = self.on_disk.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    async fn set_aside(&self, name: &str, what: &str) {
        tracing::error!(
            page = name,
            what,
            "audit records on this server's disk cannot be taken up: set aside"
        );
        metrics::audit_records("lost", 1);
        if let Err(error) = self.pages.set_aside(name).await {
            tracing::error!(%error, page = name, "they could not be set aside either");
        }
    }
}

/// Whoever writes. Dropped in the middle, it lets others begin, and those who wait are told by the end of their senders.
struct Writer {
    spool: Arc<Spool>,
    ended: bool,
}

impl Writer {
    async fn write(mut self) {
        loop {
            let waiting = self.spool.table.with(|table| {
                table.writing = !table.waiting.is_empty();
                std::mem::take(&mut table.waiting)
            });
            if waiting.is_empty() {
                self.ended = true;
                return;
            }
            let mut of_tenants: BTreeMap<TenantId, Vec<Waiting>> = BTreeMap::new();
            for record in waiting {
                of_tenants.entry(record.tenant.clone()).or_default().push(record);
            }
            for (tenant, mut records) in of_tenants {
                while !records.is_empty() {
                    let page: Vec<Waiting> = records.drain(..PAGE.min(records.len())).collect();
                    let events: Vec<&str> = page.iter().map(|record| record.event.as_str()).collect();
                    let kept = self.spool.keep(&tenant, &events).await;
                    metrics::audit_records(if kept.is_ok() { "spooled" } else { "refused" }, page.len());
                    for record in page {
                        // Who asked may be gone.
                        let _ = record.tell.send(kept.clone());
                    }
                }
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            drop(self.spool.table.with(std::mem::take));
        }
    }
}

fn read(bytes: &[u8]) -> Result<Page, String> {
    let page: Page = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if page.version == VERSION {
        Ok(page)
    } else {
        Err(format!("version {} is of another version of Grantkeep", page.version))
    }
}

fn unwritable(error: &dyn std::fmt::Display) -> VaultError {
    tracing::error!(%error, "audit records cannot be kept on this server's disk: no token leaves");
    StoreError::Unavailable(format!("neither the store nor the disk takes audit records: {error}")).into()
}
