//! Looking whether the store is as far as it was.

use super::Job;
use crate::broker::Broker;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

/// The job that looks that often.
pub fn epoch(broker: &Arc<Broker>, every: Duration) -> Job {
    let broker = Arc::clone(broker);
    let run = move || {
        let broker = Arc::clone(&broker);
        async move { broker.watch_epoch().await }.boxed()
    };
    Job { name: "epoch", pause: every, run: Box::new(run) }
}
