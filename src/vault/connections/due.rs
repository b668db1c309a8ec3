//! When the server comes back to a connection by itself: a time in its record, and the index that is scanned for it.
//!
//! The record is the truth and the index a hint: whoever finds a member that is not its record's time takes it away.

use super::{Connection, Connections, Slot, told};
use crate::domain::{TenantId, Timestamp};
use crate::ports::store::{Batch, Value, Write};
use crate::vault::fields::Draft;
use crate::vault::{VaultError, events, keys};

/// What is to come for a connection, reckoned from its provider's file by whoever writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// When the server comes back to it by itself; none: never.
    pub due_at: Option<Timestamp>,
    /// When the end user has to agree again whatever is done; none where nobody knows.
    pub reauthorize_by: Option<Timestamp>,
}

/// Moves a slot in the index of what is due.
pub(super) fn move_due(
    batch: Batch,
    tenant: &TenantId,
    slot: &Slot,
    (before, after): (Option<Timestamp>, Option<Timestamp>),
) -> Batch {
    if before == after {
        return batch;
    }
    let index = || keys::due(tenant);
    let batch = before.iter().fold(batch, |batch, at| {
        batch.then(Write::IndexRemove { index: index(), member: keys::due_member(*at, slot) })
    });
    after.iter().fold(batch, |batch, at| {
        batch.then(Write::IndexAdd { index: index(), member: keys::due_member(*at, slot) })
    })
}

impl Connections<'_> {
    /// Tells beforehand that the tenant will have something due.
    pub(super) async fn hint(&self, due_at: Option<Timestamp>) -> Result<(), VaultError> {
        match due_at {
            Some(at) => self.vault.due().hint(self.by.tenant(), at).await,
            None => Ok(()),
        }
    }

    /// Writes when it was used and what is to come. False when it changed meanwhile.
    pub async fn replan(
        &self,
        read: &Connection,
        used_at: Option<Timestamp>,
        plan: Plan,
    ) -> Result<bool, VaultError> {
        let draft = Draft::some().maybe_time("used_at", used_at);
        let batch = self.planned(read, plan, draft).await?;
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// Tells that a grant ends, once, and what is to come after that. False when it changed meanwhile.
    pub async fn tell_expiring(&self, read: &Connection, plan: Plan) -> Result<bool, VaultError> {
        let batch = self.planned(read, plan, Draft::some().put("expiring_told", 1)).await?;
        let batch = events::tell(batch, self.by.tenant(), &[told::of_its_end(read)]);
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    async fn planned(&self, read: &Connection, plan: Plan, draft: Draft) -> Result<Batch, VaultError> {
        self.hint(plan.due_at).await?;
        let key = self.key(&read.slot);
        let set: Vec<(String, Value)> =
            draft.maybe_time("due_at", plan.due_at).maybe_time("reauthorize_by", plan.reauthorize_by).done();
        let absent = [("due_at", plan.due_at), ("reauthorize_by", plan.reauthorize_by)];
        let unset = absent.into_iter().filter(|(_, at)| at.is_none()).map(|(name, _)| name.to_owned());
        let batch = self
            .unchanged(Batch::new(), read)
            .then(Write::Unset { key: key.clone(), fields: unset.collect() })
            .then(Write::Set { key, fields: set });
        Ok(move_due(batch, self.by.tenant(), &read.slot, (read.plan.due_at, plan.due_at)))
    }
}
