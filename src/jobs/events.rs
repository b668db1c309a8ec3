//! Letting go of events that are old enough.

use super::{Job, trim_pause};
use crate::config::Events;
use crate::vault::Vault;
use futures_util::FutureExt;
use std::sync::Arc;

/// The job that these settings ask for.
pub fn events(vault: &Arc<Vault>, settings: &Events) -> Option<Job> {
    let retention = settings.retention?;
    let vault = Arc::clone(vault);
    let run = move || {
        let vault = Arc::clone(&vault);
        async move {
            if let Err(error) = vault.trim_events(retention).await {
                tracing::warn!(%error, "events could not be trimmed; the next run goes on");
            }
        }
        .boxed()
    };
    Some(Job { name: "events-trim", pause: trim_pause(retention), run: Box::new(run) })
}
