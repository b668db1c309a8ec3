//! Exchanges that go wrong: what the caller hears, whether the completion may be tried again, and that nothing half is kept.

use super::{World, problem};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use serde_json::{Map, Value, json};

/// The status, code and the provider's own word of a refused completion.
struct Heard {
    status: u16,
    code: &'static str,
    provider: Option<&'static str>,
    /// The completion may be used again.
    again: bool,
}

const fn heard(status: u16, code: &'static str, provider: Option<&'static str>, again: bool) -> Heard {
    Heard { status, code, provider, again }
}

const UNAVAILABLE: &str = "provider_unavailable";
const REFUSED: &str = "provider_refused";
const MISCONFIGURED: &str = "integration_misconfigured";

fn answer(status: u16, body: Value) -> Fault {
    Fault::Json { status, body }
}

fn change(members: Value) -> Fault {
    let Value::Object(members) = members else { panic!("an object") };
    Fault::Change(members)
}

/// Completes while a rule stands, checks what is heard, and then again without it.
async fn strike(world: &World, name: &str, rule: Rule, expected: Heard) {
    let control = world.sandbox.control();
    let completion = world.completion(name).await;
    control.fault(rule.times(1));
    let before = world.exchange_requests();
    let answer = world.tenant.complete(&completion, name).await;
    assert_eq!((answer.status, answer.code()), (expected.status, expected.code), "{name}: {answer:?}");
    assert_eq!(answer.body["provider_error"].as_str(), expected.provider, "{name}");
    let waits = answer.headers.get("retry-after").map(|value| value.to_str().expect("ASCII").to_owned());
    assert_eq!(waits.is_some(), expected.status == 503, "{name}: {waits:?}");
    assert_eq!(world.exchange_requests(), before + 1, "{name}: sent once");
    let absent = world.tenant.token(name).await;
    assert_eq!((absent.status, absent.code()), (404, "connection_not_found"), "{name}: nothing half is kept");
    let second = world.tenant.complete(&completion, name).await;
    if expected.again {
        second.expect(201);
        world.tenant.token(name).await.expect(200);
    } else {
        problem(second, 410, "session_expired");
        assert_eq!(world.exchange_requests(), before + 1, "{name}: not sent again");
        assert_eq!(world.tenant.token(name).await.status, 404, "{name}");
    }
}

fn at_token(fault: Fault) -> Rule {
    Rule::new(Endpoint::Token, fault)
}

on_both_stores!(answers_that_were_lost, |stores: Stores| async move {
    let world = World::new(stores).await;
    let lost = || heard(503, UNAVAILABLE, None, false);
    strike(&world, "closed", at_token(Fault::Close), lost()).await;
    strike(&world, "closed after effect", at_token(Fault::Close).after_effect(), lost()).await;
    strike(&world, "huge", at_token(Fault::Huge), lost()).await;
});

on_both_stores!(answers_that_put_off, |stores: Stores| async move {
    let world = World::new(stores).await;
    let later = || heard(503, UNAVAILABLE, None, true);
    strike(&world, "429", at_token(Fault::TooManyRequests("7".to_owned())), later()).await;
    strike(&world, "500", at_token(Fault::ServerError), later()).await;
    strike(&world, "503", at_token(answer(503, json!({}))), later()).await;
    let unavailable = json!({ "error": "temporarily_unavailable" });
    strike(&world, "busy", at_token(answer(400, unavailable)), later()).await;
});

on_both_stores!(a_retry_after_is_handed_on, |stores: Stores| async move {
    let world = World::new(stores).await;
    for (given, expected) in [("17", "17"), ("nonsense", "5"), ("0", "1")] {
        let completion = world.completion("u").await;
        world.sandbox.control().fault(at_token(Fault::TooManyRequests(given.to_owned())).times(1));
        let answer = world.tenant.complete(&completion, "u").await.expect(503);
        assert_eq!(answer.headers["retry-after"], expected);
        assert_eq!(answer.body["retry_after"], expected.parse::<u64>().expect("a number"));
    }
});

on_both_stores!(answers_that_say_no, |stores: Stores| async move {
    let world = World::new(stores).await;
    let refused = |provider| heard(502, REFUSED, Some(provider), false);
    let misconfigured = |provider| heard(422, MISCONFIGURED, Some(provider), false);
    let error = |code: &str| json!({ "error": code });
    let cases = [
        ("grant", answer(400, error("invalid_grant")), refused("invalid_grant")),
        ("200", answer(200, error("invalid_grant")), refused("invalid_grant")),
        ("ok false", answer(200, json!({ "ok": false, "error": "odd" })), refused("odd")),
        ("client", answer(401, error("invalid_client")), misconfigured("invalid_client")),
        ("client 200", answer(200, error("invalid_client")), misconfigured("invalid_client")),
        ("unauthorized", answer(400, error("unauthorized_client")), misconfigured("unauthorized_client")),
        ("403", answer(403, json!({})), refused("http_403")),
        ("html", answer(400, error("<b>\u{1}\n</b>")), refused("<b></b>")),
    ];
    for (name, fault, expected) in cases {
        strike(&world, name, at_token(fault), expected).await;
    }
});

on_both_stores!(answers_that_make_no_sense, |stores: Stores| async move {
    let world = World::new(stores).await;
    let nonsense = || heard(502, REFUSED, Some("unreadable_answer"), false);
    let cases = [
        ("malformed", Fault::Malformed),
        ("redirect", Fault::Redirect(format!("{}/me", world.sandbox.base_url()))),
        ("array", answer(200, json!([]))),
        ("null", answer(200, Value::Null)),
        ("no token", change(json!({ "access_token": null }))),
        ("empty token", change(json!({ "access_token": "" }))),
        ("number", change(json!({ "access_token": 7 }))),
        ("line break", change(json!({ "access_token": "a\r\nx-evil: 1" }))),
        ("long", change(json!({ "access_token": "x".repeat(20_000) }))),
    ];
    for (name, fault) in cases {
        strike(&world, name, at_token(fault), nonsense()).await;
    }
    assert_eq!(world.sandbox.control().counts().me_requests, 0, "a redirect is not followed");
});

on_both_stores!(answers_that_are_odd_and_good, |stores: Stores| async move {
    let world = World::new(stores).await;
    let cases = [
        ("form-encoded", Fault::FormEncoded),
        ("no expires_in", change(json!({ "expires_in": null }))),
        ("text expires_in", change(json!({ "expires_in": "60" }))),
        ("no refresh token", change(json!({ "refresh_token": null }))),
        ("no scope", change(json!({ "scope": null }))),
        ("no token type", change(json!({ "token_type": null }))),
        ("slow", Fault::Delay(300)),
    ];
    for (name, fault) in cases {
        world.sandbox.control().fault(at_token(fault).times(1));
        let connection = world.tenant.connect(name).await;
        let token = world.tenant.token(name).await.expect(200);
        let known = name != "no expires_in";
        assert_eq!(connection["expires_at"].is_string(), known, "{name}");
        assert_eq!(token.body["expires_in"].is_u64(), known, "{name}");
        assert_eq!(token.body["missing_scopes"], json!([]), "{name}");
        assert_eq!(connection["identity"]["name"], "ada", "{name}: the token works");
    }
});

on_both_stores!(fewer_scopes_than_asked_are_told, |stores: Stores| async move {
    let world = World::new(stores).await;
    world.sandbox.control().fault(at_token(change(json!({ "scope": "profile" }))).times(1));
    let connection = world.tenant.connect("u").await;
    assert_eq!(connection["scopes"], json!(["profile"]));
    assert_eq!(connection["missing_scopes"], json!(["offline_access"]));
});

// The grant cannot be had again: a question that fails afterwards costs its answer only.
on_both_stores!(who_was_connected_may_stay_unknown, |stores: Stores| async move {
    let world = World::new(stores).await;
    for (name, fault) in
        [("closed", Fault::Close), ("500", Fault::ServerError), ("malformed", Fault::Malformed)]
    {
        world.sandbox.control().fault(Rule::new(Endpoint::Me, fault).times(2));
        let connection = world.tenant.connect(name).await;
        assert_eq!(connection["identity"], json!({ "id": null, "name": null }), "{name}");
        world.tenant.token(name).await.expect(200);
        world.sandbox.control().reset();
    }
    // Once is asked again.
    world.sandbox.control().fault(Rule::new(Endpoint::Me, Fault::ServerError).times(1));
    assert_eq!(world.tenant.connect("once").await["identity"]["name"], "ada");
});

// A caller that goes away does not stop what it began.
on_both_stores!(a_caller_that_goes_away_loses_nothing, |stores: Stores| async move {
    let world = World::new(stores).await;
    let completion = world.completion("u").await;
    world.sandbox.control().fault(at_token(Fault::Delay(300)).times(1));
    let tenant = world.tenant.clone();
    let asking = tokio::spawn(async move { tenant.complete(&completion, "u").await });
    while world.exchange_requests() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    asking.abort();
    assert!(asking.await.is_err(), "the caller is gone before the answer");
    while world.tenant.token("u").await.status == 404 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.tenant.token("u").await.expect(200);
    assert_eq!(world.exchange_requests(), 1);
});

/// The exchange outlives its request, and its log lines name it all the same.
#[tokio::test]
async fn what_goes_wrong_is_logged_under_its_request() {
    let world = World::on(App::spawn(Stores::Embedded, &[])).await;
    let completion = world.completion("u").await;
    world.sandbox.control().fault(at_token(Fault::ServerError).times(1));
    let answer = world.tenant.complete(&completion, "u").await.expect(503);
    let log = world.app.log();
    let line = log.lines().find(|line| line.contains("put an exchange off")).expect("a line");
    assert!(line.contains(&answer.text("request_id")), "{line}");
    assert!(!log.contains(&completion));
}

/// Members that a provider adds of its own are nobody's business.
#[tokio::test]
async fn further_members_are_left_alone() {
    let world = World::new(Stores::Embedded).await;
    let many: Map<String, Value> = (0..50).map(|n| (format!("x{n}"), json!({ "deep": [n] }))).collect();
    world.sandbox.control().fault(at_token(Fault::Change(many)).times(1));
    assert_eq!(world.tenant.connect("u").await["metadata"], json!({}));
}
