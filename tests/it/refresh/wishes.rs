//! What a refresh tells besides the token: scopes, and a life that is not known.

use super::*;
use crate::support::redis::RedisServer;
use std::sync::Arc;

fn change(members: &Value) -> Fault {
    Fault::Change(members.as_object().expect("an object").clone())
}

#[tokio::test]
async fn scopes_that_a_refresh_takes_away_are_named() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    let full = stage.token("ada").await.expect(200);
    assert_eq!(
        (&full.body["scopes"], &full.body["missing_scopes"]),
        (&json!(["profile", "offline_access"]), &json!([]))
    );
    stage.strike(change(&json!({ "scope": "profile" })));
    for answer in [stage.forced("ada").await.expect(200), stage.token("ada").await.expect(200)] {
        assert_eq!(
            (&answer.body["scopes"], &answer.body["missing_scopes"]),
            (&json!(["profile"]), &json!(["offline_access"]))
        );
    }
    // An answer that names none means those of before.
    stage.strike(change(&json!({ "scope": null })));
    assert_eq!(stage.forced("ada").await.expect(200).body["missing_scopes"], json!(["offline_access"]));
    assert_eq!(stage.seen(&who).await["missing_scopes"], json!(["offline_access"]));
    assert_eq!(stage.forced("ada").await.expect(200).body["missing_scopes"], json!([]));
}

#[tokio::test]
async fn scopes_that_the_end_user_unticked_are_named() {
    use crate::support::browser::Browser;
    use crate::support::tenant::{HOME, arrive};
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let link = stage.tenant.begin("ada").await;
    let mut browser = Browser::new();
    let page = arrive(&mut browser, &link).await;
    let mut form = page.form().press("allow");
    form.fields.retain(|(_, value)| value != "offline_access");
    let page = browser.send(&page, &form).await;
    let back = browser.follow(page, HOME).await;
    let connection =
        stage.tenant.complete(&back.parameter("completion").expect("it"), "ada").await.expect(201);
    assert_eq!(connection.body["missing_scopes"], json!(["offline_access"]));
    assert_eq!(stage.token("ada").await.expect(200).body["missing_scopes"], json!(["offline_access"]));
}

#[tokio::test]
async fn a_life_that_nobody_names_is_without_end_unless_the_file_knows() {
    let assumed = Mode { file: "rotation = \"strict\"\nassumed_lifetime = \"10m\"", ..STRICT };
    for (mode, seconds) in [(STRICT, None), (assumed, Some(600))] {
        let stage = Stage::new(Stores::Embedded, mode, &[]).await;
        stage.connect("ada", LONG).await;
        stage.strike(change(&json!({ "expires_in": null })));
        let answer = stage.forced("ada").await.expect(200);
        let life = answer.body["expires_in"].as_u64();
        assert_eq!(life.map(|life| life.div_ceil(10) * 10), seconds, "{answer:?}");
        assert_eq!(stage.token("ada").await.expect(200).body["refresh"]["state"], "fresh");
    }
}

#[tokio::test]
async fn a_grant_without_a_refresh_token_lives_as_long_as_its_token() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let rule = Rule::new(Endpoint::Token, change(&json!({ "refresh_token": null }))).times(1);
    assert!(stage.sandbox.control().fault(rule.only(Grant::AuthorizationCode)));
    let who = stage.connect("ada", SHORT).await;
    assert_eq!(stage.token("ada").await.expect(200).body["refresh"]["state"], "none");
    stage.expire(&who).await;
    let answer = stage.token("ada").await.expect(409);
    assert_eq!(
        (answer.code(), &answer.body["reason"]),
        ("reauthorization_required", &"refresh_token_expired".into())
    );
    assert_eq!(stage.counts().refresh_requests, 0);
}

/// The store took a claim and nothing since: the new tokens are here alone, and a wish that they do not meet brings no older one.
#[tokio::test]
async fn a_wish_that_cannot_be_met_gets_what_only_this_server_has() {
    let redis = Arc::new(RedisServer::start(&[]));
    let settings = [("audit.handouts", "off"), ("refresh.wait", "1s")];
    let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, &settings).await;
    stage.connect("ada", LONG).await;
    stage.strike(Fault::Delay(500));
    let (forced, ()) = tokio::join!(stage.forced("ada"), async {
        until("the refresh is under way", async || stage.counts().refreshes == 1).await;
        redis.say::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    });
    let newest = forced.expect(200).text("access_token");
    assert_eq!(stage.token("ada").await.expect(200).text("access_token"), newest);
    let wished = ask(&stage.tenant, "ada", &json!({ "min_ttl": 7200 })).await.expect(200);
    assert_eq!(wished.text("access_token"), newest);
}
