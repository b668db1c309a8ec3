//! Looking, after an outage, whether the store lost what it had taken.

use super::Job;
use crate::broker::Broker;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Costs nothing while the store answers.
const EVERY: Duration = Duration::from_secs(2);

/// The job that looks once after each outage.
pub fn went_back(broker: &Arc<Broker>) -> Job {
    let (broker, looked) = (Arc::clone(broker), Arc::new(AtomicU64::new(0)));
    let run = move || {
        let (broker, looked) = (Arc::clone(&broker), Arc::clone(&looked));
        async move {
            let ended = broker.outages_ended();
            if looked.swap(ended, Ordering::AcqRel) != ended {
                broker.look_for_what_went_back().await;
            }
        }
        .boxed()
    };
    Job { name: "went-back", pause: EVERY, run: Box::new(run) }
}
