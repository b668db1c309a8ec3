//! Each fault as its victim sees it, and the switchboard.

use super::*;
use futures_util::future::join_all;
use grantkeep::sandbox::{Counts, Endpoint, Fault, Grant, Rule};
use reqwest::Method;
use serde_json::json;
use std::io::{Read, Write};

impl World {
    fn fault(&self, rule: Rule) {
        assert!(self.sandbox.control().fault(rule));
    }

    /// Connects, and refreshes under this fault. The tokens are those before the refresh.
    async fn faulty_refresh(&self, fault: Fault) -> (Tokens, Seen) {
        let tokens = self.connect().await;
        self.fault(Rule::new(Endpoint::Token, fault).times(1));
        let seen = self.refresh(&tokens.refresh).await;
        (tokens, seen)
    }

    fn counts(&self) -> Counts {
        self.sandbox.control().counts()
    }
}

fn change(members: &Value) -> Fault {
    Fault::Change(members.as_object().unwrap().clone())
}

#[tokio::test]
async fn a_closed_connection_says_nothing_and_did_nothing() {
    let world = World::new().await;
    let tokens = world.connect().await;
    world.fault(Rule::new(Endpoint::Token, Fault::Close).times(1));
    let error = world.try_refresh(&tokens.refresh).await.err().unwrap();
    assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
    let counts = world.counts();
    assert_eq!((counts.refresh_requests, counts.refreshes), (1, 0), "the client did not ask again by itself");
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_took_effect() {
    let world = World::rotating(Rotation::Strict).await;
    let tokens = world.connect().await;
    world.fault(Rule::new(Endpoint::Token, Fault::Close).times(1).after_effect());
    assert!(world.try_refresh(&tokens.refresh).await.is_err());
    assert_eq!(world.counts().refreshes, 1);
    assert_eq!(world.refresh(&tokens.refresh).await.refusal(), invalid_grant());
}

#[tokio::test]
async fn not_one_byte_comes_over_a_closed_connection() {
    let world = World::new().await;
    world.fault(Rule::new(Endpoint::Me, Fault::Close).times(1));
    let address = world.sandbox.base_url().trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /me HTTP/1.1\r\nHost: sandbox\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    });
    assert_eq!(answer.await.unwrap(), b"");
}

#[tokio::test]
async fn refusals_take_the_place_of_the_work() {
    let world = World::new().await;
    let answer = |status, body| Fault::Json { status, body };
    let elsewhere = "http://127.0.0.1:1/";
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let cases = [
        (Fault::TooManyRequests("7".to_owned()), 429, "retry-after", "7"),
        (Fault::TooManyRequests(date.to_owned()), 429, "retry-after", date),
        (Fault::ServerError, 500, "content-type", "text/html; charset=utf-8"),
        (Fault::Redirect(elsewhere.to_owned()), 302, "location", elsewhere),
        (
            answer(200, json!({"ok": false, "error": "token_revoked"})),
            200,
            "content-type",
            "application/json",
        ),
        (answer(200, json!({"error": "invalid_grant"})), 200, "content-type", "application/json"),
        (answer(401, json!({"error": "invalid_client"})), 401, "content-type", "application/json"),
        (answer(503, json!({"error": "temporarily_unavailable"})), 503, "cache-control", "no-store"),
    ];
    for (fault, status, header, value) in cases {
        let (tokens, seen) = world.faulty_refresh(fault.clone()).await;
        assert_eq!((seen.status, seen.header(header)), (status, value), "{fault:?}");
        if let Fault::Json { body, .. } = fault {
            assert_eq!(seen.json(), body);
        }
        assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "nothing was spent");
    }
}

#[tokio::test]
async fn a_refusal_may_come_after_the_effect() {
    let world = World::rotating(Rotation::Strict).await;
    let tokens = world.connect().await;
    world.fault(Rule::new(Endpoint::Token, Fault::ServerError).times(1).after_effect());
    assert_eq!(world.refresh(&tokens.refresh).await.status, 500);
    assert_eq!(world.refresh(&tokens.refresh).await.refusal(), invalid_grant());
    assert_eq!(world.counts().reuses, 1);
}

#[tokio::test]
async fn answers_are_spoiled_after_the_work() {
    let world = World::new().await;
    let (_, seen) = world.faulty_refresh(Fault::Malformed).await;
    assert_eq!((seen.status, seen.header(CONTENT_TYPE)), (200, "application/json"));
    assert!(seen.text.starts_with(r#"{"access_token":"#));
    assert!(serde_json::from_str::<Value>(&seen.text).is_err());

    let (_, seen) = world.faulty_refresh(Fault::FormEncoded).await;
    assert_eq!(seen.header(CONTENT_TYPE), FORM);
    let pairs: BTreeMap<_, _> = form_urlencoded::parse(seen.text.as_bytes()).into_owned().collect();
    assert_eq!((pairs["expires_in"].as_str(), pairs["token_type"].as_str()), ("60", "Bearer"));
    assert!(world.alive(&pairs["access_token"]).await);

    let (_, seen) = world.faulty_refresh(Fault::Huge).await;
    assert!(seen.text.len() > 256 * 1024);
    assert!(world.alive(&Tokens::of(&seen).access).await);

    let less = json!({"expires_in": null, "refresh_token": null, "scope": "profile"});
    let (_, seen) = world.faulty_refresh(change(&less)).await;
    let body = seen.json();
    assert!(body.get("expires_in").is_none() && body.get("refresh_token").is_none());
    assert_eq!(body["scope"], "profile");
    assert_eq!(world.counts().refreshes, 4);
}

#[tokio::test]
async fn the_authorization_response_can_be_spoiled_too() {
    let world = World::new().await;
    let decide = async |fault| {
        world.fault(Rule::new(Endpoint::Authorize, fault).times(1));
        world.decide(&world.open(&[]).await, &[]).await.back()
    };
    let wrong = decide(change(&json!({"iss": "https://evil.example"}))).await;
    assert_eq!((wrong["iss"].as_str(), wrong["state"].as_str()), ("https://evil.example", "s&t"));
    let missing = decide(change(&json!({"iss": null}))).await;
    assert!(!missing.contains_key("iss") && missing.contains_key("code") && missing["kept"] == "1");

    world.fault(Rule::new(Endpoint::Authorize, Fault::ServerError).times(1));
    let page = world.open(&[]).await;
    assert_eq!(world.decide(&page, &[]).await.status, 500);
    assert_eq!(world.decide(&page, &[]).await.status, 303, "nothing had happened");
}

#[tokio::test]
async fn late_answers_overlap_and_their_work_is_done() {
    let world = World::rotating(Rotation::None).await;
    let tokens = world.connect().await;
    world.fault(Rule::new(Endpoint::Token, Fault::Delay(3_600_000)).only(Grant::RefreshToken));
    let callers = join_all((0..5).map(|_| world.try_refresh(&tokens.refresh)));
    let all_done = async {
        while world.counts().refreshes < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = callers => panic!("nobody is answered"),
        () = all_done => {}
    }
    let counts = world.counts();
    assert_eq!((counts.peak_refreshes, counts.families[&1].peak_refreshes), (5, 5));
    // The callers are gone, and one after the other the server notices.
    let forgotten = async {
        while world.counts().peak_refreshes > 0 {
            world.sandbox.control().reset();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), forgotten).await.expect("they count as under way no more");
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "the delay is cleared");
}

#[tokio::test]
async fn a_delay_adds_to_another_fault() {
    let world = World::new().await;
    let tokens = world.connect().await;
    world.fault(Rule::new(Endpoint::Me, Fault::Delay(1)).times(1));
    world.fault(Rule::new(Endpoint::Me, Fault::ServerError).times(1));
    assert_eq!(world.me(&tokens.access).await.status, 500);
    assert!(world.alive(&tokens.access).await);
}

#[tokio::test]
async fn faults_come_in_order_where_and_as_often_as_told() {
    let world = World::new().await;
    let tokens = world.connect().await;
    let at_refresh = |fault| Rule::new(Endpoint::Token, fault).only(Grant::RefreshToken);
    world.fault(at_refresh(Fault::ServerError).times(2));
    world.fault(at_refresh(Fault::TooManyRequests("1".to_owned())).times(1));
    world.fault(Rule::new(Endpoint::Revoke, Fault::ServerError));
    let fine = world.connect().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(world.refresh(&tokens.refresh).await.status);
    }
    assert_eq!(seen, [500, 500, 429, 200]);
    for _ in 0..3 {
        assert_eq!(world.post("/revoke", &[("token", &fine.refresh)]).await.status, 500);
    }
    world.sandbox.control().reset();
    assert!(world.alive(&fine.access).await);
    assert_eq!(world.post("/revoke", &[("token", &fine.refresh)]).await.status, 200);
    let counts = world.counts();
    assert_eq!((counts.refreshes, counts.revoke_requests, counts.revocations), (0, 1, 1), "from zero");
}

#[tokio::test]
async fn the_switchboard_over_http() {
    assert_eq!(World::new().await.get("/control").await.status, 404, "closed unless opened");

    let world = World::with(SandboxOptions { control: true, ..SandboxOptions::default() }).await;
    let send = async |method: Method, body: &str| {
        let request = world.http.request(method, world.url("/control"));
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        Seen::of(request).await.unwrap()
    };
    let tokens = world.connect().await;
    let rule = r#"{"fault": {"json": {"status": 400, "body": {"error": "invalid_grant"}}}, "endpoint": "token",
        "times": 1, "only_grant": "refresh_token", "after_effect": false}"#;
    assert_eq!(send(Method::POST, rule).await.status, 204);
    assert_eq!(world.refresh(&tokens.refresh).await.refusal(), invalid_grant());
    assert_eq!(send(Method::POST, r#"{"fault": "close", "endpoint": "me"}"#).await.status, 204);
    assert!(Seen::of(world.http.get(world.url("/me"))).await.is_err());
    assert_eq!(send(Method::POST, r#"{"fault": "set_fire", "endpoint": "me"}"#).await.status, 400);
    assert_eq!(send(Method::PUT, r#"{"access_lifetime": "5s", "rotation": "none"}"#).await.status, 204);
    assert_eq!(send(Method::PUT, r#"{"access_lifetime": 5}"#).await.status, 400);
    assert_eq!(world.refresh(&tokens.refresh).await.json()["expires_in"], 5);

    let counts: Counts = serde_json::from_value(send(Method::GET, "").await.json()).unwrap();
    assert_eq!(counts, world.counts());
    assert_eq!((counts.refresh_requests, counts.refreshes), (2, 1));
    assert_eq!(send(Method::DELETE, "").await.status, 204);
    assert_eq!(world.me("x").await.status, 401, "the fault is cleared");
    assert_eq!(world.counts().refresh_requests, 0);
}
