//! The audit trail: what was done in a tenant's name, by whom, from where, and how it ended.
//!
//! Each instance writes a trail of its own for each tenant: a stream, whose records are numbered and chained by MACs (`chain`).
//! `trail` and `append` write, `list` reads, `trim` lets go what is old enough, `verify` finds what is not as it was written.

mod append;
mod chain;
mod check;
mod event;
mod heads_log;
mod list;
mod spool;
#[cfg(test)]
mod tests;
mod trail;
mod trim;
mod verify;
mod walk;
mod writing;

pub use event::AuditRecord;
pub use heads_log::HeadsLog;
pub use list::AuditFilter;
pub(super) use spool::Spool;
pub use trail::AuditOptions;
pub(super) use trail::Trail;
pub use verify::{TrailFault, Verified};

use super::{Authority, Vault, VaultError};
use crate::domain::{Deed, Timestamp};
use crate::ports::store::StoreError;
use event::Event;
use tokio::sync::oneshot;

/// The audit trail of one tenant.
pub struct Audit<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> Audit<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }

    /// Records a deed of the actor that `by` names. When it returns, the store has it, or it waits in this process and is
    /// written as soon as the store takes it: what has happened does not unhappen for want of a record.
    pub async fn record(&self, deed: Deed) -> Result<(), VaultError> {
        heard(self.push(&deed, false)?).await
    }

    /// Records what is not done yet and must not be done without a record: a token that is to be handed out. When it returns,
    /// the store has it; at an error it is not there, and nothing may leave.
    pub async fn record_first(&self, deed: Deed) -> Result<(), VaultError> {
        heard(self.push(&deed, true)?).await
    }

    /// As [`Self::record_first`] while the store cannot be reached: when it returns, this server's disk has the record, sealed,
    /// and it is in the trail as soon as the store takes it.
    pub async fn record_on_disk(&self, deed: &Deed) -> Result<(), VaultError> {
        let spool = self.vault.spool.get().ok_or(VaultError::NoTrail)?;
        let event = self.event(deed, self.vault.clock.now())?;
        heard(spool.push(self.by.tenant(), event)?).await
    }

    /// Has a deed recorded by and by; waits only while so many are that records would get lost.
    pub async fn note_or_wait(&self, deed: Deed) -> Result<(), VaultError> {
        let trail = self.vault.trail.get().ok_or(VaultError::NoTrail)?;
        let written = self.push(&deed, false)?;
        if trail.has_room(self.by.tenant()) { Ok(()) } else { heard(written).await }
    }

    /// The same for whoever cannot wait, or has nothing to say where it fails.
    pub fn note(&self, deed: &Deed) {
        if let Err(error) = self.push(deed, false) {
            tracing::error!(tenant = %self.by.tenant(), %error, "a deed is not recorded");
        }
    }

    fn push(&self, deed: &Deed, first: bool) -> Result<Heard, VaultError> {
        let trail = self.vault.trail.get().ok_or(VaultError::NoTrail)?;
        let at = self.vault.clock.now();
        trail.push(self.by.tenant(), self.event(deed, at)?, at, first)
    }

    fn event(&self, deed: &Deed, at: Timestamp) -> Result<String, VaultError> {
        Event::write(deed, self.by.actor(), at).ok_or_else(|| VaultError::Corrupt {
            record: format!("audit:{}", deed.action.as_str()),
            field: "event".to_owned(),
            what: "could not be written",
        })
    }
}

type Heard = oneshot::Receiver<Result<(), VaultError>>;

async fn heard(written: Heard) -> Result<(), VaultError> {
    let ended = || StoreError::OutcomeUnknown("the audit trail's writer ended".to_owned());
    written.await.unwrap_or_else(|_| Err(ended().into()))
}
