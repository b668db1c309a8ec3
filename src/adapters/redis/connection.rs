//! One connection for each thread and server, opened when it is first needed.
//!
//! A thread that shares its connection with no other is the fastest way to ask Redis, faster than one connection for all
//! and far faster than a pool. A connection lives on the runtime it was opened on, so a thread that enters another
//! runtime gets another connection.

use super::greeting::Greeting;
use super::sentinel::Sentinels;
use super::url::Address;
use super::{RedisOptions, RedisUrlError, fault};
use crate::ports::store::StoreError;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, PushInfo, PushKind};
use redis::{RedisConnectionInfo, RedisError, TlsCertificates};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Id};

/// For so long a server is believed to be still the master that it said it was.
const BELIEVED: Duration = Duration::from_secs(1);

thread_local! {
    /// A handful at most: one for each server, runtime and use that this thread has served.
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// What a thread remembers.
struct Line {
    door: Weak<Door>,
    runtime: Id,
    what_for: Use,
    link: Link,
}

/// What a connection is for. Where writes wait for replicas they have one of their own, so that no read waits behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Reads, and writes that wait for nobody.
    Asking,
    /// Writes that wait for replicas.
    Waiting,
}

/// How a server is spoken to, whichever it is.
pub(super) struct Speech {
    pub(super) login: RedisConnectionInfo,
    pub(super) tls: Tls,
}

/// Whether by TLS, and which certificates the server's must lead to.
#[derive(Clone)]
pub(super) enum Tls {
    Off,
    /// Those that the machine knows.
    Known,
    /// These alone (PEM).
    Only(String),
}

impl Speech {
    /// Opens nothing yet.
    pub(super) fn client(&self, address: &Address) -> Result<Client, RedisUrlError> {
        let Address { host, port } = address.clone();
        let place = match self.tls {
            Tls::Off => ConnectionAddr::Tcp(host, port),
            Tls::Known | Tls::Only(_) => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
        };
        let info = place.into_connection_info().map_err(|_| RedisUrlError::Authority)?;
        let info = info.set_redis_settings(self.login.clone());
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        match &self.tls {
            Tls::Only(authority) => {
                let root_cert = Some(authority.clone().into_bytes());
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
            }
            Tls::Off | Tls::Known => Client::open(info),
        }
        .map_err(|_| RedisUrlError::Authority)
    }
}

/// Where connections lead.
pub(super) enum Way {
    /// To the one server there is, which must be one that writes.
    Alone(Address, Client),
    /// To a node of a cluster, which says by itself what it does not serve.
    Node(Address, Client),
    /// To whichever server is the master now.
    Sentinels(Sentinels),
}

/// Where connections come from.
pub(super) struct Door {
    way: Way,
    options: Arc<RedisOptions>,
}

/// A connection that is open or being opened.
#[derive(Clone)]
pub(super) struct Link {
    opening: Shared<BoxFuture<'static, Result<MultiplexedConnection, StoreError>>>,
    state: Arc<State>,
}

struct State {
    spoilt: AtomicBool,
    /// Milliseconds from `born` to when the server last said that it is the master.
    confirmed: AtomicU64,
    born: Instant,
    address: OnceLock<Address>,
}

/// Held by the task that drives a connection: however that task ends, also with its runtime, the link is spoilt.
struct SpoilsWhenDropped(Arc<State>);

impl Drop for SpoilsWhenDropped {
    fn drop(&mut self) {
        self.0.spoil();
    }
}

impl Door {
    pub(super) fn new(way: Way, options: Arc<RedisOptions>) -> Arc<Self> {
        Arc::new(Self { way, options })
    }

    /// Where it leads: to one server, or to whichever the sentinels name.
    pub(super) fn address(&self) -> Option<&Address> {
        match &self.way {
            Way::Alone(address, _) | Way::Node(address, _) => Some(address),
            Way::Sentinels(_) => None,
        }
    }

    /// The server that it leads to now.
    pub(super) async fn leads_to(&self) -> Result<Client, StoreError> {
        match &self.way {
            Way::Alone(_, client) | Way::Node(_, client) => Ok(client.clone()),
            Way::Sentinels(sentinels) => sentinels.master().await.map(|(_, client)| client),
        }
    }

    /// This thread's link on the runtime that is current; a new one where there is none or it is spoilt.
    pub(super) async fn link(self: &Arc<Self>, what_for: Use) -> Result<Link, StoreError> {
        let link = self.line(what_for)?;
        if let Way::Sentinels(sentinels) = &self.way
            && let Some(address) = link.state.address.get()
            && sentinels.master_left(address).await
        {
            link.spoil();
            return self.line(what_for);
        }
        Ok(link)
    }

    fn line(self: &Arc<Self>, what_for: Use) -> Result<Link, StoreError> {
        let runtime = Handle::try_current().map_err(|_| {
            StoreError::Broken("the Redis store was asked outside a Tokio runtime".to_owned())
        })?;
        LINES.with_borrow_mut(|lines| {
            let ours = |line: &&Line| {
                line.runtime == runtime.id()
                    && line.what_for == what_for
                    && std::ptr::eq(line.door.as_ptr(), &raw const **self)
            };
            if let Some(line) = lines.iter().find(ours)
                && !line.link.spoilt()
            {
                return Ok(line.link.clone());
            }
            lines.retain(|line| line.door.strong_count() > 0 && !line.link.spoilt());
            let link = self.open(&runtime);
            lines.push(Line {
                door: Arc::downgrade(self),
                runtime: runtime.id(),
                what_for,
                link: link.clone(),
            });
            Ok(link)
        })
    }

    /// Opens on a task of its own, so that it goes on also where whoever asked first goes away.
    fn open(self: &Arc<Self>, runtime: &Handle) -> Link {
        let state = Arc::new(State::new());
        let (door, opened) = (Arc::clone(self), Arc::clone(&state));
        let opening = runtime.spawn(async move {
            let patience = door.options.connect_timeout;
            let late = || StoreError::Unavailable("no connection to Redis: no answer in time".to_owned());
            let connection = tokio::time::timeout(patience, door.connect(&opened)).await;
            connection.unwrap_or_else(|_| Err(late())).inspect_err(|_| opened.spoil())
        });
        let ended = |_| Err(StoreError::Unavailable("the runtime of the connection has ended".to_owned()));
        Link { opening: opening.map(move |opened| opened.unwrap_or_else(ended)).boxed().shared(), state }
    }

    async fn connect(&self, state: &Arc<State>) -> Result<MultiplexedConnection, StoreError> {
        let guard = SpoilsWhenDropped(Arc::clone(state));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.response_timeout))
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    guard.0.spoil();
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let (address, client) = match &self.way {
            Way::Alone(address, client) | Way::Node(address, client) => (address.clone(), client.clone()),
            Way::Sentinels(sentinels) => sentinels.master().await?,
        };
        let opened = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = opened.map_err(|error| fault::of_opening(&address, &error))?;
        if !matches!(self.way, Way::Node(..)) {
            let hello = connection.send_packed_command(&redis::cmd("HELLO")).await;
            let greeting = Greeting::read(hello.map_err(|error| fault::of_opening(&address, &error))?)?;
            greeting.must_be_master()?;
            state.confirm(state.born.elapsed());
        }
        let _ = state.address.set(address);
        Ok(connection)
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
            self.spoil();
        }
    }

    /// The next call opens another.
    pub(super) fn spoil(&self) {
        self.state.spoil();
    }

    /// Where it leads, for people.
    pub(super) fn place(&self) -> String {
        self.state.address.get().map(ToString::to_string).unwrap_or_default()
    }

    /// Since when it is open, where it is time to ask the server again whether it is still the master. Never of a node of a
    /// cluster: as a replica it redirects reads by itself.
    pub(super) fn doubted(&self) -> Option<Duration> {
        let confirmed = self.state.confirmed.load(Ordering::Acquire);
        let age = self.state.born.elapsed();
        let since = Duration::from_millis(confirmed);
        (confirmed > 0 && age.saturating_sub(since) > BELIEVED).then_some(age)
    }

    /// Hears what the server said of itself when it was asked at that age.
    pub(super) fn hear(&self, answer: redis::Value, asked_at: Duration) -> Result<(), StoreError> {
        Greeting::read(answer)?.must_be_master()?;
        self.state.confirm(asked_at);
        Ok(())
    }

    fn spoilt(&self) -> bool {
        self.state.spoilt.load(Ordering::Acquire)
    }
}

impl State {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of a connection, which no test moves: it is Redis that tells the time"
    )]
    fn new() -> Self {
        Self {
            spoilt: AtomicBool::new(false),
            confirmed: AtomicU64::new(0),
            born: Instant::now(),
            address: OnceLock::new(),
        }
    }

    fn spoil(&self) {
        self.spoilt.store(true, Ordering::Release);
    }

    fn confirm(&self, age: Duration) {
        // 0 says that it never was.
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).max(1);
        self.confirmed.fetch_max(millis, Ordering::AcqRel);
    }
}
