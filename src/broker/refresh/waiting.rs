//! Waiting for another instance's refresh: woken where the store tells of it, and looking by oneself in any case.

use super::Broker;
use crate::ports::Locked;
use crate::ports::store::Notice;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

/// The first pause between two looks, and the longest, where nobody wakes.
const BLIND: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// The same where the store tells: for the notice that got lost.
const TOLD: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Who waits in this process, by the name that the store tells.
#[derive(Default)]
pub(in crate::broker) struct Waiting {
    table: Locked<HashMap<String, (Arc<Notify>, usize)>>,
    listening: Mutex<bool>,
}

/// A place among those who wait; given up when it is dropped.
pub(super) struct Place<'a> {
    waiting: &'a Waiting,
    name: String,
    notify: Arc<Notify>,
    pause: Duration,
    longest: Duration,
}

impl Waiting {
    /// Takes a place. What is told from now on wakes it; what came before is to be looked for.
    fn join(&self, name: String, pauses: (Duration, Duration)) -> Place<'_> {
        let notify = self.table.with(|table| {
            let (notify, count) = table.entry(name.clone()).or_default();
            *count += 1;
            Arc::clone(notify)
        });
        Place { waiting: self, name, notify, pause: pauses.0, longest: pauses.1 }
    }

    fn wake(&self, name: &str) {
        let notify = self.table.with(|table| table.get(name).map(|(notify, _)| Arc::clone(notify)));
        if let Some(notify) = notify {
            // One waits under a name at a time, or comes a moment later: who is not here yet finds it done.
            notify.notify_one();
            notify.notify_waiters();
        }
    }

    fn wake_all(&self) {
        let all: Vec<Arc<Notify>> =
            self.table.with(|table| table.values().map(|(notify, _)| Arc::clone(notify)).collect());
        for notify in all {
            notify.notify_one();
        }
    }
}

impl Place<'_> {
    /// Waits until something is told of it, or until it is time to look anyway. `jittered` spreads the pauses.
    pub async fn wait(&mut self, jittered: impl Fn(Duration) -> Duration) {
        tokio::select! {
            () = self.notify.notified() => {}
            () = tokio::time::sleep(jittered(self.pause)) => {}
        }
        self.pause = (self.pause * 2).min(self.longest);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.table.with(|table| {
            if let Some((_, count)) = table.get_mut(&self.name) {
                *count -= 1;
                if *count == 0 {
                    table.remove(&self.name);
                }
            }
        });
    }
}

impl Broker {
    /// Takes a place among those who wait for a change of the record of that name.
    pub(super) fn wait_for(self: &Arc<Self>, name: String) -> Place<'_> {
        let pauses = if self.listens() { TOLD } else { BLIND };
        self.waiting.join(name, pauses)
    }

    /// Begins to listen where nobody does yet; false where the store tells nobody.
    fn listens(self: &Arc<Self>) -> bool {
        let mut listening = self.waiting.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if *listening {
            return true;
        }
        let runtime = self.ports.tasks.runtime();
        let Some(mut told) = self.vault.listen(&runtime) else { return false };
        *listening = true;
        let broker = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                let notice = told.recv().await;
                let Some(broker) = broker.upgrade() else { return };
                match notice {
                    Ok(Notice::Changed(name)) => broker.waiting.wake(&name),
                    Ok(Notice::Missed) | Err(RecvError::Lagged(_)) => broker.waiting.wake_all(),
                    Err(RecvError::Closed) => return,
                }
            }
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: (Duration, Duration) = (Duration::from_hours(1), Duration::from_hours(1));

    #[tokio::test]
    async fn who_waits_is_woken_by_its_own_name() {
        let waiting = Waiting::default();
        let (mut one, mut other) = (waiting.join("a".to_owned(), LONG), waiting.join("b".to_owned(), LONG));
        waiting.wake("a");
        one.wait(|pause| pause).await;
        let still = tokio::time::timeout(Duration::from_millis(20), other.wait(|pause| pause)).await;
        assert!(still.is_err(), "nothing was told of it");
        waiting.wake_all();
        other.wait(|pause| pause).await;
        drop((one, other));
        assert!(waiting.table.with(|table| table.is_empty()), "nobody is left behind");
    }

    #[tokio::test]
    async fn who_is_not_woken_looks_by_itself() {
        let waiting = Waiting::default();
        let mut place = waiting.join("a".to_owned(), BLIND);
        for _ in 0..3 {
            place.wait(|pause| pause).await;
        }
        assert_eq!(place.pause, BLIND.0 * 8);
    }
}
