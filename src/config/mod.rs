//! Configuration: `config/default.toml`, over it a file, the environment, and what the program itself sets.
//!
//! Everything is read once, at the start, and checked as a whole: unknown keys, wrong values and contradictions come back
//! together. Below this room nobody sees a file or a variable. It knows no adapter: that a URL is well formed is said
//! here, that something answers there is not.

mod fault;
mod layers;
mod parse;
mod reader;
mod sections;
#[cfg(test)]
mod tests;

pub use fault::{ConfigFaults, Fault};

use crate::domain::{HandoutRecords, Rate, Secret};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// All settings, checked. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The public side.
    pub server: Server,
    /// The operator's side.
    pub admin: Admin,
    /// Where records live.
    pub store: Store,
    /// What is kept of it in memory.
    pub cache: Cache,
    /// The master keys.
    pub vault: Vault,
    /// Where mails go.
    pub mail: Mail,
    /// Where provider files are.
    pub providers: Providers,
    /// Requests to providers.
    pub upstream: Upstream,
    /// Refreshing tokens.
    pub refresh: Refresh,
    /// Tenants as a whole.
    pub tenants: Tenants,
    /// The audit trail.
    pub audit: Audit,
    /// What tenants are told.
    pub events: Events,
    /// What one caller may do.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
    /// Where traces go.
    pub trace: Trace,
}

/// The public side: the API and the pages.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 is any free one, see [`Server::bound`].
    pub port: u16,
    /// What browsers and providers see: scheme, host and port; its path is `/`.
    pub public_url: Url,
    /// Whose `Forwarded` headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads that serve requests, one or more.
    pub workers: usize,
    /// How long a stop waits for work under way.
    pub shutdown_timeout: Duration,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// This server's own, for what is not in the store.
    pub data_folder: PathBuf,
}

impl Server {
    /// Tells which port was got for port 0; a public URL that was derived from it follows.
    pub fn bound(&mut self, port: u16) {
        self.port = port;
        if self.public_url.port() == Some(0) {
            // Fails only for URLs without a host, which this one has.
            let _ = self.public_url.set_port(Some(port));
        }
    }
}

/// The operator's side: health and metrics.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 is any free one.
    pub port: u16,
}

/// Where records live.
#[derive(Clone, Debug)]
pub struct Store {
    /// Which store.
    pub url: StoreUrl,
    /// For one operation.
    pub timeout: Duration,
    /// For making a connection.
    pub connect_timeout: Duration,
    /// Certificates in PEM that a Redis with TLS is checked against, in place of the machine's own.
    pub authority: Option<String>,
    /// User (may be empty) and password at the sentinels, where they ask for one.
    pub sentinel_login: Option<(String, Secret)>,
    /// Replicas of Redis that must have a write before it is answered.
    pub replicas: u32,
}

/// Which store.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// A database in this folder, for one process.
    Embedded(PathBuf),
    /// One Redis server, or several under sentinels or in a cluster.
    Redis {
        /// May hold a password.
        url: Secret,
        /// Whether by TLS.
        tls: bool,
        /// Whether sentinels say who the master is.
        sentinel: bool,
    },
}

/// What is kept of the store in memory.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The longest that something counts without being read again; zero where nothing is kept.
    pub ttl: Duration,
    /// The longest that it counts while the store cannot be reached; zero where it does not.
    pub stale_if_down: Duration,
    /// Bytes, about.
    pub memory: usize,
}

/// What everything else is sealed under.
#[derive(Clone, Debug)]
pub struct Vault {
    /// The first one seals, all of them open; never empty, ids are unique.
    pub master_keys: Vec<MasterKey>,
}

/// A master key. `Debug` shows its id only.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl MasterKey {
    /// Its name: 1 to 32 letters, digits, dashes and underscores.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// Where mails go.
#[derive(Clone, Debug)]
pub struct Mail {
    /// By which way.
    pub route: MailRoute,
    /// The sender: an address, or `Name <address>`.
    pub from: String,
    /// For one try with one mail, from look-up to the server's last word.
    pub timeout: Duration,
    /// The pause after the first try that failed.
    pub backoff_min: Duration,
    /// The longest pause; not shorter than the first.
    pub backoff_max: Duration,
    /// How long a mail is tried.
    pub keep_trying: Duration,
}

/// How mails leave.
#[derive(Clone, Debug)]
pub enum MailRoute {
    /// As files in this folder.
    Outbox(PathBuf),
    /// An `smtp://` or `smtps://` URL; may hold a password.
    Smtp(Secret),
}

/// Where provider files are.
#[derive(Clone, Debug)]
pub struct Providers {
    /// Folders read after the built-in files, in order.
    pub dirs: Vec<PathBuf>,
}

/// Requests to providers.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// True lets provider URLs be http, loopback or private.
    pub allow_insecure: bool,
    /// For one request, from look-up to last byte.
    pub timeout: Duration,
    /// The part of it for look-up, connection and TLS; shorter.
    pub connect_timeout: Duration,
    /// Refreshes at one host at once.
    pub at_once: usize,
    /// Requests in a row that fail before a host is left alone.
    pub failures: u32,
    /// For how long, the first time.
    pub pause: Duration,
}

/// Refreshing tokens.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// What an attempt may last beyond `upstream.timeout`.
    pub slack: Duration,
    /// How long a caller waits for another one's refresh.
    pub wait: Duration,
    /// How long attempts past their deadline are left alone after the store came back.
    pub rest: Duration,
    /// The pause after the first failure.
    pub backoff_min: Duration,
    /// The longest pause; not shorter than the first.
    pub backoff_max: Duration,
    /// Refresh without being asked.
    pub background: bool,
    /// How many connections at once, without being asked.
    pub background_at_once: usize,
    /// Between two rounds over what is due.
    pub pace: Duration,
    /// A connection that was handed out in this time is used.
    pub used_within: Duration,
    /// How long before its end a grant is reported.
    pub notice: Duration,
    /// How often it is looked whether the store is as far as it was.
    pub epoch: Duration,
    /// No refresh that spends a refresh token.
    pub hold: bool,
}

/// Tenants as a whole.
#[derive(Clone, Debug)]
pub struct Tenants {
    /// How often deletions that were cut short are looked for.
    pub deletion_pause: Duration,
}

/// The audit trail.
#[derive(Clone, Debug)]
pub struct Audit {
    /// How long records are kept; for ever where none is given.
    pub retention: Option<Duration>,
    /// When hand-outs are recorded.
    pub handouts: HandoutRecords,
    /// How often heads are logged.
    pub heads: Duration,
}

/// What tenants are told.
#[derive(Clone, Debug)]
pub struct Events {
    /// How long events are kept; for ever where none is given.
    pub retention: Option<Duration>,
    /// Each refresh is one.
    pub refreshed: bool,
}

/// What one caller may do, and how much is done at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests from one network address; none where they are not counted.
    pub per_address: Option<Rate>,
    /// Requests with one key or member's password.
    pub per_key: Option<Rate>,
    /// Requests of one tenant.
    pub per_tenant: Option<Rate>,
    /// Requests that are answered at once; zero is any number.
    pub at_once: usize,
    /// Passwords hashed at once, one or more.
    pub password_hashes: usize,
    /// Callers that may wait for their turn.
    pub password_waiters: usize,
    /// From one address in an hour.
    pub sign_ups_per_hour: u32,
    /// To one e-mail address in an hour.
    pub mails_per_hour: u32,
    /// From one address, and for one account, in a minute.
    pub failed_logins_per_minute: u32,
}

/// What is logged.
#[derive(Clone, Debug)]
pub struct Log {
    /// One JSON object a line, in place of text for people.
    pub json: bool,
    /// The most talkative level of our own lines.
    pub level: tracing::Level,
}

/// Where traces go, and how many of them.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The collector's address for traces; none where there are to be none.
    pub url: Option<Url>,
    /// Headers of requests to it, such as its credentials.
    pub headers: Vec<(String, Secret)>,
    /// Which part of the traces that begin here is kept, 0 to 1.
    pub sample: f64,
    /// Go on with the trace that a caller names.
    pub follow: bool,
    /// The name of this service in traces.
    pub service: String,
}

impl Settings {
    /// Reads and checks everything. `env` holds the variables of the process; `overrides` are settings that the program
    /// makes itself (the demo, tests), by dotted key: they win over all else.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        overrides: &[(&str, String)],
    ) -> Result<Self, ConfigFaults> {
        let mut faults = Vec::new();
        let leaves = layers::merge(file, env, overrides, &mut faults);
        let mut reader = reader::Reader::new(leaves, faults);
        let settings = sections::settings(&mut reader);
        match settings {
            Some(settings) if reader.faults.is_empty() => Ok(settings),
            _ => Err(ConfigFaults(reader.faults)),
        }
    }
}
