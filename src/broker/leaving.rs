//! A tenant's last day: every grant is ended at its provider, then everything is removed. It goes on by itself when whoever
//! began it is killed, and on another server too.

use super::{Broker, Revocation};
use crate::domain::{Action, Deed, Refusal, TenantId};
use crate::ports::store::StoreError;
use crate::telemetry::metrics;
use crate::vault::{Authority, Slot, VaultError};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Grants ended at once.
const AT_ONCE: usize = 8;
/// How long a caller waits to hear that all is done.
const PROMPT: Duration = Duration::from_secs(3);

/// How far a deletion has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// To its end. What became of the grants at their providers, counted by the word for it.
    Done(BTreeMap<String, u64>),
    /// It goes on by itself.
    UnderWay,
}

impl Broker {
    /// Deletes the tenant that `by` proves. From the answer on nobody can act for it any more, whatever the answer is.
    pub async fn delete_tenant(self: &Arc<Self>, by: &Authority) -> Result<Deletion, Refusal> {
        let (broker, by_then) = (Arc::clone(self), by.clone());
        let marked = self.ports.tasks.finish(async move {
            let marked = broker.vault.leaving().mark(&by_then).await;
            if marked == Ok(true) {
                broker.note(&by_then, Deed::done(Action::TenantDeleted)).await;
            }
            marked
        });
        if !marked.await.map_err(|_| Refusal::Internal)?? {
            return Err(Refusal::Unauthenticated);
        }
        let (broker, tenant) = (Arc::clone(self), by.tenant().clone());
        let work = self.ports.tasks.finish(async move { broker.see_off(&tenant).await });
        match tokio::time::timeout(PROMPT, work).await {
            Ok(Ok(Ok(Some(revocations)))) => Ok(Deletion::Done(revocations)),
            Ok(Ok(Err(error))) => {
                tracing::error!(tenant = %by.tenant(), %error, "a deletion was cut short and will go on");
                Ok(Deletion::UnderWay)
            }
            // Another server is at it, or it takes long.
            _ => Ok(Deletion::UnderWay),
        }
    }

    /// Goes on with every deletion that nobody is at.
    pub async fn resume_deletions(&self) -> Result<(), VaultError> {
        let mut after: Option<TenantId> = None;
        loop {
            let tenants = self.vault.leaving().list(after.as_ref()).await?;
            for tenant in &tenants {
                // One that does not go on holds up no other.
                if let Err(error) = self.see_off(tenant).await {
                    tracing::error!(%tenant, %error, "a deletion was cut short and will go on");
                }
            }
            match tenants.last() {
                Some(last) => after = Some(last.clone()),
                None => return Ok(()),
            }
        }
    }

    /// Deletes a tenant that is marked, to the end. None where somebody else is at it, or where this server stops.
    async fn see_off(&self, tenant: &TenantId) -> Result<Option<BTreeMap<String, u64>>, VaultError> {
        let leaving = self.vault.leaving();
        let Some(mut going) = leaving.take(tenant, self.in_hand()).await? else { return Ok(None) };
        let by = going.authority().clone();
        let mut after: Option<String> = None;
        loop {
            let (slots, next) = self.vault.connections(&by).slots(after.as_deref(), AT_ONCE).await?;
            let ended = join_all(slots.iter().map(|slot| self.end_grant(&by, slot))).await;
            for revocation in ended {
                if let Some(revocation) = revocation? {
                    *going.revocations.entry(revocation.as_str().to_owned()).or_default() += 1;
                }
            }
            let stops = self.ports.tasks.stopping().now_or_never().is_some();
            let lasts = if stops { Duration::ZERO } else { self.in_hand() };
            if !leaving.keep(&going, lasts).await? || stops {
                return Ok(None);
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        leaving.finish(&going).await?;
        metrics::tenant_deleted();
        tracing::info!(%tenant, revocations = ?going.revocations, "a tenant was deleted");
        Ok(Some(going.revocations))
    }

    /// Ends the connection of a slot at its provider and here; none where there is none.
    async fn end_grant(&self, by: &Authority, slot: &Slot) -> Result<Option<Revocation>, VaultError> {
        let found = match self.vault.connections(by).find(slot).await {
            // What cannot be read can be ended by nobody; its record goes with the rest.
            Err(error @ (VaultError::Corrupt { .. } | VaultError::DoesNotOpen { .. })) => {
                tracing::error!(%error, "a grant was not ended at its provider");
                return Ok(Some(Revocation::Failed));
            }
            found => found?,
        };
        let Some(connection) = found else { return Ok(None) };
        // No deed of its own: the trail goes with the tenant.
        match self.delete(by, &connection.id, &mut Deed::done(Action::ConnectionDeleted)).await {
            Ok(revocation) => Ok(Some(revocation)),
            Err(Refusal::ConnectionNotFound) => Ok(None),
            // Its record stays, so that it is tried again.
            Err(Refusal::StoreUnavailable { .. }) => {
                Err(StoreError::Unavailable("while a grant was ended".to_owned()).into())
            }
            Err(_) => Ok(Some(Revocation::Failed)),
        }
    }

    /// How long a deletion is left alone by others: longer than a request and its repetition may take.
    fn in_hand(&self) -> Duration {
        self.settings.upstream_timeout * 2 + self.settings.attempt_slack
    }
}
