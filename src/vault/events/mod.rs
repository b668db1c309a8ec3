//! Events: a stream for each tenant, written in the same batch as the change that an event tells.

mod list;
mod trim;

pub use list::{EventFilter, EventRecord};

use super::fields::Draft;
use super::{Authority, Vault, keys};
use crate::domain::{Event, TenantId};
use crate::ports::store::{Batch, Write};
use std::collections::BTreeMap;

/// The events of one tenant.
pub struct Events<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> Events<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }
}

/// Adds what is told to the batch of what happens.
pub(super) fn tell(batch: Batch, tenant: &TenantId, events: &[Event]) -> Batch {
    events.iter().fold(batch, |batch, event| {
        let about: BTreeMap<_, _> =
            event.about.iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
        let fields =
            Draft::record().put("type", event.kind.as_str()).put("about", serde_json::json!(about)).done();
        batch.then(Write::Append { stream: keys::events(tenant), fields })
    })
}
