//! What follows a failed refresh, by what the provider said and by how it rotates.

use super::*;

/// Longer than any case takes.
const NOT_NOW: &[(&str, &str)] = &[("refresh.backoff_min", "5m"), ("refresh.backoff_max", "5m")];

#[tokio::test]
async fn retry_after_is_respected_in_both_forms() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    let later = SystemClock::new().now().plus(Duration::from_mins(2)).as_millis() / 1000;
    let later = time::OffsetDateTime::from_unix_timestamp(later).expect("a time");
    let date = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    for after in ["120".to_owned(), later.format(date).expect("a date")] {
        let who = stage.connect(&format!("user {after}"), SHORT).await;
        stage.expire(&who).await;
        stage.strike(Fault::TooManyRequests(after.clone()));
        for _ in 0..3 {
            let answer = stage.token(&who.user).await.expect(503);
            assert_eq!(answer.code(), "provider_unavailable");
            let seconds: u64 =
                answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
            assert!((100..=120).contains(&seconds), "{after}: {seconds}");
        }
        assert_eq!(stage.family(&who).refresh_requests, 1, "{after}: not asked again before its time");
    }
    stage.strike(Fault::TooManyRequests("120".to_owned()));
    for _ in 0..3 {
        let answer = stage.forced(&who.user).await.expect(200);
        assert_eq!(
            (answer.text("access_token"), &answer.body["refresh"]["state"]),
            (who.token.clone(), &"failing".into())
        );
    }
    assert_eq!(stage.family(&who).refresh_requests, 1, "who insists does not hurry it");
}

#[tokio::test]
async fn a_short_retry_after_does_not_shorten_the_pause() {
    let stage = Stage::new(Stores::Embedded, STRICT, NOT_NOW).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike(Fault::TooManyRequests("0".to_owned()));
    for _ in 0..3 {
        assert_eq!(stage.forced(&who.user).await.expect(200).body["refresh"]["state"], "failing");
    }
    assert_eq!(stage.family(&who).refresh_requests, 1);
}

#[tokio::test]
async fn a_client_that_is_refused_ends_no_connection() {
    let pause = [("refresh.backoff_min", "2s"), ("refresh.backoff_max", "2s")];
    let stage = Stage::new(Stores::Embedded, STRICT, &pause).await;
    let all = [stage.connect("ada", SHORT).await, stage.connect("bob", SHORT).await];
    stage.rule(Rule::new(
        Endpoint::Token,
        Fault::Json { status: 401, body: json!({ "error": "invalid_client" }) },
    ));
    for who in &all {
        stage.expire(who).await;
        for _ in 0..2 {
            let answer = stage.token(&who.user).await.expect(422);
            assert_eq!(
                (answer.code(), &answer.body["provider_error"]),
                ("integration_misconfigured", &"invalid_client".into())
            );
        }
        assert_eq!(stage.family(who).refresh_requests, 1, "asked once, told twice");
        assert_eq!(stage.seen(who).await["status"], "failing");
    }
    stage.sandbox.control().reset();
    for who in &all {
        stage.rest(who).await;
        assert!(stage.works(&stage.token(&who.user).await.expect(200).text("access_token")).await);
    }
}

/// Loses the answer to a refresh of a token that has expired; what the next try comes to.
async fn after_a_lost_answer(mode: Mode) -> (Stage, Connected, Answer) {
    let stage = Stage::new(Stores::Embedded, mode, &[]).await;
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    stage.strike_after(Fault::Close);
    stage.token(&who.user).await.expect(503);
    assert_eq!(stage.family(&who).refreshes, 1, "it took effect");
    stage.rest(&who).await;
    let next = stage.token(&who.user).await;
    (stage, who, next)
}

#[tokio::test]
async fn a_lost_answer_costs_nothing_where_nothing_is_spent() {
    let (stage, who, next) = after_a_lost_answer(NONE).await;
    assert!(stage.works(&next.expect(200).text("access_token")).await);
    assert_eq!(stage.seen(&who).await["status"], "active");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_within_the_grace() {
    let (stage, who, next) = after_a_lost_answer(GRACE).await;
    assert!(stage.works(&next.expect(200).text("access_token")).await);
    assert!(stage.family(&who).alive);
    // The successor is held now: it goes on after the grace too.
    let again = stage.forced(&who.user).await.expect(200);
    assert_eq!(again.body["refresh"]["state"], "refreshed");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_at_most_once_more_where_that_could_do_harm() {
    let (stage, who, next) = after_a_lost_answer(STRICT).await;
    assert_eq!(next.expect(409).body["reason"], "refresh_outcome_unknown");
    assert_eq!(stage.family(&who).most_requests_of_one_token, 2, "it was tried");
    let (stage, who, next) = after_a_lost_answer(CAREFUL).await;
    assert_eq!(next.expect(409).body["reason"], "refresh_outcome_unknown");
    let family = stage.family(&who);
    assert_eq!((family.most_requests_of_one_token, family.alive), (1, true), "it was not tried");
}

#[tokio::test]
async fn a_grace_that_has_passed_is_not_tried_where_that_is_not_wanted() {
    let mode = Mode { file: "rotation = \"grace\"\ngrace = \"1ms\"\non_unknown = \"reauthorize\"", ..GRACE };
    let (stage, who, next) = after_a_lost_answer(mode).await;
    assert_eq!(next.expect(409).body["reason"], "refresh_outcome_unknown");
    assert_eq!(stage.family(&who).refresh_requests, 1);
}

/// What was lost once is no excuse later: a success wipes the slate.
#[tokio::test]
async fn a_doubt_ends_with_the_next_success() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    for fault in [Fault::Close, Fault::ServerError] {
        stage.strike(fault);
        assert_eq!(stage.forced("ada").await.expect(200).body["refresh"]["state"], "failing");
        stage.rest(&who).await;
        assert_eq!(stage.forced("ada").await.expect(200).body["refresh"]["state"], "refreshed");
    }
    stage.strike(Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) });
    assert_eq!(stage.forced("ada").await.expect(409).body["reason"], "revoked");
    // The way back: the end user connects again, and the connection keeps its id.
    let back = stage.tenant.connect("ada").await;
    assert_eq!((&back["id"], &back["status"]), (&who.id.clone().into(), &"active".into()));
    assert_eq!(back["generation"], 4);
    stage.token("ada").await.expect(200);
}

#[tokio::test]
async fn the_refresh_token_before_is_used_after_a_refusal_only() {
    let stage = Stage::new(Stores::Embedded, GRACE, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.forced("ada").await.expect(200);
    stage.forced("ada").await.expect(200);
    assert_eq!(stage.family(&who).most_requests_of_one_token, 1, "never without a reason");
    // The provider forgot the newest token, as some do that answer before they have stored it everywhere.
    stage.strike(Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) });
    let answer = stage.forced("ada").await.expect(200);
    assert_eq!(answer.body["refresh"]["state"], "refreshed");
    assert!(stage.works(&answer.text("access_token")).await);
    let family = stage.family(&who);
    assert_eq!((family.refresh_requests, family.most_requests_of_one_token, family.alive), (4, 2, true));
    // Once, and then it is final.
    stage.rule(Rule::new(
        Endpoint::Token,
        Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) },
    ));
    assert_eq!(stage.forced("ada").await.expect(409).body["reason"], "revoked");
    assert!(stage.family(&who).refresh_requests <= 6);
}

#[tokio::test]
async fn a_token_that_a_lost_refresh_may_have_killed_is_called_unverified() {
    for (file, rotation) in [
        ("rotation = \"strict\"\nold_access = \"killed\"", Rotation::Strict),
        ("rotation = \"none\"\nold_access = \"killed\"", Rotation::None),
    ] {
        let stage = Stage::new(Stores::Embedded, Mode { file, rotation }, NOT_NOW).await;
        let who = stage.connect("ada", LONG).await;
        stage.strike_after(Fault::Close);
        let answer = stage.forced("ada").await.expect(200);
        assert_eq!(
            (answer.text("access_token"), &answer.body["refresh"]["state"]),
            (who.token.clone(), &"unverified".into()),
            "{file}"
        );
        assert_eq!(stage.token("ada").await.expect(200).body["refresh"]["state"], "unverified", "{file}");
    }
}

/// The grace of a spent token began when it was first sent, also where the answer to that was lost.
#[tokio::test]
async fn a_grace_is_not_counted_from_the_second_try() {
    let mode = Mode { file: "rotation = \"grace\"\ngrace = \"2s\"", ..GRACE };
    let stage = Stage::new(Stores::Embedded, mode, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike_after(Fault::Close);
    let clock = SystemClock::new();
    let spent_at = clock.monotonic();
    assert_eq!(stage.forced("ada").await.expect(200).body["refresh"]["state"], "failing");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(stage.forced("ada").await.expect(200).body["refresh"]["state"], "refreshed");
    tokio::time::sleep((spent_at + Duration::from_millis(2300)).saturating_sub(clock.monotonic())).await;
    stage.strike(Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) });
    assert_eq!(stage.forced("ada").await.expect(409).body["reason"], "revoked");
    let family = stage.family(&who);
    assert_eq!(
        (family.refresh_requests, family.reuses, family.alive),
        (3, 0, true),
        "the spent token was not sent again"
    );
}

#[tokio::test]
async fn a_refresh_token_is_not_sent_for_another_client() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", SHORT).await;
    let host = stage.sandbox.base_url().trim_start_matches("http://").to_owned();
    let enable = async |client_id: &str, secret: &str| {
        let body = json!({
            "provider": "sandbox", "client_id": client_id, "client_secret": secret,
            "scopes": ["profile", "offline_access"], "redirect_url": crate::support::tenant::HOME,
            "variables": { "host": host },
        });
        stage.tenant.post("/enable-provider", &body).await.expect(200);
    };
    enable("another-client", "another-secret").await;
    stage.expire(&who).await;
    let answer = stage.token("ada").await.expect(409);
    assert_eq!(
        (answer.code(), &answer.body["reason"]),
        ("reauthorization_required", &"integration_changed".into())
    );
    assert_eq!(stage.counts().refresh_requests, 0);
    // Put back, nothing is lost.
    enable("sandbox-client", "sandbox-secret").await;
    assert!(stage.works(&stage.token("ada").await.expect(200).text("access_token")).await);
}

#[tokio::test]
async fn a_refresh_token_past_its_known_life_is_not_sent() {
    let file = "rotation = \"strict\"\n\n[token.response]\nrefresh_expires_in = \"/refresh_expires_in\"";
    let stage = Stage::new(Stores::Embedded, Mode { file, ..STRICT }, &[]).await;
    let change = json!({ "refresh_expires_in": 1 }).as_object().expect("an object").clone();
    assert!(stage.sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Change(change)).times(1)));
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    let answer = stage.token("ada").await.expect(409);
    assert_eq!(
        (answer.code(), &answer.body["reason"]),
        ("reauthorization_required", &"refresh_token_expired".into())
    );
    assert_eq!(
        (stage.counts().refresh_requests, stage.seen(&who).await["status"].as_str()),
        (0, Some("reauthorization_required"))
    );
}
