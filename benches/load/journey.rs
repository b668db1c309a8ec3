//! End users that are connected: the main job, gone through once for each over real HTTP.

use super::http;
use super::process::Grantkeep;
use grantkeep::adapters::http::install_tls;
use grantkeep::adapters::system::{SystemChance, SystemClock};
use grantkeep::sandbox::{Behaviour, Sandbox, SandboxOptions};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "a quiet harbour at dusk";
/// Nobody listens there.
const HOME: &str = "http://localhost:3000/connected";

/// A tenant whose end users are connected.
pub struct Connected {
    pub key: String,
    /// For the token of each.
    pub requests: Vec<Vec<u8>>,
    /// Where their provider was.
    pub provider: SocketAddr,
}

/// The request for the token of one end user.
pub fn token_request(key: &str, end_user: &str) -> Vec<u8> {
    request_of(key, &json!({ "provider": "sandbox", "end_user": end_user }))
}

/// The request for one that is refreshed for whoever asks.
pub fn forced_request(key: &str, end_user: &str) -> Vec<u8> {
    request_of(key, &json!({ "provider": "sandbox", "end_user": end_user, "force_refresh": true }))
}

fn request_of(key: &str, body: &Value) -> Vec<u8> {
    http::request("POST", "/get-access-token", key, &body.to_string())
}

/// The name of one of those who are really connected.
pub fn name(number: usize) -> String {
    format!("user-{number}")
}

/// Connects so many end users of one tenant.
pub fn connected(server: &Grantkeep, users: usize) -> Connected {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // Nothing is refreshed while it is measured.
        let behaviour = Behaviour { access_lifetime: Duration::from_hours(240), ..Behaviour::default() };
        let options = SandboxOptions { behaviour, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options, Arc::new(SystemClock::new()), Arc::new(SystemChance));
        let sandbox = sandbox.await.expect("the provider starts");
        let tenant = Tenant::new(server).await;
        tenant.enable(&sandbox).await;
        let mut requests = Vec::new();
        for number in 0..users {
            let end_user = name(number);
            tenant.connect(&end_user).await;
            let request = token_request(&tenant.key, &end_user);
            let answer = http::ask(server.public, &request).expect("it answers");
            assert!(answer.body.contains(r#""state":"fresh""#), "{}", answer.body);
            requests.push(request);
        }
        let provider = host(&sandbox).parse().expect("an address");
        sandbox.stop().await;
        Connected { key: tenant.key, requests, provider }
    })
}

fn host(sandbox: &Sandbox) -> &str {
    sandbox.base_url().trim_start_matches("http://")
}

struct Tenant {
    http: Client,
    url: String,
    key: String,
}

impl Tenant {
    /// Signs up, verifies the address, makes a key.
    async fn new(server: &Grantkeep) -> Self {
        install_tls();
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.build().expect("a client");
        let mut tenant = Self { http, url: server.url(), key: String::new() };
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        tenant.post("/signup", &body).await;
        let link = mailed_link(server);
        let (page, query) = link.split_once('?').expect("a token in the link");
        let form = tenant.http.post(page).header("content-type", "application/x-www-form-urlencoded");
        sent(form.body(query.to_owned())).await;
        let body = json!({ "username": EMAIL, "password": PASSWORD, "name": "bench" });
        tenant.key = text(&tenant.post("/v1/api-keys", &body).await, "key");
        tenant
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let mut request = self.http.post(format!("{}{path}", self.url));
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        let answer = sent(request.header("content-type", "application/json").body(body.to_string())).await;
        serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default()
    }

    async fn enable(&self, sandbox: &Sandbox) {
        let body = json!({
            "provider": "sandbox",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "scopes": ["profile", "offline_access"],
            "redirect_url": HOME,
            "variables": { "host": host(sandbox) },
        });
        self.post("/enable-provider", &body).await;
    }

    /// The tenant's backend begins and ends it, and in between goes the end user's browser.
    async fn connect(&self, end_user: &str) {
        let mut cookies = Vec::new();
        let begun = self.post("/authorize-sandbox", &json!({ "end_user": end_user })).await;
        let opened = self.open(&text(&begun, "authorize_url"), &mut cookies).await;
        let consent = location(&opened);
        let page = self.open(&consent, &mut cookies).await.text().await.expect("a page");
        let (_, after) = page.split_once(r#"name="request" value=""#).expect("a form");
        let ticket = after.split('"').next().unwrap_or_default();
        let fields = [
            ("request", ticket),
            ("user", end_user),
            ("scope", "profile"),
            ("scope", "offline_access"),
            ("decision", "allow"),
        ];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let agree = self.http.post(consent.split('?').next().unwrap_or_default()).body(form);
        let agree = agree.header("content-type", "application/x-www-form-urlencoded");
        let agreed = sent(agree.header("cookie", cookies.join("; "))).await;
        let returned = self.open(&location(&agreed), &mut cookies).await;
        let home = url::Url::parse(&location(&returned)).expect("a URL");
        let completion = home.query_pairs().find(|(name, _)| name == "completion").expect("a completion").1;
        let body = json!({ "completion": completion, "end_user": end_user });
        self.post("/complete-authorization", &body).await;
    }

    /// As a browser that keeps every cookie and sends it everywhere: both servers are one host to it.
    async fn open(&self, url: &str, cookies: &mut Vec<String>) -> Response {
        let response = sent(self.http.get(url).header("cookie", cookies.join("; "))).await;
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().expect("ASCII").split(';').next().unwrap_or_default();
            cookies.push(pair.to_owned());
        }
        response
    }
}

async fn sent(request: RequestBuilder) -> Response {
    let response = request.send().await.expect("it answers");
    let (status, url) = (response.status(), response.url().clone());
    let good = status.is_success() || status.is_redirection();
    assert!(good, "{url} answers {status}: {}", response.text().await.unwrap_or_default());
    response
}

fn location(response: &Response) -> String {
    response.headers()["location"].to_str().expect("ASCII").to_owned()
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {body}")).to_owned()
}

/// The link in the only mail there is; it is written in the background.
fn mailed_link(server: &Grantkeep) -> String {
    for _ in 0..1000 {
        let mails = std::fs::read_dir(server.outbox()).into_iter().flatten().flatten();
        for mail in mails.filter(|mail| mail.path().extension().is_some_and(|end| end == "eml")) {
            let mail = std::fs::read_to_string(mail.path()).unwrap_or_default();
            if let Some(link) = mail.split_whitespace().find(|word| word.starts_with(&server.url())) {
                return link.to_owned();
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no mail came: {}", server.log())
}
