//! A server that runs, and how it stops.

use super::error::StartError;
use super::instance::Instance;
use crate::http::{self, HttpSettings, HttpState, Stopper};
use crate::ports::Tasks;
use crate::telemetry::traces::Traces;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use url::Url;

/// What a server stands on besides its state.
pub(super) struct Parts {
    pub public_at: SocketAddr,
    pub admin_at: SocketAddr,
    pub public_url: Url,
    pub patience: Duration,
    pub tasks: Tasks,
    pub runtime: Background,
    pub traces: Option<Traces>,
    /// Held until the server has ended.
    pub _instance: Instance,
}

/// Threads of their own for exchanges, refreshes and mail.
pub(super) struct Background(Option<Runtime>);

impl Background {
    pub fn new(runtime: Runtime) -> Self {
        Self(Some(runtime))
    }

    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A runtime that is dropped waits for its threads, and panics where it is dropped on another one, as a start that fails
/// would do. This one waits for nothing.
impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server that runs until [`Running::stop`].
pub struct Running {
    parts: Parts,
    stopper: Stopper,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Running {
    /// Serves on a thread of its own, so that any runtime can start a server.
    pub(super) async fn begin(
        parts: Parts,
        http: HttpSettings,
        state: HttpState,
    ) -> Result<Self, StartError> {
        let (tell_started, started) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let serve = move || {
            actix_web::rt::System::new().block_on(async move {
                match http::run(http, state) {
                    Err(error) => drop(tell_started.send(Err(error))),
                    Ok(running) => {
                        let told = tell_started.send(Ok(running.stopper()));
                        let outcome = if told.is_ok() { running.ended().await } else { Ok(()) };
                        drop(tell_ended.send(outcome));
                    }
                }
            });
        };
        let spawned = std::thread::Builder::new().name("http".to_owned()).spawn(serve);
        spawned.map_err(StartError::io("a thread for the server"))?;
        let stopper = started
            .await
            .unwrap_or_else(|_| Err(io::Error::other("it ended before it served")))
            .map_err(StartError::io("the HTTP server"))?;
        Ok(Self { parts, stopper, ended })
    }

    /// Where the public port listens.
    pub fn public_at(&self) -> SocketAddr {
        self.parts.public_at
    }

    /// Where the admin port listens.
    pub fn admin_at(&self) -> SocketAddr {
        self.parts.admin_at
    }

    /// What browsers see.
    pub fn public_url(&self) -> &Url {
        &self.parts.public_url
    }

    /// Returns when the server ended without being asked to.
    pub async fn failed(&mut self) -> io::Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            _ => io::Error::other("the server ended by itself"),
        }
    }

    /// Takes nothing new, finishes requests, then exchanges, refreshes and mails under way. False when some were not done in
    /// time.
    pub async fn stop(mut self) -> bool {
        tracing::info!(under_way = self.parts.tasks.under_way(), "stopping");
        self.stopper.stop().await;
        let drained = self.parts.tasks.drain(self.parts.patience).await;
        if !drained {
            tracing::error!(left = self.parts.tasks.under_way(), "stopped before all work was done");
        }
        if let Some(traces) = self.parts.traces.take() {
            // The last thing: what was drained has spans too. It blocks, and an error says that it panicked.
            let _ = tokio::task::spawn_blocking(move || traces.end()).await;
        }
        drained
    }
}

/// A server that is dropped stops without waiting for anything.
impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.abandon();
        self.parts.runtime.end();
    }
}
