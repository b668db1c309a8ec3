//! What a tenant is told, as it reads it.

use super::Broker;
use crate::domain::Refusal;
use crate::vault::{Authority, EventFilter, EventRecord};

/// Pages in which nothing passes a filter, before an empty one is answered.
const IN_VAIN: usize = 20;

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
        let events = self.vault.events(by);
        let mut page = events.list(filter, after, limit).await?;
        for _ in 0..IN_VAIN {
            let Some((found, Some(next))) = &page else { break };
            if !found.is_empty() {
                break;
            }
            page = events.list(filter, Some(next), limit).await?;
        }
        Ok(page)
    }
}
