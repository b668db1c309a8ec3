//! Journeys through providers that are not like the sandbox, each by its own built-in file, against an upstream that answers
//! as that provider does.

use crate::support::app::{App, Stores};
use crate::support::browser::Browser;
use crate::support::tenant::{Answer, HOME, Tenant};
use grantkeep::crypto::hash::hmac_sha256;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A provider that answers what it was told to, in order, and remembers what it was asked.
#[derive(Clone)]
struct Upstream {
    address: String,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Debug)]
struct Asked {
    line: String,
    head: String,
    body: String,
}

impl Asked {
    /// A field of its form.
    fn field(&self, name: &str) -> Option<String> {
        let fields = form_urlencoded::parse(self.body.as_bytes());
        fields.into_owned().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let upstream = Self { address, answers: Arc::default(), asked: Arc::default() };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.clone().serve(stream).await;
            }
        });
        upstream
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let asked = loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    break Asked { line, head, body: body.to_owned() };
                }
            }
            if stream.read_buf(&mut bytes).await.expect("it reads") == 0 {
                return;
            }
        };
        self.asked.lock().unwrap().push(asked);
        let (status, body) = self.answers.lock().unwrap().pop_front().unwrap_or((500, json!({})));
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.expect("it writes");
    }

    fn will_say(&self, status: u16, body: Value) {
        self.answers.lock().unwrap().push_back((status, body));
    }

    /// What it was asked since it was asked last.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A server that knows `id` by its own file, with other words for where the provider is.
async fn app(id: &str, file: &str, changes: &[(&str, &str)]) -> (App, TempDir) {
    let mut text = file.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the file of {id} has no `{from}` any more");
        text = text.replace(from, to);
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    std::fs::write(folder.path().join(format!("{id}.toml")), text).expect("a file");
    let dirs = folder.path().display().to_string();
    (App::start_with(Stores::Embedded, &[("providers.dirs", &dirs)]).await, folder)
}

async fn enable(tenant: &Tenant, id: &str, scopes: &str, variables: Value) -> Answer {
    let body = json!({
        "provider": id, "client_id": "client-1", "client_secret": "hush", "scopes": scopes, "redirect_url": HOME,
        "variables": variables,
    });
    tenant.post("/enable-provider", &body).await
}

/// Opens the link, and comes back with these parameters and the state; signed under the client secret where `sign` says so.
async fn come_back(browser: &mut Browser, link: &str, more: &[(&str, &str)], sign: bool) -> Option<String> {
    let sent = browser.get(link).await.location().expect("it goes to the provider");
    let of = |url: &Url, name: &str| {
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    let mut back: Url = of(&sent, "redirect_uri").expect("a redirect URI").parse().expect("a URL");
    let state = of(&sent, "state").expect("a state");
    let mut pairs: Vec<(&str, &str)> = [&[("state", state.as_str())], more].concat();
    pairs.sort_unstable();
    let message: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mac = hmac_sha256(b"hush", message.join("&").as_bytes());
    let mac = mac.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    back.query_pairs_mut().extend_pairs(&pairs);
    if sign {
        back.query_pairs_mut().append_pair("hmac", &mac);
    }
    browser.get(back.as_str()).await.parameter("completion")
}

#[tokio::test]
async fn a_shop_of_shopify_from_its_signed_callback_to_its_uninstall() {
    let upstream = Upstream::start().await;
    let place = format!("http://{}/{{subdomain}}", upstream.address);
    let file = include_str!("../../providers/shopify.toml");
    let (app, _folder) = app("shopify", file, &[("https://{subdomain}.myshopify.com", &place)]).await;
    let tenant = Tenant::new(&app).await;
    enable(&tenant, "shopify", "read_products", json!({})).await.expect(201);
    let begin = async |shop: &str| {
        let body = json!({ "end_user": "merchant", "variables": { "subdomain": shop } });
        tenant.post("/authorize-shopify", &body).await
    };
    for evil in ["evil.example#", "a.b", "Acme", ""] {
        begin(evil).await.expect(400);
    }
    let link = begin("acme-store").await.expect(201).text("authorize_url");
    let returned = [("code", "c0de"), ("shop", "acme-store.myshopify.com"), ("timestamp", "1337178173")];
    let mut browser = Browser::new();
    // Not signed, and signed by somebody who then changed the shop's name: no way.
    assert_eq!(come_back(&mut browser, &link, &returned, false).await, None);
    let elsewhere = [("code", "c0de"), ("shop", "acme-store.myshopify.com.evil.example")];
    assert_eq!(come_back(&mut browser, &link, &elsewhere, true).await, None);
    assert!(upstream.asked().is_empty(), "nothing was exchanged");

    let completion = come_back(&mut browser, &link, &returned, true).await.expect("a completion");
    let tokens = |number: u8| {
        json!({
            "access_token": format!("shpat_{number}"), "scope": "read_products", "expires_in": 3600,
            "refresh_token": format!("shprt_{number}"), "refresh_token_expires_in": 7_776_000,
        })
    };
    upstream.will_say(200, tokens(1));
    let connection = tenant.complete(&completion, "merchant").await.expect(201).body;
    assert_eq!(connection["metadata"]["shop"], "acme-store.myshopify.com");
    let asked = upstream.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].line, "POST /acme-store/admin/oauth/access_token HTTP/1.1");
    let field = |name: &str| asked[0].field(name);
    assert_eq!((field("expiring").as_deref(), field("code").as_deref()), (Some("1"), Some("c0de")));
    assert_eq!(
        (field("client_id").as_deref(), field("client_secret").as_deref()),
        (Some("client-1"), Some("hush"))
    );
    assert_eq!(field("code_verifier"), None);

    // Each refresh spends its refresh token.
    for number in 2..=3 {
        upstream.will_say(200, tokens(number));
        let body = json!({ "provider": "shopify", "end_user": "merchant", "force_refresh": true });
        let token = tenant.post("/get-access-token", &body).await.expect(200);
        assert_eq!(token.body["access_token"], format!("shpat_{number}"));
        let asked = upstream.asked();
        assert_eq!(asked[0].field("refresh_token"), Some(format!("shprt_{}", number - 1)));
    }
    upstream.will_say(200, json!({}));
    let id = connection["id"].as_str().expect("an id");
    let gone = tenant.delete(&format!("/v1/connections/{id}")).await.expect(200);
    assert_eq!(gone.body["revocation"], "revoked");
    let asked = upstream.asked();
    assert_eq!(asked[0].line, "DELETE /acme-store/admin/api_permissions/current.json HTTP/1.1");
    assert!(asked[0].head.contains("x-shopify-access-token: shpat_3"), "{asked:?}");
}

#[tokio::test]
async fn an_org_of_salesforce_says_where_it_is_and_not_for_how_long() {
    let upstream = Upstream::start().await;
    let changes = [
        ("https://{hostname}", "http://{hostname}"),
        (r"([a-z0-9][a-z0-9-]*\.)+(salesforce\.com|site\.com|force\.com)", r"127\.0\.0\.1:[0-9]+"),
        ("default = \"login.salesforce.com\"\n", ""),
        ("example = \"acme.my.salesforce.com\"\n", ""),
    ];
    let file = include_str!("../../providers/salesforce.toml");
    let (app, _folder) = app("salesforce", file, &changes).await;
    let tenant = Tenant::new(&app).await;
    enable(&tenant, "salesforce", "api refresh_token", json!({ "hostname": upstream.address }))
        .await
        .expect(201);
    let completion = async || {
        let begun = tenant.post("/authorize-salesforce", &json!({ "end_user": "alice" })).await.expect(201);
        let returned = [("code", "aPrx")];
        let link = begun.text("authorize_url");
        come_back(&mut Browser::new(), &link, &returned, false).await.expect("a completion")
    };
    let said = |instance: &str| {
        json!({
            "access_token": "00Dx!AR8", "refresh_token": "5Aep", "instance_url": instance, "token_type": "Bearer",
            "id": "https://login.salesforce.com/id/00Dx/005x", "scope": "refresh_token api", "issued_at": "1278448384422",
        })
    };
    // Whoever could say so would be sent tokens later.
    upstream.will_say(200, said("https://acme.my.salesforce.com.evil.example"));
    let refused = tenant.complete(&completion().await, "alice").await;
    assert_eq!(refused.expect(502).code(), "provider_refused");
    tenant
        .post("/get-access-token", &json!({ "provider": "salesforce", "end_user": "alice" }))
        .await
        .expect(404);

    upstream.will_say(200, said("https://acme.my.salesforce.com"));
    let connection = tenant.complete(&completion().await, "alice").await.expect(201).body;
    assert_eq!(connection["metadata"]["instance_url"], "https://acme.my.salesforce.com");
    let token =
        tenant.post("/get-access-token", &json!({ "provider": "salesforce", "end_user": "alice" })).await;
    let token = token.expect(200).body;
    let left = token["expires_in"].as_u64().expect("a lifetime, although none was said");
    assert!((800..=900).contains(&left), "{token}");
    assert_eq!(token["missing_scopes"], json!([]));
}

#[tokio::test]
async fn github_refuses_with_status_200() {
    let upstream = Upstream::start().await;
    let place = format!("http://{}", upstream.address);
    let changes = [("https://github.com/", &*format!("{place}/")), ("https://api.github.com", &place)];
    let (app, _folder) = app("github", include_str!("../../providers/github.toml"), &changes).await;
    let tenant = Tenant::new(&app).await;
    enable(&tenant, "github", "repo gist", json!({})).await.expect(201);
    let completion = async || {
        let begun = tenant.post("/authorize-github", &json!({ "end_user": "alice" })).await.expect(201);
        let link = begun.text("authorize_url");
        come_back(&mut Browser::new(), &link, &[("code", "c0de")], false).await.expect("a completion")
    };
    upstream
        .will_say(200, json!({ "error": "bad_verification_code", "error_description": "It is incorrect." }));
    let refused = tenant.complete(&completion().await, "alice").await;
    assert_eq!(refused.expect(502).code(), "provider_refused");
    upstream.will_say(200, json!({ "error": "incorrect_client_credentials" }));
    let refused = tenant.complete(&completion().await, "alice").await;
    assert_eq!(refused.expect(422).code(), "integration_misconfigured");

    upstream.will_say(200, json!({ "access_token": "gho_1", "scope": "repo,gist", "token_type": "bearer" }));
    upstream.will_say(200, json!({ "login": "octocat", "id": 583_231 }));
    let connection = tenant.complete(&completion().await, "alice").await.expect(201).body;
    assert_eq!(connection["identity"]["name"], "octocat");
    assert_eq!(
        (&connection["scopes"], &connection["missing_scopes"]),
        (&json!(["repo", "gist"]), &json!([]))
    );
    upstream.asked();
    upstream.will_say(204, json!({}));
    let id = connection["id"].as_str().expect("an id");
    let gone = tenant.delete(&format!("/v1/connections/{id}")).await.expect(200);
    assert_eq!(gone.body["revocation"], "revoked");
    let asked = upstream.asked();
    assert_eq!(asked[0].line, "DELETE /applications/client-1/grant HTTP/1.1");
    assert_eq!(asked[0].body, r#"{"access_token":"gho_1"}"#);
}
