//! Refreshing ahead, and looking after the hints of what is due.

use super::Job;
use crate::broker::Broker;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

/// Hints are written before what they tell, so few are ever missing.
const HEAL_EVERY: Duration = Duration::from_hours(1);

/// The rounds over what is due, at that pace, and the healing of their hints.
pub fn refreshes(broker: &Arc<Broker>, pace: Duration) -> [Job; 2] {
    let rounds = {
        let broker = Arc::clone(broker);
        let run = move || {
            let broker = Arc::clone(&broker);
            async move { broker.refresh_what_is_due(pace).await }.boxed()
        };
        Job { name: "refreshes", pause: pace, run: Box::new(run) }
    };
    let heal = {
        let broker = Arc::clone(broker);
        let run = move || {
            let broker = Arc::clone(&broker);
            async move { broker.heal_due().await }.boxed()
        };
        Job { name: "due-hints", pause: HEAL_EVERY, run: Box::new(run) }
    };
    [rounds, heal]
}
