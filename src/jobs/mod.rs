//! The jobs: what the server does by itself, each at a pace of its own.
//!
//! A job is asked again and again until the process stops; one that is under way then is finished. This room decides when;
//! what is done is said in the rooms below.

mod audit;
mod deletions;
mod epoch;
mod events;
mod mails;
mod refreshes;
mod spooled;
mod went_back;

pub use audit::audit;
pub use deletions::deletions;
pub use epoch::epoch;
pub use events::events;
pub use mails::mails;
pub use refreshes::refreshes;
pub use spooled::spooled;
pub use went_back::went_back;

use crate::ports::{Chance, ChanceExt, Tasks};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// Between two runs that let go of what is old.
const TRIM_EVERY: Duration = Duration::from_hours(1);

/// The pause between two such runs; where things are kept for less than two hours, half of that.
fn trim_pause(retention: Duration) -> Duration {
    TRIM_EVERY.min(retention / 2)
}

/// Something to be done again and again.
pub struct Job {
    /// Its name in log lines.
    pub name: &'static str,
    /// The pause between two runs; each is drawn from between half of it and all of it, so that the instances of a fleet do
    /// not come at once.
    pub pause: Duration,
    /// One run.
    pub run: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

/// Starts jobs on `tasks`. They end when it is drained.
pub fn start(jobs: Vec<Job>, tasks: &Tasks, chance: &Arc<dyn Chance>) {
    for job in jobs {
        let span = tracing::info_span!("job", name = job.name);
        let (stopping, chance) = (tasks.clone(), Arc::clone(chance));
        tasks.start(
            async move {
                loop {
                    let dice = u32::from(chance.bytes::<1>()[0]);
                    let pause = job.pause / 2 + job.pause * dice / 512;
                    tokio::select! {
                        () = stopping.stopping() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    (job.run)().await;
                }
            }
            .instrument(span),
        );
    }
}
