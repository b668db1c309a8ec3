//! Password hashing, bounded: so many at once, so many waiting, the rest are told to come back. It runs on threads that
//! serve no requests (OWASP ASVS 5.0 section 11.4.2: costly on purpose, so a way to starve a server if it is not bounded).

use crate::domain::Refusal;
use crate::ports::Tasks;
use crate::telemetry::metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When to come back: a waiting line of usual length is done by then.
const COME_BACK: Duration = Duration::from_secs(1);

/// The gate that every password hash goes through.
pub(super) struct Hashing {
    tasks: Tasks,
    line: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

/// A turn to hash; given back when the hash is done, also where nobody waits for it any more.
pub(super) struct Turn {
    tasks: Tasks,
    permits: [OwnedSemaphorePermit; 2],
}

impl Hashing {
    pub fn new(tasks: Tasks, at_once: usize, waiting: usize) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        let line = at_once.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self { tasks, line: Arc::new(Semaphore::new(line)), at_once: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for a turn; refused at once when too many wait.
    pub async fn turn(&self) -> Result<Turn, Refusal> {
        let busy = Refusal::RateLimited { retry_after: COME_BACK };
        let in_line = Arc::clone(&self.line).try_acquire_owned().map_err(|_| busy.clone())?;
        let _waiting = metrics::waiting_for_password();
        // Fails only where the semaphore is closed, and nobody closes it.
        let turn = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_| busy)?;
        Ok(Turn { tasks: self.tasks.clone(), permits: [in_line, turn] })
    }
}

impl Turn {
    /// Does `work`, to its end.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let Self { tasks, permits } = self;
        metrics::password_hash();
        let done = tasks.block(move || {
            let outcome = work();
            drop(permits);
            outcome
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            Refusal::Internal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_line_is_refused_and_an_abandoned_turn_comes_back() {
        let hashing = Hashing::new(Tasks::new(tokio::runtime::Handle::current()), 1, 1);
        let first = hashing.turn().await.unwrap();
        let mut second = Box::pin(hashing.turn());
        assert!(futures_util::poll!(&mut second).is_pending());
        let third = hashing.turn().await.err();
        assert_eq!(third, Some(Refusal::RateLimited { retry_after: COME_BACK }));
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(second.run(|| 7).await, Ok(7));
        assert!(hashing.turn().await.is_ok());
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_turn_back() {
        let hashing = Hashing::new(Tasks::new(tokio::runtime::Handle::current()), 1, 0);
        let outcome: Result<(), Refusal> = hashing.turn().await.unwrap().run(|| panic!("planted")).await;
        assert_eq!(outcome, Err(Refusal::Internal));
        assert!(hashing.turn().await.is_ok());
    }
}
