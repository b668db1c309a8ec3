//! What batches tell: one channel for all, heard over one connection of the process, which is opened again whenever it ends.
//!
//! A node of a cluster passes on what any other is told (`PUBLISH` goes over the cluster's bus), so one node is enough.

use super::topology::Topology;
use crate::ports::store::{Notice, StoreError};
use futures_util::StreamExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// The channel. `apply.lua` has its name, too.
pub(super) const CHANNEL: &str = "gk:told";

/// Notices that a slow listener may be behind before it misses some.
const BEHIND: usize = 4096;

/// The pause before the first attempt to listen again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Passes on what is told.
#[derive(Default)]
pub(super) struct Notices {
    sender: OnceLock<Sender<Notice>>,
    ear: Arc<Ear>,
}

/// Whether anything is heard: a number that is odd while it is, and grows whenever that begins or ends.
#[derive(Default)]
struct Ear(AtomicU64);

/// Held while it hears.
struct Hearing<'a>(&'a Ear);

impl<'a> Hearing<'a> {
    fn begin(ear: &'a Ear) -> Self {
        ear.0.fetch_add(1, Ordering::AcqRel);
        Self(ear)
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Notices {
    /// A further listener; the first one opens the connection.
    pub(super) fn listen(
        &self,
        topology: &Arc<Topology>,
        patience: Duration,
        runtime: &Handle,
    ) -> Receiver<Notice> {
        let sender = self.sender.get_or_init(|| {
            let (sender, _) = channel(BEHIND);
            let (told, topology, ear) = (sender.clone(), Arc::clone(topology), Arc::clone(&self.ear));
            runtime.spawn(async move {
                let (mut pause, mut said) = (PAUSE.0, None);
                for turn in 0_usize.. {
                    let heard = ear.0.load(Ordering::Acquire);
                    if let Err(error) = hear(&topology, turn, patience, (&told, &ear), &mut pause).await {
                        // Once for each time that it ends: a user who may not subscribe never will.
                        if said.replace(heard) == Some(heard) {
                            tracing::debug!(%error, "what the store tells is still not heard");
                        } else {
                            tracing::warn!(%error, "what the store tells is not heard: who waits looks by itself, and nothing is kept");
                        }
                    }
                    // Nobody listening is no error.
                    let _ = told.send(Notice::Missed);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            });
            sender
        });
        sender.subscribe()
    }

    /// The number of this time of hearing; none while nothing is heard.
    pub(super) fn hearing(&self) -> Option<u64> {
        let number = self.ear.0.load(Ordering::Acquire);
        (number % 2 == 1).then_some(number)
    }
}

/// Hears until the connection ends.
async fn hear(
    topology: &Topology,
    turn: usize,
    patience: Duration,
    (told, ear): (&Sender<Notice>, &Ear),
    pause: &mut Duration,
) -> Result<(), StoreError> {
    let opened = tokio::time::timeout(patience, async {
        let client = topology.listened_to(turn).await?;
        let lost = |error: redis::RedisError| super::fault::of_read(&error);
        let mut connection = client.get_async_pubsub().await.map_err(lost)?;
        connection.subscribe(CHANNEL).await.map_err(lost)?;
        Ok(connection)
    });
    let late = |_| StoreError::Unavailable("no connection to listen on in time".to_owned());
    let mut connection = opened.await.map_err(late)??;
    *pause = PAUSE.0;
    let _hearing = Hearing::begin(ear);
    let _ = told.send(Notice::Missed);
    let mut messages = connection.on_message();
    while let Some(message) = messages.next().await {
        if let Ok(name) = message.get_payload::<String>() {
            let _ = told.send(Notice::Changed(name.into()));
        }
    }
    Ok(())
}
