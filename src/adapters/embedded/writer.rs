//! The one thread that writes. It takes all that waits, does it in one transaction, and answers after the commit: the disk
//! is waited for once, however many wait.

use super::{batch, fault};
use crate::ports::Clock;
use crate::ports::store::{Batch, Outcome, Record, StoreError};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;

/// Batches of one transaction at most: a bound on what one failure can take with it.
const GROUP: usize = 512;
/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Records that one sweep removes at most, so that nobody waits long behind it.
const SWEEP: usize = 500;

/// What the thread is asked.
pub(super) enum Ask {
    Apply(Batch),
    Take(String),
}

/// What it answers.
pub(super) enum Answer {
    Applied(Outcome),
    Taken(Option<Record>),
}

struct Job {
    ask: Ask,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

/// The thread's handle. Dropping it ends the thread, after what it was given.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(database: Connection, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let swept = clock.monotonic();
        let work = Work { database, clock, swept };
        let thread = Builder::new().name("grantkeep-store".to_owned()).spawn(move || work.run(&inbox))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Asks and waits. What was asked happens also when the caller stops waiting.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job { ask, answer }).is_ok());
        if !sent {
            return Err(StoreError::Unavailable("the writing thread has ended".to_owned()));
        }
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::OutcomeUnknown("the writing thread ended before it answered".to_owned()))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It can only have panicked; then everybody who waited was told.
            let _ = thread.join();
        }
    }
}

/// Why a whole transaction did not happen.
enum Failed {
    /// Nothing of it is in the file.
    Before(StoreError),
    /// It may be.
    AtCommit(StoreError),
}

struct Work {
    database: Connection,
    clock: Arc<dyn Clock>,
    swept: Duration,
}

impl Work {
    fn run(mut self, inbox: &Receiver<Job>) {
        loop {
            match inbox.recv_timeout(SWEEP_EVERY) {
                Ok(first) => {
                    let mut group = vec![first];
                    group.extend(inbox.try_iter().take(GROUP - 1));
                    self.commit(group);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.sweep_if_due();
        }
    }

    fn commit(&mut self, group: Vec<Job>) {
        match self.attempt(&group) {
            Ok(answers) => {
                for (job, answer) in group.into_iter().zip(answers) {
                    // The caller may have stopped waiting.
                    let _ = job.answer.send(Ok(answer));
                }
            }
            // One that cannot be done must not take the others with it.
            Err(Failed::Before(_)) if group.len() > 1 => {
                for job in group {
                    self.commit(vec![job]);
                }
            }
            Err(Failed::Before(error) | Failed::AtCommit(error)) => {
                tracing::error!(%error, jobs = group.len(), "the store could not write");
                for job in group {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn attempt(&mut self, group: &[Job]) -> Result<Vec<Answer>, Failed> {
        let transaction = self
            .database
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| Failed::Before(fault(&error)))?;
        let now = self.clock.now();
        let answers = group.iter().map(|job| match &job.ask {
            Ask::Apply(batch) => batch::apply(&transaction, batch, now).map(Answer::Applied),
            Ask::Take(key) => batch::take(&transaction, key, now).map(Answer::Taken),
        });
        let answers = answers.collect::<Result<_, _>>().map_err(Failed::Before)?;
        transaction.commit().map_err(|error| match error.sqlite_error_code() {
            // The log's last frame is the one that commits: where it did not fit, nothing was committed.
            Some(ErrorCode::DiskFull) => Failed::Before(fault(&error)),
            _ => Failed::AtCommit(StoreError::OutcomeUnknown(error.to_string())),
        })?;
        Ok(answers)
    }

    /// Records past their life are absent already; this gives their room back.
    fn sweep_if_due(&mut self) {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.swept) < SWEEP_EVERY {
            return;
        }
        let statement = "DELETE FROM record WHERE rowid IN \
                         (SELECT rowid FROM record WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
        let swept = self
            .database
            .execute(statement, (self.clock.now().as_millis(), i64::try_from(SWEEP).unwrap_or(i64::MAX)));
        // After a full sweep there is more: the next one follows the next commit.
        if swept.as_ref().map_or(true, |records| *records < SWEEP) {
            self.swept = now;
        }
        match swept {
            Ok(records) => tracing::debug!(records, "swept records past their life"),
            Err(error) => tracing::warn!(%error, "records past their life could not be swept"),
        }
    }
}
