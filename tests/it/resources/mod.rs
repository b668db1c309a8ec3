//! The resources under `/v1`: each route and each of its refusals, through the front door, on each store.

mod connections;
mod imports;
mod integrations;
mod keys;
mod leaving;
mod secrets;
mod sessions;
mod tenant;

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::tenant::{Answer, HOME, Tenant, answer, with_json};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use grantkeep::crypto::hash;
use grantkeep::sandbox::Sandbox;
use regex_lite::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Long enough that nothing expires in a case.
const LONG: Duration = Duration::from_hours(1);

/// A server, a provider, and a tenant that enabled it.
struct World {
    app: App,
    sandbox: Sandbox,
    tenant: Tenant,
}

impl World {
    async fn new(stores: Stores) -> Self {
        Self::on(App::start(stores).await).await
    }

    async fn on(app: App) -> Self {
        let sandbox = sandbox(LONG).await;
        let tenant = Tenant::new(&app).await;
        tenant.enable(&sandbox).await.expect(201);
        Self { app, sandbox, tenant }
    }

    fn host(&self) -> &str {
        self.sandbox.base_url().trim_start_matches("http://")
    }

    /// A token from a refresh that begins now.
    async fn forced(&self, user: &str) -> Answer {
        let body = json!({ "provider": "sandbox", "end_user": user, "force_refresh": true });
        self.tenant.post("/get-access-token", &body).await
    }

    /// A grant that somebody made at the provider without us: its tokens.
    async fn grant_from_elsewhere(&self) -> (String, String) {
        const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(hash::sha256(VERIFIER.as_bytes()));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", "sandbox-client"),
                ("redirect_uri", HOME),
                ("scope", "profile offline_access"),
                ("state", "s"),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ])
            .finish();
        let mut browser = Browser::new();
        let page = browser.get(&format!("{}/authorize?{query}", self.sandbox.base_url())).await;
        let back = browser.send(&page, &page.form().press("allow")).await;
        let code = back.parameter("code").unwrap_or_else(|| panic!("{back:?}"));
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", HOME),
                ("code_verifier", VERIFIER),
            ])
            .finish();
        let request = http()
            .post(format!("{}/token", self.sandbox.base_url()))
            .basic_auth("sandbox-client", Some("sandbox-secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let tokens = answer(request).await.expect(200);
        (tokens.text("access_token"), tokens.text("refresh_token"))
    }
}

async fn patch(tenant: &Tenant, path: &str, body: &Value) -> Answer {
    answer(with_json(tenant.request(Method::PATCH, path), body)).await
}

async fn delete_with(tenant: &Tenant, path: &str, body: &Value) -> Answer {
    answer(with_json(tenant.request(Method::DELETE, path), body)).await
}

/// Status and body on one line: ids, moments and addresses, which are others in each run, stand under names.
fn shown(answer: &Answer) -> String {
    if answer.body.is_null() {
        return answer.status.to_string();
    }
    let mut body = answer.body.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    let mut text = body.to_string();
    for (pattern, name) in [
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
        (r"127\.0\.0\.1:\d+", "<host>"),
        (r"\b[0-9A-Za-z]{22}\b", "<id>"),
        (r#""id":"[0-9A-Za-z]{16}""#, r#""id":"<id>""#),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, name).into_owned();
    }
    format!("{} {text}", answer.status)
}

/// A refusal: its status, its code, the field where one is at fault, and the detail.
fn problem(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    let body = &answer.body;
    let field = body["field"].as_str().map(|field| format!(" `{field}`")).unwrap_or_default();
    format!("{} {}{field}: {}", answer.status, answer.code(), body["detail"].as_str().unwrap_or_default())
}
