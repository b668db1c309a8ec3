//! Putting into the trails what was recorded on this server's disk while the store could not be reached.

use super::Job;
use crate::vault::Vault;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

/// Costs nothing while there is nothing on the disk.
const EVERY: Duration = Duration::from_secs(2);

/// The job that does so.
pub fn spooled(vault: &Arc<Vault>) -> Job {
    let vault = Arc::clone(vault);
    let run = move || {
        let vault = Arc::clone(&vault);
        async move { vault.take_up_spooled_audit().await }.boxed()
    };
    Job { name: "spooled", pause: EVERY, run: Box::new(run) }
}
