//! Mails that have come due are sent, also those of a server that is gone.

use super::Job;
use crate::accounts::Accounts;
use std::sync::Arc;
use std::time::Duration;

/// Looks for them every `pause`.
pub fn mails(accounts: &Arc<Accounts>, pause: Duration) -> Job {
    let accounts = Arc::clone(accounts);
    Job {
        name: "mails",
        pause,
        run: Box::new(move || {
            let accounts = Arc::clone(&accounts);
            Box::pin(async move { accounts.send_due_mails().await })
        }),
    }
}
