//! The HTTP door: the public API and its pages, and on another port what operators ask.
//!
//! Every request goes the way of `door::serve`; what routes there are says [`ROUTES`]. This room knows actix-web and no other
//! does but `app`. It may not know where records live or how providers are spoken to: a handler takes fields out of a
//! request, makes one call to `accounts` or `broker`, and writes the answer.

mod address;
mod admin;
mod body;
mod call;
mod credentials;
mod cursor;
mod door;
mod handlers;
mod headers;
mod observe;
mod openapi;
mod origin;
mod pages;
mod problem;
mod routes;
mod server;
mod visit;

pub use openapi::document as openapi_document;
pub use routes::{Access, Foreign, ROUTES, Route, RouteName, Thing};
pub use server::{DoorSettings, HttpSettings, Running, Stopper, routes, run};

use crate::accounts::Accounts;
use crate::admission::Admission;
use crate::broker::Broker;
use crate::ports::{Chance, Clock};
use ipnet::IpNet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Asks whether the store answers.
pub type Ready = dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// What the doors work with.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is what its type says")]
pub struct HttpState {
    pub accounts: Arc<Accounts>,
    pub broker: Arc<Broker>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    /// What `/metrics` answers, in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What `/readyz` asks.
    pub ready: Arc<Ready>,
}

/// The one thing that the server of the public port shares among its workers.
struct State {
    admission: Admission,
    accounts: Arc<Accounts>,
    broker: Arc<Broker>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    /// The largest body in bytes.
    body_limit: usize,
    trusted_proxies: Vec<IpNet>,
    /// True when browsers come over https.
    https: bool,
    /// What browsers call our pages' origin.
    origin: String,
}
