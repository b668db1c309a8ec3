//! Every fault of the sandbox at the token endpoint, while the token still lives and when it does not, and what the next
//! try makes of it. At a provider that rotates strictly, where a lost answer hurts most.

use super::*;
use std::mem::discriminant;

/// What a refresh comes to.
#[derive(Clone, Copy)]
enum Outcome {
    /// The answer is good enough.
    Refreshed,
    /// What `refresh.error` says while the token lives, and the refusal when it does not.
    Fails(&'static str, u16, &'static str),
    /// It is final at once: the reason.
    Ends(&'static str),
}

/// What the next try comes to.
#[derive(Clone, Copy)]
enum Next {
    Recovers,
    /// The refresh token was spent unseen: the reason.
    Ends(&'static str),
}

pub(super) struct Case {
    fault: Fault,
    after_effect: bool,
    outcome: Outcome,
    next: Next,
}

const SPENT_UNSEEN: Next = Next::Ends("refresh_outcome_unknown");
const BUSY: Outcome = Outcome::Fails("http_429", 503, "provider_unavailable");
const BROKEN: Outcome = Outcome::Fails("http_500", 503, "provider_unavailable");
const LOST: Outcome = Outcome::Fails("answer_lost", 503, "provider_unavailable");
const NONSENSE: Outcome = Outcome::Fails("unreadable_answer", 503, "provider_unavailable");

fn json(status: u16, body: Value) -> Fault {
    Fault::Json { status, body }
}

fn change(members: Value) -> Fault {
    let Value::Object(members) = members else { panic!("members") };
    Fault::Change(members)
}

fn before(fault: Fault, outcome: Outcome, next: Next) -> Case {
    Case { fault, after_effect: false, outcome, next }
}

/// A lost answer: whatever the outcome looks like, the refresh token is spent.
fn after(fault: Fault, outcome: Outcome) -> Case {
    Case { fault, after_effect: true, outcome, next: SPENT_UNSEEN }
}

pub(super) fn cases() -> Vec<Case> {
    let elsewhere = || Fault::Redirect("http://127.0.0.1:1/token".to_owned());
    let refused = |code: &'static str, status, word| Outcome::Fails(code, status, word);
    let fine = |fault| before(fault, Outcome::Refreshed, Next::Recovers);
    vec![
        before(Fault::Close, LOST, Next::Recovers),
        after(Fault::Close, LOST),
        before(Fault::TooManyRequests("0".to_owned()), BUSY, Next::Recovers),
        after(Fault::TooManyRequests("0".to_owned()), BUSY),
        before(Fault::ServerError, BROKEN, Next::Recovers),
        after(Fault::ServerError, BROKEN),
        before(elsewhere(), NONSENSE, Next::Recovers),
        after(elsewhere(), NONSENSE),
        before(
            json(400, json!({ "error": "invalid_grant" })),
            Outcome::Ends("revoked"),
            Next::Ends("revoked"),
        ),
        before(
            json(200, json!({ "error": "invalid_grant" })),
            Outcome::Ends("revoked"),
            Next::Ends("revoked"),
        ),
        before(
            json(401, json!({ "error": "invalid_client" })),
            refused("invalid_client", 422, "integration_misconfigured"),
            Next::Recovers,
        ),
        before(
            json(400, json!({ "error": "invalid_scope" })),
            refused("invalid_scope", 502, "provider_refused"),
            Next::Recovers,
        ),
        before(
            json(200, json!({ "ok": false, "error": "token_revoked" })),
            refused("token_revoked", 502, "provider_refused"),
            Next::Recovers,
        ),
        before(json(403, json!({})), refused("http_403", 502, "provider_refused"), Next::Recovers),
        before(
            json(400, json!({ "error": "temporarily_unavailable" })),
            refused("http_400", 503, "provider_unavailable"),
            Next::Recovers,
        ),
        before(json(200, json!({})), NONSENSE, Next::Recovers),
        after(json(200, json!([])), NONSENSE),
        fine(Fault::Delay(50)),
        fine(Fault::FormEncoded),
        fine(change(json!({ "scope": null, "token_type": null }))),
        fine(change(json!({ "expires_in": "3600" }))),
        // Later than the two seconds that a request may take.
        before(Fault::Delay(2500), LOST, SPENT_UNSEEN),
        // These spoil an answer whose work was done.
        after(change(json!({ "access_token": null })), NONSENSE),
        after(Fault::Malformed, NONSENSE),
        after(Fault::Huge, LOST),
        after(Fault::Vast, LOST),
        after(Fault::Bomb, LOST),
        after(Fault::Cut, LOST),
        // Some hundred bytes take longer than two seconds.
        after(Fault::Drip(50), LOST),
    ]
}

/// One fault after another, each once. A new fault without an arm does not compile; one that is in no case is caught below.
fn successor(of: Option<&Fault>) -> Option<Fault> {
    Some(match of {
        None => Fault::Close,
        Some(Fault::Close) => Fault::TooManyRequests(String::new()),
        Some(Fault::TooManyRequests(_)) => Fault::ServerError,
        Some(Fault::ServerError) => json(0, Value::Null),
        Some(Fault::Json { .. }) => Fault::Redirect(String::new()),
        Some(Fault::Redirect(_)) => Fault::Delay(0),
        Some(Fault::Delay(_)) => change(json!({})),
        Some(Fault::Change(_)) => Fault::Malformed,
        Some(Fault::Malformed) => Fault::FormEncoded,
        Some(Fault::FormEncoded) => Fault::Huge,
        Some(Fault::Huge) => Fault::Vast,
        Some(Fault::Vast) => Fault::Bomb,
        Some(Fault::Bomb) => Fault::Drip(0),
        Some(Fault::Drip(_)) => Fault::Cut,
        Some(Fault::Cut) => return None,
    })
}

#[test]
fn every_fault_has_a_case() {
    let cases = cases();
    let mut fault = successor(None);
    while let Some(one) = fault {
        let kind = discriminant(&one);
        assert!(cases.iter().any(|case| discriminant(&case.fault) == kind), "{one:?} has no case");
        fault = successor(Some(&one));
    }
}

impl Case {
    pub fn strikes(&self, stage: &Stage) {
        let rule = Rule::new(Endpoint::Token, self.fault.clone()).times(1);
        stage.rule(if self.after_effect { rule.after_effect() } else { rule });
    }

    /// What the next caller after the pause finds.
    async fn next(&self, stage: &Stage, who: &Connected, further: &Value) {
        stage.rest(who).await;
        let next = ask(&stage.tenant, &who.user, further).await;
        let what = format!("{:?}, after effect: {}: {next:?}", self.fault, self.after_effect);
        let asked = stage.family(who).refresh_requests;
        match self.next {
            Next::Recovers => {
                assert_eq!(
                    (next.status, next.body["refresh"]["state"].as_str()),
                    (200, Some("refreshed")),
                    "{what}"
                );
                assert!(stage.works(&next.text("access_token")).await, "{what}");
                let seen = stage.seen(who).await;
                assert_eq!(
                    (&seen["status"], &seen["last_error"]),
                    (&"active".into(), &Value::Null),
                    "{what}"
                );
            }
            Next::Ends(reason) => {
                assert_eq!((next.status, next.body["reason"].as_str()), (409, Some(reason)), "{what}");
                assert_eq!(next.code(), "reauthorization_required", "{what}");
                let again = stage.token(&who.user).await.expect(409);
                assert_eq!(again.body["reason"], reason, "{what}");
                assert_eq!(
                    stage.family(who).refresh_requests,
                    asked,
                    "what is final is not asked again: {what}"
                );
                assert_eq!(stage.seen(who).await["status"], "reauthorization_required", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn while_the_token_lives() {
    let stage = Stage::new(Stores::Embedded, STRICT, HASTY).await;
    for (number, case) in cases().iter().enumerate() {
        let who = stage.connect(&format!("user {number}"), LONG).await;
        case.strikes(&stage);
        let answer = stage.forced(&who.user).await;
        let what = format!("{:?}, after effect: {}: {answer:?}", case.fault, case.after_effect);
        assert_eq!(stage.family(&who).refresh_requests, 1, "{what}");
        let refresh = &answer.body["refresh"];
        match case.outcome {
            Outcome::Refreshed => {
                assert_eq!((answer.status, refresh["state"].as_str()), (200, Some("refreshed")), "{what}");
                assert_ne!(answer.text("access_token"), who.token, "{what}");
                assert!(stage.works(&answer.text("access_token")).await, "{what}");
            }
            Outcome::Fails(error, ..) => {
                assert_eq!((answer.status, refresh["state"].as_str()), (200, Some("failing")), "{what}");
                assert_eq!(
                    (refresh["error"].as_str(), &answer.body["generation"]),
                    (Some(error), &1.into()),
                    "{what}"
                );
                assert!(refresh["retry_at"].is_string(), "{what}");
                assert_eq!(answer.text("access_token"), who.token, "{what}");
                let seen = stage.seen(&who).await;
                assert_eq!(
                    (seen["status"].as_str(), seen["last_error"].as_str()),
                    (Some("failing"), Some(error)),
                    "{what}"
                );
                // Who does not insist hears of it, and is given the token all the same.
                let plain = stage.token(&who.user).await.expect(200);
                assert_eq!(plain.body["refresh"]["state"], "failing", "{what}");
            }
            Outcome::Ends(reason) => {
                assert_eq!((answer.status, answer.body["reason"].as_str()), (409, Some(reason)), "{what}");
            }
        }
        case.next(&stage, &who, &json!({ "force_refresh": true })).await;
    }
    assert!(stage.app.stop().await, "nothing was left undone");
}

#[tokio::test]
async fn when_the_token_has_expired() {
    let stage = Stage::new(Stores::Embedded, STRICT, HASTY).await;
    let cases = cases();
    let mut connected = Vec::new();
    for number in 0..cases.len() {
        connected.push(stage.connect(&format!("user {number}"), SHORT).await);
    }
    for (case, who) in cases.iter().zip(&connected) {
        stage.expire(who).await;
        case.strikes(&stage);
        let answer = stage.token(&who.user).await;
        let what = format!("{:?}, after effect: {}: {answer:?}", case.fault, case.after_effect);
        match case.outcome {
            Outcome::Refreshed => {
                assert_eq!(
                    (answer.status, &answer.body["refresh"]["state"]),
                    (200, &"refreshed".into()),
                    "{what}"
                );
                // Not asked again: it is new.
                assert_eq!(
                    stage.token(&who.user).await.expect(200).body["refresh"]["state"],
                    "fresh",
                    "{what}"
                );
                assert_eq!(stage.family(who).refresh_requests, 1, "{what}");
                continue;
            }
            Outcome::Fails(error, status, code) => {
                assert_eq!((answer.status, answer.code()), (status, code), "{what}");
                if status == 503 {
                    assert!(answer.headers.contains_key("retry-after"), "{what}");
                } else {
                    assert_eq!(answer.body["provider_error"], error, "{what}");
                }
                assert_eq!(stage.seen(who).await["status"], "failing", "{what}");
            }
            Outcome::Ends(reason) => {
                assert_eq!((answer.status, answer.body["reason"].as_str()), (409, Some(reason)), "{what}");
                assert_eq!(answer.body["connection"], who.id.as_str(), "{what}");
            }
        }
        case.next(&stage, who, &json!({})).await;
    }
}
