//! When the server comes back to a connection by itself: a time in its record, and the index that is scanned for it.
//!
//! The record is the truth and the index a hint: whoever finds a member that is not its record's time takes it away.

use super::{Connection, Slot};
use crate::domain::{TenantId, Timestamp};
use crate::ports::store::{Batch, Write};
use crate::vault::keys;

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

impl Connection {
    /// When the server comes back to it by itself.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.plan.due_at
    }
}
