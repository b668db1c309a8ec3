//! What a tenant is told, as it reads it.

use super::Broker;
use super::sparse::first_with_some;
use crate::domain::Refusal;
use crate::vault::{Authority, EventFilter, EventRecord};

impl Broker {
    /// Events that pass a filter, the oldest first, after that id, `limit` at most; and where to go on. None where the id is
    /// none.
    pub async fn read_events(
        &self,
        by: &Authority,
        filter: &EventFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<(Vec<EventRecord>, Option<String>)>, Refusal> {
        let events = &self.vault.events(by);
        let list = |after: Option<String>| async move { events.list(filter, after.as_deref(), limit).await };
        Ok(first_with_some(after, list).await?)
    }
}
