//! What this process writes: for each tenant a queue of records, one append under way at a time, and what comes meanwhile goes
//! with the next.
//!
//! A record that comes before what it tells (a token handed out) is written or refused, and its caller told. One that comes
//! after (a change) cannot be refused any more: where the store does not take it, it waits here and is tried again until it is
//! written or the process ends. Who asked need not stay (see `writing`).

use super::Heard;
use super::append::Known;
use super::chain::Link;
use super::event::Event;
use crate::domain::{InstanceId, TenantId, Timestamp};
use crate::ports::{Locked, Tasks};
use crate::telemetry::metrics;
use crate::vault::{Vault, VaultError};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Records of one append at most.
const GROUP: usize = 128;
/// Records that may wait in this process, and as many of tokens that wait to be handed out; each has about half a kilobyte.
pub(super) const MOST_WAITING: usize = 20_000;
/// Those of one tenant: where its own records cannot be written, the others have room.
const MOST_OF_ONE: usize = MOST_WAITING / 2;
/// Tenants whose heads are remembered, each in a quarter of a kilobyte; a head that is not costs a read more.
pub(super) const MOST_KNOWN: usize = 50_000;
/// How many make room at once: each is logged, while others wait.
pub(super) const FORGOTTEN: usize = 64;
/// A head is logged at the latest after so many records.
const LOGGED_EVERY: u64 = 1000;

/// What a process needs to write trails.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Whose trails they are.
    pub instance: InstanceId,
    /// How long records are kept; for ever where none is given.
    pub retention: Option<Duration>,
}

/// A record that waits.
pub(super) struct Pending {
    /// As it is written.
    pub event: String,
    pub at: Timestamp,
    /// What it tells has not happened yet, and will not if this cannot be written.
    pub first: bool,
    /// It was in an append whose outcome is not known.
    pub doubtful: bool,
    /// It is in one that is under way.
    pub under_way: bool,
    tell: Option<oneshot::Sender<Result<(), VaultError>>>,
}

impl Pending {
    pub fn tell(&mut self, outcome: Result<(), VaultError>) {
        if let Some(tell) = self.tell.take() {
            // Who asked may be gone.
            let _ = tell.send(outcome);
        }
    }

    /// Nobody hears any more what became of the append that it was in.
    pub fn lost_from_sight(&mut self) {
        self.doubtful |= std::mem::take(&mut self.under_way);
    }

    /// Whatever becomes of the record, its caller is to hear of what was done.
    fn has_happened(&mut self) {
        self.tell(Ok(()));
    }
}

#[derive(Default)]
struct Table {
    /// Those of tenants for whom something is under way.
    queues: HashMap<TenantId, Queue>,
    known: HashMap<TenantId, Known>,
    /// All that waits, in the queues and beside them.
    waiting: usize,
    /// Those among them that come before what they tell. Where one cannot be written it is refused, so they never pile up,
    /// and what does pile up keeps nobody from a token.
    first: usize,
}

#[derive(Default)]
struct Queue {
    pending: VecDeque<Pending>,
    more: Arc<Notify>,
}

/// The trails that this process writes.
pub(in crate::vault) struct Trail {
    pub(super) instance: InstanceId,
    pub(super) retention: Option<Duration>,
    vault: Weak<Vault>,
    pub(super) tasks: Tasks,
    table: Locked<Table>,
    stopping: AtomicBool,
}

impl Vault {
    /// Lets this process write audit trails; to be called once, before anything is recorded. Where the process stops, it logs
    /// where its trails stand.
    pub fn write_audit(self: &Arc<Self>, options: AuditOptions, tasks: &Tasks) {
        let trail = Arc::new(Trail {
            instance: options.instance,
            retention: options.retention,
            vault: Arc::downgrade(self),
            tasks: tasks.clone(),
            table: Locked::default(),
            stopping: AtomicBool::new(false),
        });
        if self.trail.set(Arc::clone(&trail)).is_err() {
            return;
        }
        let waiting = tasks.clone();
        tasks.start(async move {
            waiting.stopping().await;
            trail.stopping.store(true, Ordering::SeqCst);
            trail.log_heads();
        });
    }

    /// Logs where those trails of this process stand that went on since they were logged.
    pub fn log_audit_heads(&self) {
        if let Some(trail) = self.trail.get() {
            trail.log_heads();
        }
    }
}

impl Trail {
    /// Puts an event into its tenant's queue; what comes back is told when it was written or given up. `first`: what it tells
    /// has not happened yet.
    pub fn push(
        self: &Arc<Self>,
        tenant: &TenantId,
        event: String,
        at: Timestamp,
        first: bool,
    ) -> Result<Heard, VaultError> {
        let (tell, heard) = oneshot::channel();
        let pending = Pending { event, at, first, doubtful: false, under_way: false, tell: Some(tell) };
        let vault = self.vault.upgrade().ok_or(VaultError::NoTrail)?;
        let full = self.table.with(|table| {
            let of_one = table.queues.get(tenant).map_or(0, |queue| queue.pending.len());
            let before = if pending.first { table.first } else { table.waiting.saturating_sub(table.first) };
            if before >= MOST_WAITING || (!pending.first && of_one >= MOST_OF_ONE) {
                return Some((pending, before));
            }
            table.waiting += 1;
            table.first += usize::from(pending.first);
            if let Some(queue) = table.queues.get_mut(tenant) {
                queue.pending.push_back(pending);
                queue.more.notify_one();
                return None;
            }
            let queue = Queue { pending: VecDeque::from([pending]), more: Arc::default() };
            let more = Arc::clone(&queue.more);
            table.queues.insert(tenant.clone(), queue);
            self.begin(vault, tenant.clone(), more, first);
            None
        });
        match full {
            Some((pending, waiting)) if pending.first => {
                metrics::audit_records("refused", 1);
                return Err(VaultError::TrailFull(waiting));
            }
            Some((mut pending, _)) => {
                lost(tenant, &pending);
                pending.tell(Ok(()));
            }
            None => {}
        }
        Ok(heard)
    }

    /// True while few enough of a tenant's records wait that none would be lost for want of room soon.
    pub fn has_room(&self, tenant: &TenantId) -> bool {
        self.table.with(|table| {
            let of_one = table.queues.get(tenant).map_or(0, |queue| queue.pending.len());
            of_one < MOST_OF_ONE / 2 && table.waiting < MOST_WAITING / 2
        })
    }

    /// Takes from the queue as much as one append may have; false, and no queue any more, where there is nothing to write.
    pub(super) fn fill(&self, tenant: &TenantId, group: &mut Vec<Pending>) -> bool {
        self.table.with(|table| {
            let Some(queue) = table.queues.get_mut(tenant) else { return !group.is_empty() };
            let room = GROUP.saturating_sub(group.len()).min(queue.pending.len());
            group.extend(queue.pending.drain(..room));
            if group.is_empty() {
                table.queues.remove(tenant);
            }
            !group.is_empty()
        })
    }

    pub(super) fn done(
        &self,
        outcome: &'static str,
        records: impl Iterator<Item = Pending>,
        told: &Result<(), VaultError>,
    ) {
        let (mut count, mut first) = (0, 0);
        for mut record in records {
            count += 1;
            first += usize::from(record.first);
            record.tell(told.clone());
        }
        if count == 0 {
            return;
        }
        let waiting = self.table.with(|table| {
            table.waiting = table.waiting.saturating_sub(count);
            table.first = table.first.saturating_sub(first);
            table.waiting
        });
        metrics::audit_records(outcome, count);
        metrics::audit_waiting(waiting);
    }

    /// Those that come before what they tell are refused, the others stay, unless there is nobody any more to keep them for. So
    /// also in the queue: no caller waits behind what cannot be written.
    pub(super) fn put_off(&self, tenant: &TenantId, group: &mut Vec<Pending>, error: &VaultError) {
        let queued = self.table.with(|table| {
            let Some(queue) = table.queues.get_mut(tenant) else { return VecDeque::new() };
            let all = std::mem::take(&mut queue.pending).into_iter();
            let (first, others): (VecDeque<_>, VecDeque<_>) = all.partition(|record| record.first);
            queue.pending = others;
            queue.pending.iter_mut().for_each(Pending::has_happened);
            first
        });
        let refused = group.extract_if(.., |record| record.first).chain(queued);
        self.done("refused", refused, &Err(error.clone()));
        if matches!(error, VaultError::TenantGone(_)) {
            self.done("gone", group.drain(..), &Ok(()));
        }
        if matches!(error, VaultError::MasterKeyMissing { .. }) {
            // This process will never have the key: waiting would only hold up its end.
            tracing::error!(%tenant, %error, records = group.len(), "audit records cannot be written here");
            self.done("lost", group.drain(..), &Ok(()));
        }
        if group.is_empty() {
            return;
        }
        tracing::error!(%tenant, %error, records = group.len(), "audit records wait to be stored");
        metrics::audit_waiting(self.table.with(|table| table.waiting));
        group.iter_mut().for_each(Pending::has_happened);
    }

    /// Those records of a group that are found to be stored.
    pub(super) fn landed(&self, records: impl Iterator<Item = Pending>) {
        self.done("stored", records, &Ok(()));
    }

    pub(super) fn known(&self, tenant: &TenantId) -> Option<Known> {
        self.table.with(|table| table.known.get(tenant).cloned())
    }

    /// Remembers where a trail stands, and logs it now and then.
    pub(super) fn know(&self, tenant: &TenantId, mut known: Known) {
        self.table.with(|table| {
            // Once the process stops, each time may be the last.
            let logged_every = if self.stopping.load(Ordering::SeqCst) { 1 } else { LOGGED_EVERY };
            known.logged = table.known.get(tenant).map_or(known.logged, |before| before.logged);
            if known.link.sequence >= known.logged.saturating_add(logged_every) {
                self.log_head(tenant, &mut known);
            }
            if table.known.len() >= MOST_KNOWN && !table.known.contains_key(tenant) {
                let idle = |tenant: &TenantId| !table.queues.contains_key(tenant);
                for (tenant, mut known) in table.known.extract_if(|tenant, _| idle(tenant)).take(FORGOTTEN) {
                    self.log_head(&tenant, &mut known);
                }
            }
            table.known.insert(tenant.clone(), known);
        });
    }

    /// The batch under way will make this head, or not.
    pub(super) fn doubt(&self, tenant: &TenantId, link: &Link) {
        self.table.with(|table| {
            if let Some(known) = table.known.get_mut(tenant) {
                known.doubt = Some(link.clone());
            }
        });
    }

    /// Nobody writes any more what waits for a tenant.
    pub(super) fn give_up(&self, tenant: &TenantId) -> VecDeque<Pending> {
        self.table.with(|table| table.queues.remove(tenant)).unwrap_or_default().pending
    }

    fn log_heads(&self) {
        self.table
            .with(|table| table.known.iter_mut().for_each(|(tenant, known)| self.log_head(tenant, known)));
    }

    fn log_head(&self, tenant: &TenantId, known: &mut Known) {
        if known.link.sequence == known.logged {
            return;
        }
        known.logged = known.link.sequence;
        tracing::info!(
            target: "grantkeep::audit",
            %tenant,
            instance = %self.instance,
            sequence = known.link.sequence,
            mac = known.link.mac,
            at = %known.time,
            "an audit trail stands here"
        );
    }
}

fn lost(tenant: &TenantId, record: &Pending) {
    // Not the event itself: it names end users.
    let event = serde_json::from_str::<Event>(&record.event).ok();
    let (action, outcome) =
        event.as_ref().map(|event| (event.action.as_str(), event.outcome.as_str())).unzip();
    let request_id = event.as_ref().and_then(|event| event.request_id.as_deref());
    tracing::error!(%tenant, action, outcome, request_id, "an audit record is lost: too many wait to be stored");
    metrics::audit_records("lost", 1);
}
