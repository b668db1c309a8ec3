//! The npm package oidc-provider: a certified authorization server that nobody here wrote.

use super::process::Leashed;
use super::tool;
use serde_json::{Value, json};
use std::path::Path;

/// PKCE and `iss`, refresh tokens that rotate, pages with forms for login and consent, userinfo, revocation.
pub struct OidcProvider {
    _server: Leashed,
    issuer: String,
}

/// What it gave a client that registered itself (RFC 7591).
pub struct Registered {
    pub client_id: String,
    pub client_secret: String,
}

impl OidcProvider {
    /// Its access tokens live for `seconds`.
    pub fn start(seconds: u32) -> Self {
        let node = tool("GRANTKEEP_TEST_NODE", "bin/node");
        let folder = tool("GRANTKEEP_TEST_OIDC_DIR", "oidc-provider");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider/server.mjs");
        let seconds = seconds.to_string();
        let arguments = [script.as_os_str(), folder.as_os_str(), seconds.as_ref()];
        let issuer = |server: &Leashed| {
            let log = server.log();
            log.lines().find_map(|line| line.strip_prefix("ready ")).map(str::to_owned)
        };
        let (server, issuer) = Leashed::start(&node, arguments, issuer).expect("oidc-provider starts");
        Self { _server: server, issuer }
    }

    /// Its name, below which its endpoints are: `/auth`, `/token`, `/me`, `/token/revocation`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Registers a confidential client that says who it is with Basic.
    pub async fn register(&self, redirect_uri: &str) -> Registered {
        let asked = json!({ "redirect_uris": [redirect_uri] }).to_string();
        let request = super::browser::http().post(format!("{}/reg", self.issuer));
        let answer =
            request.header("content-type", "application/json").body(asked).send().await.expect("it answers");
        assert_eq!(answer.status(), 201);
        let said: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        let text = |field: &str| said[field].as_str().expect("a text").to_owned();
        Registered { client_id: text("client_id"), client_secret: text("client_secret") }
    }
}
