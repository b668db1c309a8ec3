//! How `store.url` names Redis: one server, a cluster, or a master that sentinels watch over, each with TLS or without.
//!
//! Errors say what is accepted and never repeat what was given: there may be a password in it.

use percent_encoding::percent_decode_str;
use redis::{ProtocolVersion, RedisConnectionInfo};
use std::net::IpAddr;
use url::{Host, Url};

/// Why a URL cannot be used. Never repeats the URL: there may be a password in it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RedisUrlError {
    /// Another way to reach Redis than this version knows.
    #[error(
        "`{0}://` is not supported: use redis:// or rediss:// (TLS), redis-sentinel:// or rediss-sentinel://, \
         redis-cluster:// or rediss-cluster://"
    )]
    Scheme(String),
    /// No URL of that scheme.
    #[error("must be {grammar}, its parts percent-encoded, {problem}")]
    Malformed {
        /// What is accepted.
        grammar: &'static str,
        /// What was not right.
        problem: &'static str,
    },
    /// The certificates that servers are to be checked against cannot be read.
    #[error("cannot be used: store.ca_file holds no certificate in PEM that can be read")]
    Authority,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// What stands behind a URL.
#[derive(Debug)]
pub(super) enum Form {
    /// One server.
    One(Address),
    /// Whichever server these sentinels call the master of that name.
    Sentinel(Vec<Address>, String),
    /// A cluster, and some of its nodes.
    Cluster(Vec<Address>),
}

/// A URL, taken apart. `Debug` of the library shows no password.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) form: Form,
    pub(super) tls: bool,
    pub(super) login: RedisConnectionInfo,
}

const ONE: &str = "redis://[user:password@]host[:port][/database] or rediss://…";
const SENTINEL: &str =
    "redis-sentinel://[user:password@]host[:port],…/master[/database] or rediss-sentinel://…";
const CLUSTER: &str = "redis-cluster://[user:password@]host[:port],… or rediss-cluster://…";

const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The pieces between `://` and the end.
struct Pieces<'a> {
    hosts: Vec<&'a str>,
    path: Vec<&'a str>,
    login: RedisConnectionInfo,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, RedisUrlError> {
        let malformed = |grammar| move |problem| RedisUrlError::Malformed { grammar, problem };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(malformed(ONE)("and this is no URL"));
        };
        let (grammar, form, port): (_, fn(_, _) -> _, _) = match scheme {
            "redis" | "rediss" => (ONE, one, SERVER_PORT),
            "redis-sentinel" | "rediss-sentinel" => (SENTINEL, sentinel, SENTINEL_PORT),
            "redis-cluster" | "rediss-cluster" => (CLUSTER, cluster, SERVER_PORT),
            _ => return Err(RedisUrlError::Scheme(known_word(scheme))),
        };
        let pieces = pieces(rest).map_err(malformed(grammar))?;
        let addresses = pieces.hosts.iter().map(|host| address(host, port)).collect::<Result<Vec<_>, _>>();
        let addresses = addresses.map_err(malformed(grammar))?;
        let (form, database) = form(addresses, &pieces.path).map_err(malformed(grammar))?;
        // RESP3, because only there a connection tells at once that it broke.
        let login = pieces.login.set_db(database).set_protocol(ProtocolVersion::RESP3);
        let login = login.set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        Ok(Self { form, tls: scheme.starts_with("rediss"), login })
    }
}

/// A scheme as it may be repeated: what stands before `://` could be a password, where somebody left out the scheme.
fn known_word(scheme: &str) -> String {
    let plain = scheme.len() <= 20 && scheme.bytes().all(|b| b.is_ascii_lowercase() || b"+-.".contains(&b));
    if plain { scheme.to_owned() } else { "…".to_owned() }
}

fn pieces(rest: &str) -> Result<Pieces<'_>, &'static str> {
    if rest.contains(['?', '#']) {
        return Err("with nothing after `?` or `#`");
    }
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, path)| (a, Some(path)));
    let (user_info, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
    let login = user_info.map_or_else(|| Ok(RedisConnectionInfo::default()), login)?;
    let path = path.filter(|path| !path.is_empty()).map(|path| path.split('/').collect());
    Ok(Pieces { hosts: hosts.split(',').collect(), path: path.unwrap_or_default(), login })
}

fn login(user_info: &str) -> Result<RedisConnectionInfo, &'static str> {
    // A user alone would be sent to nobody: the default user would be asked in its place.
    let (user, password) = user_info.split_once(':').ok_or("with a password behind the user")?;
    let (user, password) = (decoded(user)?, decoded(password)?);
    let login = RedisConnectionInfo::default().set_password(password);
    Ok(if user.is_empty() { login } else { login.set_username(user) })
}

fn decoded(part: &str) -> Result<String, &'static str> {
    let text = percent_decode_str(part).decode_utf8().map_err(|_| "with parts that are UTF-8")?;
    Ok(text.into_owned())
}

fn address(part: &str, default: u16) -> Result<Address, &'static str> {
    const WRONG: &str = "with a host that can be reached and a port from 1 to 65535";
    let url = Url::parse(&format!("redis://{part}")).map_err(|_| WRONG)?;
    let host = match url.host().ok_or(WRONG)? {
        Host::Ipv6(ip) => ip.to_string(),
        host => host.to_string(),
    };
    let nowhere = host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    match url.port() {
        Some(0) => Err(WRONG),
        _ if nowhere || host.is_empty() => Err(WRONG),
        port => Ok(Address { host, port: port.unwrap_or(default) }),
    }
}

fn database(text: Option<&&str>) -> Result<i64, &'static str> {
    let number = text.map_or(Ok(0), |text| text.parse::<u16>());
    number.map(i64::from).map_err(|_| "with a number as the database")
}

fn one(mut addresses: Vec<Address>, path: &[&str]) -> Result<(Form, i64), &'static str> {
    match (addresses.pop(), addresses.is_empty(), path) {
        (Some(address), true, [] | [_]) => Ok((Form::One(address), database(path.first())?)),
        (Some(_), true, _) => Err("with nothing behind the database"),
        _ => Err("with one host: several are for redis-cluster:// and redis-sentinel://"),
    }
}

fn sentinel(addresses: Vec<Address>, path: &[&str]) -> Result<(Form, i64), &'static str> {
    match path {
        [name, rest @ ..] if !name.is_empty() && rest.len() <= 1 => {
            Ok((Form::Sentinel(addresses, decoded(name)?), database(rest.first())?))
        }
        _ => Err("with the master's name behind the hosts, and after it a database at most"),
    }
}

fn cluster(addresses: Vec<Address>, path: &[&str]) -> Result<(Form, i64), &'static str> {
    if path.is_empty() {
        Ok((Form::Cluster(addresses), 0))
    } else {
        Err("without a database: a cluster has only one")
    }
}
