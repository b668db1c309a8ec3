//! One connection for each thread, opened when it is first needed.
//!
//! A thread that shares its connection with no other is the fastest way to ask Redis, faster than one connection for all
//! and far faster than a pool. A connection lives on the runtime it was opened on, so a thread that enters another
//! runtime gets another connection.

use super::{RedisOptions, fault};
use crate::ports::store::StoreError;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use tokio::runtime::{Handle, Id};

thread_local! {
    /// A handful at most: one for each store and runtime that this thread has served.
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// What a thread remembers.
struct Line {
    door: Weak<Door>,
    runtime: Id,
    link: Link,
}

/// Where connections come from.
pub(super) struct Door {
    client: Client,
    options: RedisOptions,
}

/// A connection that is open or being opened.
#[derive(Clone)]
pub(super) struct Link {
    opening: Shared<BoxFuture<'static, Result<MultiplexedConnection, StoreError>>>,
    spoilt: Arc<AtomicBool>,
}

/// Held by the task that drives a connection: however that task ends, also with its runtime, the link is spoilt.
struct SpoilsWhenDropped(Arc<AtomicBool>);

impl Drop for SpoilsWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Door {
    pub(super) fn new(client: Client, options: RedisOptions) -> Arc<Self> {
        Arc::new(Self { client, options })
    }

    /// This thread's link on the runtime that is current; a new one where there is none or it is spoilt.
    pub(super) fn link(self: &Arc<Self>) -> Result<Link, StoreError> {
        let runtime = Handle::try_current()
            .map_err(|_| StoreError::Broken("the Redis store was asked outside a Tokio runtime".to_owned()))?
            .id();
        LINES.with_borrow_mut(|lines| {
            let ours =
                |line: &&Line| line.runtime == runtime && std::ptr::eq(line.door.as_ptr(), &raw const **self);
            if let Some(line) = lines.iter().find(ours)
                && !line.link.spoilt()
            {
                return Ok(line.link.clone());
            }
            lines.retain(|line| line.door.strong_count() > 0 && !line.link.spoilt());
            let link = self.open();
            lines.push(Line { door: Arc::downgrade(self), runtime, link: link.clone() });
            Ok(link)
        })
    }

    fn open(self: &Arc<Self>) -> Link {
        let spoilt = Arc::new(AtomicBool::new(false));
        let guard = SpoilsWhenDropped(Arc::clone(&spoilt));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.response_timeout))
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    guard.0.store(true, Ordering::Release);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let door = Arc::clone(self);
        let opening = async move {
            let opened = door.client.get_multiplexed_async_connection_with_config(&config).await;
            opened.map_err(|error| fault::of_opening(&error))
        };
        Link { opening: opening.boxed().shared(), spoilt }
    }
}

impl Link {
    /// The connection, once it is open. All who wait get the same answer.
    pub(super) async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        self.opening.clone().await
    }

    /// Learns from a failure whether the connection can be used again.
    pub(super) fn note(&self, error: &RedisError) {
        if fault::spoils_connection(error) {
            self.spoilt.store(true, Ordering::Release);
        }
    }

    fn spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Acquire)
    }
}
