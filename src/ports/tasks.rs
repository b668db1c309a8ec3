//! Work that outlives the request that began it.
//!
//! An HTTP server drops a handler in the middle when its client goes away; a token that came back must be stored all the
//! same. Such work runs here, on a runtime of its own that is drained before exit.

use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// A handle to the runtime that is drained, not dropped, at exit.
#[derive(Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    stopping: CancellationToken,
}

/// The work ended without an outcome: it panicked, or the process is being killed.
#[derive(Debug, thiserror::Error)]
#[error("the work was ended before it was done")]
pub struct Abandoned;

impl Tasks {
    /// Work will run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, tracker: TaskTracker::new(), stopping: CancellationToken::new() }
    }

    /// Starts `work` at once and runs it to its end, whether or not the caller stays to hear the outcome.
    pub fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Abandoned>> + Send + 'static {
        // What it logs bears the id of the request that began it.
        let running = self.tracker.spawn_on(work.in_current_span(), &self.runtime);
        async move { running.await.map_err(|_| Abandoned) }
    }

    /// Starts `work` and does not wait for it.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.tracker.spawn_on(work.in_current_span(), &self.runtime));
    }

    /// Runs something that blocks on a thread made for that.
    pub async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Abandoned> {
        self.tracker.spawn_blocking_on(work, &self.runtime).await.map_err(|_| Abandoned)
    }

    /// Returns when the process begins to stop: what goes on by itself ends then.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// The runtime itself, for what has to live as long and is not waited for.
    pub fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// How much is under way.
    pub fn under_way(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until all of it is done, `patience` at most; false when some was not.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.stopping.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}
