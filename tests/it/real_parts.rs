//! The real parts that other tests stand on: each is there, does what those tests take for granted, and goes away.

use crate::support::browser::{Browser, Page, http};
use crate::support::html::Form;
use crate::support::oidc::{OidcProvider, Registered};
use crate::support::redis::RedisServer;
use crate::support::smtp::SmtpServer;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use grantkeep::crypto::hash::sha256;
use lettre::{Message, SmtpTransport, Transport};
use serde_json::Value;
use std::net::TcpStream;
use url::Url;

#[test]
fn redis_counts_what_it_was_asked() {
    let server = RedisServer::start(&["--maxmemory", "64mb"]);
    server.say::<()>(&["CONFIG", "RESETSTAT"]);
    server.say::<()>(&["HSET", "gk:{t}:tenant", "v", "1"]);
    for _ in 0..3 {
        assert_eq!(server.say::<String>(&["HGET", "gk:{t}:tenant", "v"]), "1");
    }
    let calls = server.calls();
    assert_eq!((calls.get("hget"), calls.get("hset"), calls.get("get")), (Some(&3), Some(&1), None));
    let memory: Vec<String> = server.say(&["CONFIG", "GET", "maxmemory"]);
    assert_eq!(memory[1], "67108864");
}

#[test]
fn redis_is_shared_and_goes_away() {
    let (one, two) = (RedisServer::shared(), RedisServer::shared());
    assert_eq!(one.port(), two.port());
    let own = RedisServer::start(&[]);
    let port = own.port();
    assert_ne!(port, one.port());
    let Err(said) = RedisServer::start_on(port, &[]) else { panic!("the port is taken") };
    assert!(said.contains("Address already in use"), "{said}");
    drop(own);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody is left at the port");
}

#[tokio::test]
async fn the_mail_server_keeps_what_it_was_given() {
    let server = SmtpServer::start();
    let text =
        "Grüße!\nPlease follow\nhttps://grantkeep.example/verify-email?token=abc_DEF-123\nwithin a day.";
    let mail = Message::builder()
        .from("Grantkeep <no-reply@grantkeep.example>".parse().unwrap())
        .to("ada@customer.example".parse().unwrap())
        .subject("Bestätigen")
        .body(text.to_owned())
        .unwrap();
    SmtpTransport::from_url(&server.url()).unwrap().build().send(&mail).unwrap();
    let came = server.mail_to("ada@customer.example").await;
    assert_eq!((came.from.as_str(), came.subject.as_str()), ("no-reply@grantkeep.example", "Bestätigen"));
    assert_eq!(came.text.replace("\r\n", "\n").trim_end(), text);
    assert_eq!(came.link().as_str(), "https://grantkeep.example/verify-email?token=abc_DEF-123");
}

#[test]
fn a_form_is_read_as_a_browser_reads_it() {
    let page = r#"<p><input name="stray"><form method=POST action="../go?a=1&amp;b=2"><input type=hidden name="csrf"
        value="x&quot;y"><input name=login><input type=checkbox name=no><input type=checkbox name=yes value=1 checked>
        <button name="answer" value="allow">Allow</button><button name="answer" value="deny">Deny</button></form>"#;
    let forms = Form::all(page, &Url::parse("https://a.example/x/y/z").unwrap());
    assert_eq!(forms.len(), 1);
    let form = forms[0].clone().fill("login", "ada").press("deny");
    assert!(form.post);
    assert_eq!(form.action.as_str(), "https://a.example/x/go?a=1&b=2");
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("csrf", "x\"y"), ("yes", "1"), ("login", "ada"), ("answer", "deny")]);
}

const BACK: &str = "http://127.0.0.1:9/authorization-success/tenant/oidc";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-in-all";

/// What a client asks of the token endpoint, and the answer.
async fn post(issuer: &str, path: &str, client: &Registered, fields: &[(&str, &str)]) -> (u16, Value) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let basic = BASE64_STANDARD.encode(format!("{}:{}", client.client_id, client.client_secret));
    let request = http().post(format!("{issuer}{path}")).header("authorization", format!("Basic {basic}"));
    let answer =
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

async fn me(issuer: &str, token: &Value) -> u16 {
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    http().get(format!("{issuer}/me")).header("authorization", bearer).send().await.unwrap().status().as_u16()
}

async fn refresh(issuer: &str, client: &Registered, token: &Value) -> (u16, Value) {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())];
    post(issuer, "/token", client, &fields).await
}

/// Logs in, consents, and comes back with a code.
async fn authorize(browser: &mut Browser, issuer: &str, client: &Registered, challenge: &str) -> Page {
    let mut url = Url::parse(&format!("{issuer}/auth?response_type=code&prompt=consent&state=s1")).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", client.client_id.as_str()),
        ("redirect_uri", BACK),
        ("scope", "openid offline_access profile"),
    ]);
    if !challenge.is_empty() {
        url.query_pairs_mut()
            .extend_pairs([("code_challenge", challenge), ("code_challenge_method", "S256")]);
    }
    let mut page = browser.get(url.as_str()).await;
    page = browser.follow(page, BACK).await;
    while page.location().is_none() {
        let form = page.form().fill("login", "ada").fill("password", "whatever");
        page = browser.send(&page, &form).await;
        page = browser.follow(page, BACK).await;
    }
    page
}

#[tokio::test]
async fn the_certified_provider_is_strict() {
    let provider = OidcProvider::start(5);
    let issuer = provider.issuer();
    let client = provider.register(BACK).await;
    let mut browser = Browser::new();

    let refused = authorize(&mut browser, issuer, &client, "").await;
    assert_eq!(refused.parameter("error").as_deref(), Some("invalid_request"), "PKCE is required");

    let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
    let back = authorize(&mut browser, issuer, &client, &challenge).await;
    assert_eq!(back.parameter("iss").as_deref(), Some(issuer));
    assert_eq!(back.parameter("state").as_deref(), Some("s1"));
    assert!(!browser.cookies_for(&issuer.parse().unwrap()).is_empty(), "it remembers who logged in");

    let code = back.parameter("code").unwrap();
    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    let (status, first) = post(issuer, "/token", &client, &exchange).await;
    assert_eq!((status, first["expires_in"].as_u64()), (200, Some(5)), "{first}");
    assert_eq!(me(issuer, &first["access_token"]).await, 200);

    let (status, second) = refresh(issuer, &client, &first["refresh_token"]).await;
    assert_eq!(status, 200, "{second}");
    assert_ne!(first["refresh_token"], second["refresh_token"], "it rotates");

    let revoke = [("token", second["refresh_token"].as_str().unwrap())];
    assert_eq!(post(issuer, "/token/revocation", &client, &revoke).await.0, 200);
    assert_eq!(me(issuer, &second["access_token"]).await, 401, "the grant is gone");
    let (status, fault) = refresh(issuer, &client, &second["refresh_token"]).await;
    assert_eq!((status, &fault["error"]), (400, &Value::from("invalid_grant")));
}
