//! Who signs up, who calls, and what a caller may do.

mod bodies;
mod keys;
mod limits;
mod login;
mod passwords;
mod sign_up;

pub use keys::with_key;

use crate::support::app::App;
use crate::support::browser::http;
use crate::support::raw::{Raw, raw};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};

/// A request with a JSON body.
fn post(app: &App, path: &str, body: &Value) -> RequestBuilder {
    let request = http().request(Method::POST, format!("{}{path}", app.url));
    request.header("content-type", "application/json").body(body.to_string())
}

/// Signs up.
async fn signs_up(app: &App, email: &str, password: &str) -> Raw {
    raw(post(app, "/signup", &serde_json::json!({ "email": email, "password": password }))).await
}

/// An address that nobody has, whatever else runs on the same store.
fn address(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}@example.com", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
