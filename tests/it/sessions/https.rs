//! Behind a public URL of https: what a browser is told there.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::html::Form;
use crate::support::tenant::{HOME, Tenant};
use grantkeep::app::new_master_key;
use reqwest::header::{COOKIE, HeaderName, LOCATION, ORIGIN, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use serde_json::json;
use std::time::Duration;
use url::Url;

const PUBLIC: &str = "https://vault.example.test";

/// An opening of a link, at the port behind the public URL.
struct Opened {
    hsts: String,
    cookie: String,
    way: Url,
}

impl Opened {
    async fn at(app: &App, link: &str) -> Self {
        let path = link.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{link}"));
        let answer = http().get(format!("{}{path}", app.direct)).send().await.expect("it answers");
        let header = |name: HeaderName| answer.headers()[name].to_str().expect("ASCII").to_owned();
        Self {
            hsts: header(STRICT_TRANSPORT_SECURITY),
            cookie: header(SET_COOKIE),
            way: header(LOCATION).parse().expect("a URL"),
        }
    }

    fn parameter(&self, wanted: &str) -> String {
        let mut pairs = self.way.query_pairs();
        pairs.find(|(name, _)| name == wanted).expect("it is there").1.into_owned()
    }
}

/// The tenant signs up at a server without https, because mailed links lead to the public URL; both share a store.
#[tokio::test]
async fn cookies_are_bound_to_the_host_and_to_https() {
    let stores = Stores::redis();
    let key = new_master_key(Some("test"));
    let plain = App::start_with(stores.clone(), &[("vault.master_keys", &key)]).await;
    let settings = [("vault.master_keys", key.as_str()), ("server.public_url", PUBLIC)];
    let app = App::start_with(stores, &settings).await;
    let sandbox = sandbox(Duration::from_mins(1)).await;
    let tenant = Tenant { url: app.direct.clone(), ..Tenant::new(&plain).await };
    let path = format!("/authorization-success/{}/sandbox", tenant.id());
    let enabled = tenant.enable(&sandbox).await.expect(201);
    assert_eq!(enabled.text("callback_url"), format!("{PUBLIC}{path}"));
    let link = tenant.begin("u").await;
    // Without its prefix, anybody beside the host could have set the cookie.
    for (prefix, status) in [("", 403), ("__Secure-", 403), ("__Host-", 303)] {
        let opened = Opened::at(&app, &link).await;
        assert_eq!(opened.hsts, "max-age=63072000");
        let mut parts = opened.cookie.split("; ");
        let pair = parts.next().expect("a cookie");
        let bare = pair.strip_prefix("__Host-").unwrap_or_else(|| panic!("{pair}"));
        let tag = bare.strip_prefix("gk-").and_then(|rest| rest.split_once('=')).expect("a name").0;
        assert!(tag.len() == 8 && tag.bytes().all(|b| b.is_ascii_hexdigit()), "{pair}");
        let mut attributes: Vec<&str> = parts.collect();
        attributes.sort_unstable();
        assert_eq!(attributes, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax", "Secure"]);
        assert_eq!(opened.parameter("redirect_uri"), format!("{PUBLIC}{path}"));
        let mut back: Url = format!("{}{path}", app.direct).parse().expect("a URL");
        let state = opened.parameter("state");
        back.query_pairs_mut().extend_pairs([("code", "c"), ("state", &state), ("iss", sandbox.base_url())]);
        let came = http().get(back).header(COOKIE, format!("{prefix}{bare}")).send().await;
        assert_eq!(came.expect("it answers").status().as_u16(), status, "{prefix}");
    }
}

/// The page's cookie too, and its button is held to the origin that browsers see.
#[tokio::test]
async fn the_pages_cookie_is_bound_to_the_host_and_to_https() {
    let stores = Stores::redis();
    let key = new_master_key(Some("test"));
    let plain = App::start_with(stores.clone(), &[("vault.master_keys", &key)]).await;
    let settings = [("vault.master_keys", key.as_str()), ("server.public_url", PUBLIC)];
    let app = App::start_with(stores, &settings).await;
    let sandbox = sandbox(Duration::from_mins(1)).await;
    let tenant = Tenant { url: app.direct.clone(), ..Tenant::new(&plain).await };
    let host = sandbox.base_url().trim_start_matches("http://");
    let fields = json!({
        "provider": "sandbox",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "redirect_url": HOME,
        "variables": { "host": host },
        "finish": "page",
    });
    tenant.post("/enable-provider", &fields).await.expect(201);
    let begin = json!({ "end_user": "u", "end_user_label": "Ada" });
    let link = tenant.post("/authorize-sandbox", &begin).await.expect(201).text("authorize_url");
    let at = format!("{}{}", app.direct, link.strip_prefix(PUBLIC).expect("the public URL"));
    let page = http().get(&at).send().await.expect("it answers");
    let cookie = page.headers()[SET_COOKIE].to_str().expect("ASCII").to_owned();
    let mut parts = cookie.split("; ");
    let pair = parts.next().expect("a cookie").to_owned();
    assert!(pair.starts_with("__Host-gk-page-"), "{pair}");
    let mut attributes: Vec<&str> = parts.collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Strict", "Secure"]);
    let form = Form::all(&page.text().await.expect("a text"), &at.parse().expect("a URL")).remove(0);
    let bare = pair.trim_start_matches("__Host-");
    for (cookie, origin, status) in
        [(bare, PUBLIC, 403), (pair.as_str(), app.direct.as_str(), 403), (pair.as_str(), PUBLIC, 303)]
    {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
        let request = http().post(form.action.clone()).header(COOKIE, cookie).header(ORIGIN, origin);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        assert_eq!(request.send().await.expect("it answers").status().as_u16(), status, "{cookie} {origin}");
    }
}
