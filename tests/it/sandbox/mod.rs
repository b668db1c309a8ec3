//! The sandbox provider over real HTTP: what a client sees, also of each fault.

mod authorization;
mod faults;
mod tokens;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use grantkeep::crypto::hash;
use grantkeep::domain::Timestamp;
use grantkeep::ports::{Chance, Clock};
use grantkeep::sandbox::{Behaviour, Rotation, Sandbox, SandboxOptions};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

const CALLBACK: &str = "http://127.0.0.1:1/back?kept=1";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";
/// Basic of `sandbox-client:sandbox-secret`.
const BASIC: &str = "Basic c2FuZGJveC1jbGllbnQ6c2FuZGJveC1zZWNyZXQ=";
const FORM: &str = "application/x-www-form-urlencoded";

/// Stands still until it is told to go on.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::from_millis(0))
    }
}

/// The same bytes in every run.
#[derive(Default)]
struct Seeded(AtomicU64);

impl Chance for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(32) {
            let block = hash::sha256(&self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
            part.copy_from_slice(&block[..part.len()]);
        }
    }
}

/// A running sandbox, a clock in hand, and a client without a cookie jar that follows no redirects.
struct World {
    sandbox: Sandbox,
    clock: Arc<Hand>,
    http: reqwest::Client,
}

/// What came back.
struct Seen {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Seen {
    async fn of(request: reqwest::RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, text: response.text().await? })
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn header(&self, name: impl reqwest::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The parameters of the redirect back to the client.
    fn back(&self) -> BTreeMap<String, String> {
        assert_eq!(self.status, 303, "{}", self.text);
        let url = Url::parse(self.header(LOCATION)).unwrap();
        assert!(url.as_str().starts_with("http://127.0.0.1:1/back?"), "{url}");
        url.query_pairs().into_owned().collect()
    }

    /// The status and the OAuth error.
    fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_default().to_owned())
    }
}

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(seen: &Seen) -> Self {
        assert_eq!(seen.status, 200, "{}", seen.text);
        let text = |name: &str| seen.json()[name].as_str().unwrap_or_default().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn encoded(pairs: Pairs) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `defaults` with `changes` in it; an empty value takes a parameter away.
fn changed<'a>(defaults: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = defaults.iter().filter(|(name, _)| !changes.iter().any(|(change, _)| change == name));
    kept.chain(changes).copied().filter(|(_, value)| !value.is_empty()).collect()
}

impl World {
    async fn new() -> Self {
        Self::with(SandboxOptions::default()).await
    }

    async fn behaving(behaviour: Behaviour) -> Self {
        Self::with(SandboxOptions { behaviour, ..SandboxOptions::default() }).await
    }

    async fn rotating(rotation: Rotation) -> Self {
        Self::behaving(Behaviour { rotation, ..Behaviour::default() }).await
    }

    async fn with(options: SandboxOptions) -> Self {
        // Another test of this program may have done it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let clock = Arc::new(Hand::default());
        let sandbox = Sandbox::start(options, clock.clone(), Arc::new(Seeded::default())).await.unwrap();
        Self { sandbox, clock, http }
    }

    fn wait(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.base_url())
    }

    async fn get(&self, path: &str) -> Seen {
        Seen::of(self.http.get(self.url(path))).await.unwrap()
    }

    /// `GET /authorize` with a good request, changed.
    async fn open(&self, changes: Pairs<'_>) -> Seen {
        let challenge = URL_SAFE_NO_PAD.encode(hash::sha256(VERIFIER.as_bytes()));
        let good = [
            ("response_type", "code"),
            ("client_id", "sandbox-client"),
            ("redirect_uri", CALLBACK),
            ("scope", "profile mail.read offline_access"),
            ("state", "s&t"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        self.get(&format!("/authorize?{}", encoded(&changed(&good, changes)))).await
    }

    /// The form of a page, filled in, changed and sent from the browser that opened it.
    async fn decide(&self, page: &Seen, changes: Pairs<'_>) -> Seen {
        let ticket = page.text.split(r#"name="request" value=""#).nth(1).unwrap();
        let ticket = ticket.split('"').next().unwrap();
        let good = [("request", ticket), ("user", "ada"), ("decision", "allow"), ("scope", "profile")];
        let cookie = page.header(SET_COOKIE).split(';').next().unwrap().to_owned();
        let request = self.http.post(self.url("/authorize")).header(COOKIE, cookie);
        let body = encoded(&changed(&good, changes));
        Seen::of(request.header(CONTENT_TYPE, FORM).body(body)).await.unwrap()
    }

    /// A code for all scopes that `open` asks for.
    async fn code(&self) -> String {
        let scopes = [("scope", "profile"), ("scope", "mail.read"), ("scope", "offline_access")];
        self.decide(&self.open(&[]).await, &scopes).await.back().remove("code").unwrap()
    }

    async fn try_post(&self, path: &str, basic: &str, form: Pairs<'_>) -> Result<Seen, reqwest::Error> {
        let request = self.http.post(self.url(path)).header(CONTENT_TYPE, FORM).body(encoded(form));
        Seen::of(if basic.is_empty() { request } else { request.header(AUTHORIZATION, basic) }).await
    }

    async fn post(&self, path: &str, form: Pairs<'_>) -> Seen {
        self.try_post(path, BASIC, form).await.unwrap()
    }

    /// `POST /token` with a good exchange, changed.
    async fn exchange(&self, code: &str, changes: Pairs<'_>) -> Seen {
        let good = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post("/token", &changed(&good, changes)).await
    }

    async fn connect(&self) -> Tokens {
        Tokens::of(&self.exchange(&self.code().await, &[]).await)
    }

    async fn try_refresh(&self, token: &str) -> Result<Seen, reqwest::Error> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.try_post("/token", BASIC, &form).await
    }

    async fn refresh(&self, token: &str) -> Seen {
        self.try_refresh(token).await.unwrap()
    }

    async fn me(&self, access: &str) -> Seen {
        Seen::of(self.http.get(self.url("/me")).bearer_auth(access)).await.unwrap()
    }

    async fn alive(&self, access: &str) -> bool {
        self.me(access).await.status == 200
    }
}
