//! The sandbox: a small OAuth 2.0 authorization server with an API behind it, to connect end users to without an account
//! anywhere, and to misbehave on demand.
//!
//! It stands in for a real provider, so it knows nothing of Grantkeep: it sees what any provider would. Everything is in
//! memory and gone when it stops. Whoever opens the page may sign in under any name: it guards nothing.
//!
//! Spoken here: RFC 6749 (authorization code, refresh), RFC 7636 (PKCE, S256, required), RFC 6750 (bearer), RFC 7009
//! (revocation), RFC 8414 (metadata), RFC 9207 (`iss`).
//!
//! | route | |
//! |---|---|
//! | `GET /authorize` | page to sign in and agree; works without scripts |
//! | `POST /authorize` | its form: `request`, `user`, `scope` (one per ticked box), `decision` = `allow` or `deny` |
//! | `POST /token` | `authorization_code` and `refresh_token`; client by Basic or by form fields |
//! | `POST /revoke` | a refresh token takes its whole family with it, an access token goes alone |
//! | `GET /me` | `{sub, name, scope, client_id}` for a live bearer token |
//! | `GET /.well-known/oauth-authorization-server` | metadata |
//! | `/control` | see [`Control`]; absent unless [`SandboxOptions::control`] |
//!
//! A family is what grew out of one authorization code: all its access and refresh tokens, which die together.

mod answer;
mod authorize;
mod bounded;
mod clients;
mod control;
mod counts;
mod fault;
mod form;
mod grants;
mod pages;
mod server;
mod token;

pub use control::Control;
pub use counts::{Counts, FamilyCounts};
pub use fault::{Endpoint, Fault, Grant, Rule};
pub use server::Sandbox;

use crate::domain::{ClientSecret, parse_duration};
use serde::{Deserialize, Deserializer};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The scopes there are. Without a `scope` the first is asked for; an unknown one is `invalid_scope`.
pub const SCOPES: [&str; 4] = ["profile", "mail.read", "mail.write", "offline_access"];

/// How a sandbox starts.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// Where it listens; 127.0.0.1.
    pub host: IpAddr,
    /// 0, the default, takes a free one.
    pub port: u16,
    /// What it calls itself in `iss` and in its metadata, where that is not [`Sandbox::base_url`]: behind a proxy.
    pub issuer: Option<String>,
    /// The clients that are registered; one by default: `sandbox-client` with `sandbox-secret`.
    pub clients: Vec<Client>,
    /// Any other client id is good too, with the secret it shows first; true.
    pub any_client: bool,
    /// Opens `/control` to whoever reaches the port; false.
    pub control: bool,
    /// How it treats tokens, until [`Control::behave`] says otherwise.
    pub behaviour: Behaviour,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        let secret = ClientSecret::new("sandbox-secret");
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            issuer: None,
            clients: vec![Client { id: "sandbox-client".to_owned(), secret }],
            any_client: true,
            control: false,
            behaviour: Behaviour::default(),
        }
    }
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its `client_secret`; required at `/token` and `/revoke`.
    pub secret: ClientSecret,
}

/// How tokens live and die. As JSON: durations as `5s`, and what is absent has its default.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Of an access token; a minute, so that expiry can be watched.
    #[serde(deserialize_with = "duration")]
    pub access_lifetime: Duration,
    /// Of each refresh token, from its birth; none means for good.
    #[serde(deserialize_with = "some_duration")]
    pub refresh_lifetime: Option<Duration>,
    /// Of an authorization code; a minute (RFC 6749 section 4.1.2 allows ten).
    #[serde(deserialize_with = "duration")]
    pub code_lifetime: Duration,
    /// What a refresh does to the refresh token; strict.
    pub rotation: Rotation,
    /// How long a spent refresh token still works under [`Rotation::Grace`]; ten seconds.
    #[serde(deserialize_with = "duration")]
    pub grace: Duration,
    /// A refresh ends the access tokens its family had before; false.
    pub old_access_killed: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            access_lifetime: Duration::from_mins(1),
            refresh_lifetime: None,
            code_lifetime: Duration::from_mins(1),
            rotation: Rotation::Strict,
            grace: Duration::from_secs(10),
            old_access_killed: false,
        }
    }
}

/// What a refresh does to the refresh token it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Nothing: it goes on working, and the answer carries none.
    None,
    /// The answer carries its successor. For [`Behaviour::grace`] after its first use the spent one still works and gives a
    /// fresh access token and the same successor; later it counts as stolen, as under [`Rotation::Strict`].
    Grace,
    /// The answer carries its successor; a second use counts as stolen and ends the family (RFC 9700 section 4.14.2).
    Strict,
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}
