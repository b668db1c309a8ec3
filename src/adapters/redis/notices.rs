//! What batches tell: one channel for all, heard over one connection of the process, which is opened again whenever it ends.
//!
//! A node of a cluster passes on what any other is told (`PUBLISH` goes over the cluster's bus), so one node is enough.

use super::topology::Topology;
use crate::ports::store::{Notice, StoreError};
use futures_util::StreamExt;
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
pub(super) struct Notices(OnceLock<Sender<Notice>>);

impl Notices {
    /// A further listener; the first one opens the connection.
    pub(super) fn listen(
        &self,
        topology: &Arc<Topology>,
        patience: Duration,
        runtime: &Handle,
    ) -> Receiver<Notice> {
        let sender = self.0.get_or_init(|| {
            let (sender, _) = channel(BEHIND);
            let (told, topology) = (sender.clone(), Arc::clone(topology));
            runtime.spawn(async move {
                let mut pause = PAUSE.0;
                for turn in 0_usize.. {
                    if let Err(error) = hear(&topology, turn, patience, &told, &mut pause).await {
                        tracing::warn!(%error, "what the store tells is not heard at the moment; who waits looks by itself");
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
}

/// Hears until the connection ends.
async fn hear(
    topology: &Topology,
    turn: usize,
    patience: Duration,
    told: &Sender<Notice>,
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
    let _ = told.send(Notice::Missed);
    let mut messages = connection.on_message();
    while let Some(message) = messages.next().await {
        if let Ok(name) = message.get_payload::<String>() {
            let _ = told.send(Notice::Changed(name.into()));
        }
    }
    Ok(())
}
