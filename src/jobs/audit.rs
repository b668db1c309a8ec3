//! The audit trail's jobs: letting go of what is old enough, and logging where trails stand.

use super::{Job, trim_pause};
use crate::config::Audit;
use crate::vault::Vault;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

/// The jobs that these settings ask for.
pub fn audit(vault: &Arc<Vault>, settings: &Audit) -> Vec<Job> {
    let heads = {
        let vault = Arc::clone(vault);
        let run = move || {
            vault.log_audit_heads();
            std::future::ready(()).boxed()
        };
        Job { name: "audit-heads", pause: settings.heads, run: Box::new(run) }
    };
    let trim = settings.retention.map(|retention| {
        let vault = Arc::clone(vault);
        let run = move || {
            let vault = Arc::clone(&vault);
            async move { trim(&vault, retention).await }.boxed()
        };
        Job { name: "audit-trim", pause: trim_pause(retention), run: Box::new(run) }
    });
    std::iter::once(heads).chain(trim).collect()
}

async fn trim(vault: &Vault, retention: Duration) {
    match vault.trim_audit(retention).await {
        Ok(0) => {}
        Ok(records) => tracing::info!(records, "audit records past their time are gone"),
        Err(error) => tracing::warn!(%error, "audit records could not be trimmed; the next run goes on"),
    }
}
