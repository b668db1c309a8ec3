//! The writing of one tenant's queue: where it runs, and what becomes of it when that ends.
//!
//! It begins on the thread of whoever came first with a token to hand out: on a busy machine a word to another thread and back
//! costs more than the append itself. Such a thread ends with its server, and what was written there goes on on `Tasks`, which
//! are waited for at exit. A batch that was on its way then is in doubt, as where its answer was lost.

use super::trail::{Pending, Trail};
use crate::domain::TenantId;
use crate::ports::ChanceExt;
use crate::ports::store::StoreError;
use crate::vault::Vault;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// The pause before a store that took nothing is asked again: the first one, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Somebody writes for a tenant. Where that ends otherwise than by having written all, by a panic or with the process, nobody
/// may go on waiting.
struct Writing {
    trail: Arc<Trail>,
    vault: Arc<Vault>,
    tenant: TenantId,
    more: Arc<Notify>,
    /// What is being written.
    group: Vec<Pending>,
    /// It is not on `Tasks`.
    on_a_visit: bool,
    ended: bool,
}

impl Trail {
    /// Begins to write what waits for a tenant. `at_once`: on this very thread, where it has a runtime of its own.
    pub(super) fn begin(
        self: &Arc<Self>,
        vault: Arc<Vault>,
        tenant: TenantId,
        more: Arc<Notify>,
        at_once: bool,
    ) {
        let here = Handle::try_current().ok();
        let here = here.filter(|here| at_once && here.id() != self.tasks.runtime().id());
        let (trail, group, on_a_visit) = (Arc::clone(self), Vec::new(), here.is_some());
        let writing = Writing { trail, vault, tenant, more, group, on_a_visit, ended: false };
        match here {
            Some(here) => drop(here.spawn(writing.run())),
            None => self.tasks.start(writing.run()),
        }
    }
}

impl Writing {
    /// Writes what waits until nothing does.
    async fn run(mut self) {
        let mut pause = PAUSE.0;
        while self.trail.fill(&self.tenant, &mut self.group) {
            match self.trail.append(&self.vault, &self.tenant, &mut self.group).await {
                Ok(()) => {
                    self.trail.done("stored", self.group.drain(..), &Ok(()));
                    pause = PAUSE.0;
                }
                Err(error) => {
                    self.trail.put_off(&self.tenant, &mut self.group, &error);
                    if !self.group.is_empty() {
                        let dice = u32::from(self.vault.chance.bytes::<1>()[0]);
                        tokio::select! {
                            () = tokio::time::sleep(pause / 2 + pause * dice / 512) => {}
                            // Who hands out a token must not wait for the end of a pause.
                            () = self.more.notified() => {}
                        }
                        pause = (pause * 2).min(PAUSE.1);
                    }
                }
            }
        }
        self.ended = true;
    }

    /// The same on `Tasks`.
    fn moved(&mut self) -> Self {
        let mut group = std::mem::take(&mut self.group);
        group.iter_mut().for_each(Pending::lost_from_sight);
        let (trail, vault) = (Arc::clone(&self.trail), Arc::clone(&self.vault));
        let (tenant, more) = (self.tenant.clone(), Arc::clone(&self.more));
        Self { trail, vault, tenant, more, group, on_a_visit: false, ended: false }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.on_a_visit {
            let moved = self.moved();
            self.trail.tasks.start(moved.run());
            return;
        }
        let queued = self.trail.give_up(&self.tenant);
        let given_up: Vec<Pending> = self.group.drain(..).chain(queued).collect();
        tracing::error!(
            tenant = %self.tenant,
            records = given_up.len(),
            "audit records are given up: their writing was ended in the middle"
        );
        let error = StoreError::OutcomeUnknown("the audit trail's writer ended".to_owned());
        self.trail.done("lost", given_up.into_iter(), &Err(error.into()));
    }
}
