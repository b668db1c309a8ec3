//! What became of a session, asked by its public id.

use super::{World, problem, shown};
use crate::accounts::with_key;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, Page};
use crate::support::clock::Ahead;
use crate::support::tenant::{Answer, Tenant, agree, arrive};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use insta::assert_snapshot;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// A session's public id, and its link.
async fn begin(tenant: &Tenant, end_user: &str) -> (String, String) {
    let begun = tenant.post("/authorize-sandbox", &json!({ "end_user": end_user })).await.expect(201);
    (begun.text("session"), begun.text("authorize_url"))
}

async fn ask(tenant: &Tenant, session: &str) -> Answer {
    tenant.get(&format!("/v1/sessions/{session}")).await
}

async fn status(tenant: &Tenant, session: &str) -> String {
    ask(tenant, session).await.expect(200).text("status")
}

/// Goes as far as the provider's page and presses a button there; the answer of ours that it leads to.
async fn press(link: &str, button: &str) -> Page {
    let mut browser = Browser::new();
    let page = arrive(&mut browser, link).await;
    let back = browser.send(&page, &page.form().press(button)).await.location().expect("it goes back");
    browser.get(back.as_str()).await
}

on_both_stores!(from_pending_to_completed, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let (session, link) = begin(tenant, "u").await;
    assert_snapshot!(shown(&ask(tenant, &session).await), @r#"200 {"account":"","code":null,"connection":null,"end_user":"u","expires_at":"<time>","provider":"sandbox","session":"<id>","status":"pending"}"#);
    Browser::new().get(&link).await;
    assert_eq!(status(tenant, &session).await, "pending", "opening it changes nothing");
    let back = agree(&mut Browser::new(), &link).await;
    assert_eq!(status(tenant, &session).await, "returned");
    world.sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Delay(300)));
    let completion = back.parameter("completion").expect("a completion");
    let (completed, ()) = tokio::join!(tenant.complete(&completion, "u"), async {
        while world.sandbox.control().counts().exchange_requests == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(status(tenant, &session).await, "exchanging");
    });
    let done = ask(tenant, &session).await;
    assert_eq!(done.text("connection"), completed.expect(201).text("id"));
    assert_snapshot!(shown(&done), @r#"200 {"account":"","code":null,"connection":"<id>","end_user":"u","expires_at":"<time>","provider":"sandbox","session":"<id>","status":"completed"}"#);
});

on_both_stores!(other_ends, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let (denied, link) = begin(tenant, "u").await;
    press(&link, "deny").await;
    assert_snapshot!(shown(&ask(tenant, &denied).await), @r#"200 {"account":"","code":null,"connection":null,"end_user":"u","expires_at":"<time>","provider":"sandbox","session":"<id>","status":"denied"}"#);
    let (failed, link) = begin(tenant, "u").await;
    let changes = json!({ "code": null, "error": "server_error" });
    let fault = Fault::Change(changes.as_object().expect("an object").clone());
    world.sandbox.control().fault(Rule::new(Endpoint::Authorize, fault).times(1));
    press(&link, "allow").await;
    assert_snapshot!(shown(&ask(tenant, &failed).await), @r#"200 {"account":"","code":"provider_refused","connection":null,"end_user":"u","expires_at":"<time>","provider":"sandbox","session":"<id>","status":"failed"}"#);
    let (mismatch, link) = begin(tenant, "u").await;
    let completion = agree(&mut Browser::new(), &link).await.parameter("completion").expect("a completion");
    tenant.complete(&completion, "somebody else").await.expect(409);
    assert_eq!(ask(tenant, &mismatch).await.expect(200).body["code"], "end_user_mismatch");
});

on_both_stores!(who_may_ask, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (session, _) = begin(&world.tenant, "u").await;
    assert_snapshot!(problem(&ask(&world.tenant, "0123456789abcdefghijAB").await), @"404 not_found: Not found: a session of that id.");
    assert_snapshot!(problem(&ask(&world.tenant, "none").await), @"404 not_found: Not found: a session of that id.");
    assert_eq!(ask(&Tenant::new(&world.app).await, &session).await.expect(404).code(), "not_found");
    let slack = with_key(&world.tenant, json!({ "providers": ["slack"] })).await;
    assert_snapshot!(problem(&ask(&slack, &session).await), @"403 insufficient_scope: This API key may not be used for the provider `sandbox`.");
    let reader =
        with_key(&world.tenant, json!({ "scopes": ["connections:read"], "providers": ["sandbox"] })).await;
    assert_eq!(status(&reader, &session).await, "pending");
});

#[tokio::test]
async fn a_session_expires_and_is_forgotten() {
    let clock = Arc::new(Ahead::default());
    let world = World::on(App::start_by(Stores::Embedded, &[], clock.clone()).await).await;
    let (pending, link) = begin(&world.tenant, "u").await;
    let (returned, other) = begin(&world.tenant, "v").await;
    agree(&mut Browser::new(), &other).await;
    clock.pass(Duration::from_mins(11));
    assert_eq!(Browser::new().get(&link).await.status, 410);
    for session in [&pending, &returned] {
        assert_eq!(status(&world.tenant, session).await, "expired");
    }
    clock.pass(Duration::from_hours(1));
    assert_eq!(ask(&world.tenant, &pending).await.expect(404).code(), "not_found");
}
