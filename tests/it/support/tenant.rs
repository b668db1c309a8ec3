//! A tenant of ours: its backend with an API key, and end users whose browsers it sends around.

use super::app::App;
use super::browser::{Browser, Page, http};
use super::document::Said;
use grantkeep::sandbox::Sandbox;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the tenant's product takes its end users back. Nobody listens there.
pub const HOME: &str = "http://localhost:3000/connected";
pub const PASSWORD: &str = "a quiet harbour at dusk";

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The problem's code; empty where it is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A text of the body.
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {self:?}")).to_owned()
    }

    /// Insists on a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Sends a request and reads its answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.expect("it answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body");
    Said::of(&method, &path, status, &headers, &bytes).is_documented();
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

/// A tenant that has signed up, verified its address and made a key.
#[derive(Clone)]
pub struct Tenant {
    pub url: String,
    pub email: String,
    pub key: String,
}

impl Tenant {
    /// Signs up under an address of its own, with [`PASSWORD`].
    pub async fn new(app: &App) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Processes share a Redis: the address must be of this one alone.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let email = format!("owner-{}-{number}@example.com", std::process::id());
        sign_up(app, &email).await;
        let request = http().post(format!("{}/v1/api-keys", app.url)).basic_auth(&email, Some(PASSWORD));
        let made = answer(with_json(request, &json!({ "name": "tests" }))).await.expect(201);
        Self { url: app.url.clone(), email, key: made.text("key") }
    }

    /// The same tenant at another server of the same store.
    pub fn at(&self, app: &App) -> Self {
        Self { url: app.url.clone(), ..self.clone() }
    }

    /// The tenant's id, which stands in its keys.
    pub fn id(&self) -> &str {
        self.key.split('_').nth(1).expect("a tenant in the key")
    }

    /// A call with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        http().request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(with_json(self.request(Method::POST, path), body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }

    /// Enables the sandbox.
    pub async fn enable(&self, sandbox: &Sandbox) -> Answer {
        let host = sandbox.base_url().trim_start_matches("http://");
        self.post(
            "/enable-provider",
            &json!({
                "provider": "sandbox",
                "client_id": "sandbox-client",
                "client_secret": "sandbox-secret",
                "scopes": ["profile", "offline_access"],
                "redirect_url": HOME,
                "variables": { "host": host },
            }),
        )
        .await
    }

    /// Begins a session at the sandbox; the link for the end user's browser.
    pub async fn begin(&self, end_user: &str) -> String {
        let begun = self.post("/authorize-sandbox", &json!({ "end_user": end_user })).await;
        begun.expect(201).text("authorize_url")
    }

    /// Completes with what came back in a browser.
    pub async fn complete(&self, completion: &str, end_user: &str) -> Answer {
        self.post("/complete-authorization", &json!({ "completion": completion, "end_user": end_user })).await
    }

    /// The whole way, with a browser of the end user's own; the connection.
    pub async fn connect(&self, end_user: &str) -> Value {
        let link = self.begin(end_user).await;
        let back = agree(&mut Browser::new(), &link).await;
        let completion = back.parameter("completion").unwrap_or_else(|| panic!("{back:?}"));
        self.complete(&completion, end_user).await.expect(201).body
    }

    /// Asks for a token at the sandbox.
    pub async fn token(&self, end_user: &str) -> Answer {
        self.post("/get-access-token", &json!({ "provider": "sandbox", "end_user": end_user })).await
    }
}

/// Signs up with [`PASSWORD`] and follows the mailed link.
pub async fn sign_up(app: &App, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD, "product": "Acme CRM" });
    answer(with_json(http().post(format!("{}/signup", app.url)), &body)).await.expect(202);
    let link = app.mailed_link(email).await;
    let mut browser = Browser::new();
    let page = browser.get(&link).await;
    let form = page.form();
    let done = browser.send(&page, &form).await;
    assert_eq!(done.status, 200, "{}", done.body);
}

pub fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// Opens a link and goes as far as the sandbox's consent page.
pub async fn arrive(browser: &mut Browser, link: &str) -> Page {
    let page = browser.get(link).await;
    browser.follow(page, HOME).await
}

/// Opens a link, agrees at the sandbox, and follows to where the tenant's product would take over; what is returned is the
/// answer of ours that redirects there.
pub async fn agree(browser: &mut Browser, link: &str) -> Page {
    let page = arrive(browser, link).await;
    let form = page.form().press("allow");
    let page = browser.send(&page, &form).await;
    browser.follow(page, HOME).await
}
