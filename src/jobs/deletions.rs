//! Deletions of tenants that were cut short go on.

use super::Job;
use crate::broker::Broker;
use std::sync::Arc;
use std::time::Duration;

/// Looks for them every `pause`.
pub fn deletions(broker: &Arc<Broker>, pause: Duration) -> Job {
    let broker = Arc::clone(broker);
    Job {
        name: "deletions",
        pause,
        run: Box::new(move || {
            let broker = Arc::clone(&broker);
            Box::pin(async move {
                if let Err(error) = broker.resume_deletions().await {
                    tracing::warn!(%error, "deletions that were cut short were not looked for");
                }
            })
        }),
    }
}
