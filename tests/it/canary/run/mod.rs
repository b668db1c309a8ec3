//! A run of the product in which every secret there is comes to be, and everything that could be heard of it.

mod uses;

use super::search::Canary;
use super::wiretap::Wiretap;
use crate::support::app::App;
use crate::support::browser::{Browser, Page, http};
use crate::support::raw::{Raw, raw};
use crate::support::tenant::HOME;
use base64::prelude::{BASE64_STANDARD, Engine};
use grantkeep::sandbox::{Endpoint, Fault, Grant, Rule};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const PASSWORD: &str = "correcthorse-canary-battery staple 7Q";
const WRONG: &str = "wronghorse-canary-battery staple 8R";
const NEW: &str = "greenhorse-canary-battery staple 9S";
const CLIENT_SECRET: &str = "canary-client-secret/+= 6c1e9b3d7452";
const PREVIOUS_SECRET: &str = "canary-previous-secret/+= 91fd0a4c6b37";
const IMPORTED_ACCESS: &str = "canary-imported-access 3b7a51c0";
const IMPORTED_REFRESH: &str = "canary-imported-refresh 8e24d9f6";
const EMAIL: &str = "canary@example.com";

pub struct Run<'a> {
    app: &'a App,
    tap: &'a Wiretap,
    pub canaries: Vec<Canary>,
    /// What came back, and on which occasion.
    pub heard: Vec<(&'static str, Vec<u8>)>,
    /// Looks at the store, at moments when something is in it that will not stay.
    look: Box<dyn Fn() -> Vec<u8> + 'a>,
    pub stored: Vec<Vec<u8>>,
    key: String,
    session: String,
    pub ticket: String,
    pub completion: String,
}

/// The provider of the run: its refresh tokens have a grace, and there is a further token in each grant.
pub fn provider(folder: &std::path::Path) -> String {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/sandbox.toml"))
        .expect("a file");
    let changed = file.replace("rotation = \"strict\"", "rotation = \"grace\"\ngrace = \"5m\"");
    assert_ne!(changed, file);
    let with_bot = format!("{changed}\n[tokens.bot]\naccess_token = \"/access_token\"\n");
    std::fs::write(folder.join("canary.toml"), with_bot).expect("a file");
    folder.display().to_string()
}

impl<'a> Run<'a> {
    pub fn new(
        app: &'a App,
        tap: &'a Wiretap,
        master_key: &str,
        look: Box<dyn Fn() -> Vec<u8> + 'a>,
    ) -> Self {
        let text = master_key.split_once(':').expect("id and key").1;
        let mut run = Self {
            app,
            tap,
            canaries: vec![],
            heard: vec![],
            look,
            stored: vec![],
            key: String::new(),
            session: String::new(),
            ticket: String::new(),
            completion: String::new(),
        };
        run.plant("master key as it is written", text, &[]);
        run.plant_bytes("master key", BASE64_STANDARD.decode(text).expect("base64"), &[]);
        run.plant("password", PASSWORD, &[]);
        run.plant("password somebody tried", WRONG, &[]);
        run.plant("client secret", CLIENT_SECRET, &[]);
        run.plant("client secret before", PREVIOUS_SECRET, &[]);
        run.plant("imported access token", IMPORTED_ACCESS, &[]);
        run.plant("imported refresh token", IMPORTED_REFRESH, &[]);
        run
    }

    fn plant_bytes(&mut self, name: &'static str, value: Vec<u8>, may: &'static [&'static str]) {
        self.canaries.push(Canary { name, value, may });
    }

    fn plant(&mut self, name: &'static str, value: &str, may: &'static [&'static str]) {
        self.plant_bytes(name, value.as_bytes().to_vec(), may);
    }

    fn look(&mut self) {
        let bytes = (self.look)();
        self.stored.push(bytes);
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        http().request(method, format!("{}{path}", self.app.url))
    }

    async fn hear(&mut self, occasion: &'static str, status: u16, request: RequestBuilder) -> Value {
        let answer = raw(request).await;
        assert_eq!(answer.status, status, "{occasion}: {}", answer.text());
        self.keep(occasion, &answer);
        answer.json()
    }

    fn keep(&mut self, occasion: &'static str, answer: &Raw) {
        let headers: Vec<String> =
            answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        self.heard.push((
            occasion,
            [
                headers
                    .join(
                        "
",
                    )
                    .as_bytes(),
                &answer.body,
            ]
            .concat(),
        ));
    }

    fn keep_page(&mut self, occasion: &'static str, page: &Page) {
        let mut bytes = Vec::new();
        for (name, value) in &page.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes.extend_from_slice(page.body.as_bytes());
        self.heard.push((occasion, bytes));
    }

    async fn post(&mut self, occasion: &'static str, status: u16, path: &str, body: &Value) -> Value {
        let request = self.request(Method::POST, path).bearer_auth(&self.key);
        self.hear(occasion, status, request.header("content-type", "application/json").body(body.to_string()))
            .await
    }

    async fn patch(&mut self, occasion: &'static str, status: u16, path: &str, body: &Value) -> Value {
        let request = self.request(Method::PATCH, path).bearer_auth(&self.key);
        self.hear(occasion, status, request.header("content-type", "application/json").body(body.to_string()))
            .await
    }

    async fn get(&mut self, occasion: &'static str, status: u16, path: &str) -> Value {
        let request = self.request(Method::GET, path).bearer_auth(&self.key);
        self.hear(occasion, status, request).await
    }

    /// Sign-up, key, integration.
    pub async fn move_in(&mut self) {
        let body = json!({ "email": EMAIL, "password": PASSWORD, "product": "Canary" });
        self.post("sign-up", 202, "/signup", &body).await;
        let link = self.app.mailed_link(EMAIL).await;
        self.plant(
            "token of the mailed link",
            link.split_once("token=").expect("a token").1,
            &["verification page", "outbox"],
        );
        self.look();
        let mut browser = Browser::new();
        let page = browser.get(&link).await;
        self.keep_page("verification page", &page);
        let verified = browser.send(&page, &page.form()).await;
        self.keep_page("verified", &verified);
        let again = browser.get(&link).await;
        self.keep_page("refused link", &again);
        let request = self.request(Method::POST, "/v1/api-keys").basic_auth(EMAIL, Some(PASSWORD));
        let body = json!({ "name": "canary" }).to_string();
        let made =
            self.hear("new key", 201, request.header("content-type", "application/json").body(body)).await;
        made["key"].as_str().expect("a key").clone_into(&mut self.key);
        self.plant("API key", &self.key.clone(), &["new key"]);
        let secret = self.key.rsplit('_').next().expect("a secret").to_owned();
        self.plant("secret part of the API key", &secret, &["new key"]);
        self.plant("secret part of the API key, without its sum", &secret[..43], &["new key"]);
        let enable = json!({
            "provider": "canary",
            "client_id": "canary-client",
            "client_secret": PREVIOUS_SECRET,
            "scopes": ["profile", "offline_access"],
            "redirect_url": HOME,
            "variables": { "host": self.tap.host },
        });
        self.post("enabled", 201, "/enable-provider", &enable).await;
        self.post("enabled again", 200, "/enable-provider", &enable).await;
        let change = json!({ "client_secret": CLIENT_SECRET });
        self.patch("changed integration", 200, "/v1/integrations/canary", &change).await;
        self.get("integrations", 200, "/v1/integrations").await;
    }

    /// A forgotten password, and a new one.
    pub async fn forget(&mut self) {
        self.plant("new password", NEW, &[]);
        self.post("forgotten", 202, "/forgot-password", &json!({ "email": EMAIL })).await;
        let token = self.app.mailed_token("/reset-password", EMAIL).await;
        self.plant("token of the reset link", &token, &["reset page", "outbox"]);
        self.look();
        let mut browser = Browser::new();
        let page = browser.get(&format!("{}/reset-password?token={token}", self.app.url)).await;
        self.keep_page("reset page", &page);
        let refused = browser.send(&page, &page.form().fill("password", "canary")).await;
        self.keep_page("reset page", &refused);
        let done = browser.send(&page, &page.form().fill("password", NEW)).await;
        assert_eq!(done.status, 200, "{}", done.body);
        self.keep_page("reset", &done);
        let again = browser.send(&page, &page.form().fill("password", NEW)).await;
        self.keep_page("refused link", &again);
        self.look();
    }

    /// A session as far as the return: the code lies in the store.
    pub async fn authorize(&mut self, end_user: &str) {
        let begun = self.post("begun", 201, "/authorize-canary", &json!({ "end_user": end_user })).await;
        let link = begun["authorize_url"].as_str().expect("a link").to_owned();
        begun["session"].as_str().expect("an id").clone_into(&mut self.session);
        link.split_once("session=").expect("a ticket").1.clone_into(&mut self.ticket);
        self.plant("ticket", &self.ticket.clone(), &["begun"]);
        let mut browser = Browser::new();
        let opened = browser.get(&link).await;
        self.keep_page("opened", &opened);
        self.plant("state", &opened.parameter("state").expect("a state"), &["opened"]);
        self.look();
        let consent = browser.follow(opened, HOME).await;
        let back =
            browser.send(&consent, &consent.form().press("allow")).await.location().expect("a way back");
        let (_, cookie) = browser.cookies_for(&back).into_iter().next().expect("a cookie");
        self.plant("cookie", &cookie, &["opened"]);
        let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        assert!(code.starts_with("sandbox-code-"));
        self.plant("code", &code, &[]);
        let thief = Browser::new().get(back.as_str()).await;
        self.keep_page("refused callback", &thief);
        let again = browser.get(&link).await;
        let state = again.parameter("state").expect("a state");
        self.plant("state of a second opening", &state, &["opened"]);
        let (_, cookie) = browser.cookies_for(&back).into_iter().next().expect("a cookie");
        self.plant("cookie of a second opening", &cookie, &["opened"]);
        self.keep_page("opened", &again);
        let consent = browser.follow(again, HOME).await;
        let done = browser.send(&consent, &consent.form().press("allow")).await;
        let code = done.parameter("code").expect("a code");
        self.plant("code that is used", &code, &[]);
        let back = done.location().expect("a way back");
        let done = browser.get(back.as_str()).await;
        self.keep_page("returned", &done);
        self.completion = done.parameter("completion").expect("a completion");
        self.plant("completion", &self.completion.clone(), &["returned"]);
        self.look();
        let replayed = browser.get(back.as_str()).await;
        self.keep_page("refused callback", &replayed);
    }

    /// The way over the hosted page, which holds what its button sends.
    pub async fn by_page(&mut self, end_user: &str) {
        let enable = json!({
            "provider": "canary",
            "client_id": "canary-client",
            "client_secret": CLIENT_SECRET,
            "scopes": ["profile", "offline_access"],
            "redirect_url": HOME,
            "variables": { "host": self.tap.host },
            "finish": "page",
        });
        self.post("enabled again", 200, "/enable-provider", &enable).await;
        let begin = json!({ "end_user": end_user, "end_user_label": "Ada" });
        let begun = self.post("begun", 201, "/authorize-canary", &begin).await;
        let link = begun["authorize_url"].as_str().expect("a link").to_owned();
        let ticket = link.split_once("session=").expect("a ticket").1.to_owned();
        self.plant("ticket of a page", &ticket, &["begun", "asked"]);
        let mut browser = Browser::new();
        let page = browser.get(&link).await;
        self.keep_page("asked", &page);
        let (_, cookie) = browser.cookies_for(&page.url).into_iter().next().expect("a cookie");
        self.plant("cookie of the page", &cookie, &["asked"]);
        let form = page.form();
        let proof = &form.fields.iter().find(|(name, _)| name == "proof").expect("a proof").1;
        self.plant("proof of the page", proof, &["asked"]);
        let forged = Browser::new().send(&page, &form).await;
        self.keep_page("refused button", &forged);
        let opened = browser.send(&page, &form).await;
        self.keep_page("opened", &opened);
        self.plant("state after the page", &opened.parameter("state").expect("a state"), &["opened"]);
        let cookies = browser.cookies_for(&page.url);
        let (_, cookie) = cookies.iter().find(|(_, value)| *value != cookie).expect("another cookie");
        self.plant("cookie after the page", cookie, &["opened"]);
        self.look();
        let consent = browser.follow(opened, HOME).await;
        let back =
            browser.send(&consent, &consent.form().press("allow")).await.location().expect("a way back");
        let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        self.plant("code after the page", &code, &[]);
        let done = browser.get(back.as_str()).await;
        assert_eq!(done.parameter("status").as_deref(), Some("connected"), "{done:?}");
        self.keep_page("connected", &done);
        self.look();
    }

    /// Completes and refreshes once.
    pub async fn connect(&mut self, end_user: &str) {
        let complete = json!({ "completion": self.completion, "end_user": end_user });
        self.post("completed", 201, "/complete-authorization", &complete).await;
        let forced = json!({ "provider": "canary", "end_user": end_user, "force_refresh": true });
        self.post("token", 200, "/get-access-token", &forced).await;
    }
}
