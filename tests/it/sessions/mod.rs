//! Connecting an end user, from the link to the connection: what is refused, how, and what is left afterwards.

mod begin;
mod browsers;
mod changed;
mod concurrent;
mod exchange;
mod finish;
mod https;
mod page_button;
mod page_finish;
mod reconnect;
mod redirects;
mod states;

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, Page};
use crate::support::tenant::{Answer, Tenant, arrive};
use grantkeep::sandbox::Sandbox;
use serde_json::Value;
use std::time::Duration;
use url::Url;

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
        let sandbox = sandbox(Duration::from_mins(1)).await;
        let tenant = Tenant::new(&app).await;
        tenant.enable(&sandbox).await.expect(201);
        Self { app, sandbox, tenant }
    }

    /// Codes brought to the provider so far.
    fn exchange_requests(&self) -> u64 {
        self.sandbox.control().counts().exchange_requests
    }

    /// A completion that came back for this end user.
    async fn completion(&self, end_user: &str) -> String {
        let link = self.tenant.begin(end_user).await;
        let mut browser = Browser::new();
        let back = depart(&mut browser, &link).await;
        authorized(&browser.get(back.as_str()).await)
    }

    /// How many connections the tenant has.
    async fn connections(&self) -> usize {
        let list = self.tenant.get("/v1/connections").await.expect(200);
        list.body["items"].as_array().expect("a list").len()
    }

    /// Nothing was exchanged and nothing connected.
    async fn expect_untouched(&self) {
        assert_eq!(self.exchange_requests(), 0, "no code was sent");
        assert_eq!(self.connections().await, 0, "nothing was connected");
    }
}

/// Opens a link and presses a button at the provider; the URL of ours that it sends the browser to, not yet visited.
async fn decide(browser: &mut Browser, link: &str, button: &str) -> Url {
    let page = arrive(browser, link).await;
    decide_on(browser, &page, button).await
}

/// The same on a page of the provider that is open.
async fn decide_on(browser: &mut Browser, page: &Page, button: &str) -> Url {
    let answer = browser.send(page, &page.form().press(button)).await;
    let back = answer.location().unwrap_or_else(|| panic!("{answer:?}"));
    assert!(back.path().starts_with("/authorization-success/"), "{back}");
    back
}

/// As [`decide`], for who agrees.
async fn depart(browser: &mut Browser, link: &str) -> Url {
    decide(browser, link, "allow").await
}

/// The completion that an accepted return sends along.
#[track_caller]
fn authorized(page: &Page) -> String {
    assert_eq!(page.status.as_u16(), 303, "{page:?}");
    assert_eq!(page.parameter("status").as_deref(), Some("authorized"), "{page:?}");
    page.parameter("completion").expect("a completion")
}

/// A return that goes back to the tenant with that status, and with that code where there is one.
#[track_caller]
fn sent_back(page: &Page, status: &str, code: Option<&str>) {
    assert_eq!(page.parameter("status").as_deref(), Some(status), "{page:?}");
    assert_eq!(page.parameter("code").as_deref(), code, "{page:?}");
    assert_eq!(page.parameter("completion"), None, "{page:?}");
}

/// A refusal for a person: a page that says the code, redirects nowhere, and is kept by nobody.
#[track_caller]
fn refused(page: &Page, status: u16, code: &str) {
    assert_eq!(page.status.as_u16(), status, "{page:?}");
    assert!(page.body.contains(&format!("<code>{code}</code>")), "{page:?}");
    assert!(page.body.starts_with("<!doctype html>"), "{page:?}");
    let header =
        |name: &str| page.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("location"), "");
    assert_eq!(header("set-cookie"), "");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for (name, value) in page.url.query_pairs() {
        assert!(value.len() < 16 || !page.body.contains(&*value), "the page shows `{name}`");
    }
}

/// A refusal for a program.
#[track_caller]
fn problem(answer: Answer, status: u16, code: &str) -> Value {
    let answer = answer.expect(status);
    assert_eq!(answer.code(), code, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["status"], status);
    answer.body
}

/// A URL with some parameters set to other values, or taken away.
fn with(url: &Url, changes: &[(&str, Option<&str>)]) -> Url {
    let changed = |name: &str| changes.iter().any(|(known, _)| *known == name);
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| !changed(name)).collect();
    let new = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(new);
    url
}
