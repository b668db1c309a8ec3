//! Each deed is recorded: who, by which key, from which address, what, on what, and how it ended.

use super::*;
use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::browser::{Browser, http};
use crate::support::tenant::{PASSWORD, agree, answer, arrive, with_json};
use serde_json::json;
use std::time::Duration;

const HERE: &str = "127.0.0.1";

/// What a record says of who, what and how it ended.
fn said(item: &Value) -> (&str, &str, &str) {
    let text = |value: &'static str| item[value].as_str().unwrap_or_else(|| panic!("no {value} in {item}"));
    (text("action"), item["actor"]["type"].as_str().expect("a type"), text("outcome"))
}

/// The public part of the key.
fn key_id(tenant: &Tenant) -> &str {
    tenant.key.split('_').nth(2).and_then(|rest| rest.get(..16)).expect("an id in the key")
}

on_both_stores!(a_whole_life_is_recorded, |stores: Stores| async move {
    let app = App::start_with(stores, &[]).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.enable(&sandbox).await.expect(200);
    let connection = tenant.connect("ada").await["id"].as_str().expect("an id").to_owned();
    tenant.token("ada").await.expect(200);
    let forced = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
    tenant.post("/get-access-token", &forced).await.expect(200);
    tenant.connect("ada").await;
    tenant.token("nobody").await.expect(404);
    let made = tenant.post("/v1/api-keys", &json!({ "name": "second", "scopes": ["tokens:read"] })).await;
    let second = made.expect(201).text("id");
    tenant.delete(&format!("/v1/api-keys/{second}")).await.expect(204);
    tenant.delete(&format!("/v1/api-keys/{second}")).await.expect(404);
    tenant.delete(&format!("/v1/connections/{connection}")).await.expect(200);

    let mut items = trail(&tenant).await;
    items.reverse();
    let key = "api_key";
    let mut journey = vec![
        ("session.created", key, "ok"),
        ("session.opened", "browser", "ok"),
        ("session.returned", "browser", "ok"),
        ("connection.created", key, "ok"),
        ("session.completed", key, "ok"),
    ];
    let mut expected = vec![
        ("tenant.created", "link", "ok"),
        ("api_key.created", "member", "ok"),
        ("integration.created", key, "ok"),
        ("integration.changed", key, "ok"),
    ];
    expected.extend(journey.clone());
    expected.extend([
        ("token.handed_out", key, "ok"),
        ("connection.refreshed", key, "ok"),
        ("token.handed_out", key, "ok"),
    ]);
    journey[3].0 = "connection.reconnected";
    expected.extend(journey);
    expected.extend([
        ("token.handed_out", key, "connection_not_found"),
        ("api_key.created", key, "ok"),
        ("api_key.revoked", key, "ok"),
        ("api_key.revoked", key, "not_found"),
        ("connection.deleted", key, "ok"),
    ]);
    assert_eq!(items.iter().map(said).collect::<Vec<_>>(), expected);
    for (place, item) in items.iter().enumerate() {
        assert_eq!(item["address"], HERE, "{item}");
        assert_eq!(item["sequence"], place + 1, "{item}");
        assert!(item["request_id"].as_str().is_some_and(|id| id.len() == 36), "{item}");
        let by_key = item["actor"]["type"] == "api_key";
        assert_eq!(by_key, item["actor"]["id"] == key_id(&tenant), "{item}");
        let of_a_slot = ["session.", "connection.", "token."];
        if of_a_slot.iter().any(|kind| item["action"].as_str().is_some_and(|action| action.starts_with(kind)))
        {
            let who = if item["outcome"] == "connection_not_found" { "nobody" } else { "ada" };
            assert_eq!((&item["provider"], &item["end_user"]), (&json!("sandbox"), &json!(who)), "{item}");
        }
    }
    let handed = items.iter().find(|item| item["action"] == "token.handed_out").expect("one");
    assert_eq!((&handed["connection"], &handed["refresh"]), (&json!(connection), &json!("fresh")));
    let gone = items.last().expect("one");
    assert_eq!((&gone["connection"], &gone["revocation"]), (&json!(connection), &json!("revoked")));
    let session = |n: usize| items[n]["session"].as_str().expect("a session");
    assert!(session(4) == session(5) && session(5) == session(6) && session(6) == session(8));
    assert_eq!(items[5]["actor"]["id"], session(5));
    assert!(items[4]["request_id"] != items[5]["request_id"]);
    assert_eq!(items[7]["request_id"], items[8]["request_id"], "both came of one request");
});

on_both_stores!(a_return_in_another_browser_is_recorded, |stores: Stores| async move {
    let app = App::start(stores).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let mut hers = Browser::new();
    let page = arrive(&mut hers, &tenant.begin("mallory").await).await;
    let back = hers.send(&page, &page.form().press("allow")).await.location().expect("a way back");
    assert_eq!(Browser::new().get(back.as_str()).await.status, 403);
    let items = of_action(&tenant, "session.returned").await;
    let (status, fault) = (&items[0]["outcome"], &items[0]["fault"]);
    assert_eq!((status, fault), (&json!("session_refused"), &json!("cookie")));
    assert_eq!((&items[0]["end_user"], &items[0]["address"]), (&json!("mallory"), &json!(HERE)));
    assert_eq!(sandbox.control().counts().exchange_requests, 0, "no token request");
    // A wrong finisher is recorded too, with whom the session was begun for.
    let back = agree(&mut Browser::new(), &tenant.begin("ada").await).await;
    let completion = back.parameter("completion").expect("a completion");
    tenant.complete(&completion, "bob").await.expect(409);
    tenant.complete("made-up", "bob").await.expect(404);
    let items = of_action(&tenant, "session.completed").await;
    assert_eq!((&items[1]["outcome"], &items[1]["end_user"]), (&json!("end_user_mismatch"), &json!("ada")));
    assert_eq!((&items[0]["outcome"], items[0].get("end_user")), (&json!("not_found"), None));
});

#[tokio::test]
async fn who_asks_is_the_key_or_the_member_and_from_where_the_proxy_says() {
    let app = App::start_with(Stores::Embedded, &[("server.trusted_proxies", "127.0.0.1")]).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let narrow = json!({ "name": "narrow", "providers": ["slack"], "scopes": ["tokens:read", "audit:read"] });
    let narrow = tenant.post("/v1/api-keys", &narrow).await.expect(201);
    let body = json!({ "provider": "sandbox", "end_user": "ada" });
    let request = || {
        let request = http().post(format!("{}/get-access-token", app.url));
        with_json(
            request.header("forwarded", "for=\"[2001:db8::7]\"").header("x-request-id", "mine-1"),
            &body,
        )
    };
    answer(request().basic_auth(&tenant.email, Some(PASSWORD))).await.expect(404);
    answer(request().bearer_auth(narrow.text("key"))).await.expect(403);
    let items = of_action(&tenant, "token.handed_out").await;
    let seen = |item: &Value| {
        (item["actor"].clone(), item["outcome"].clone(), item["address"].clone(), item["request_id"].clone())
    };
    let (from, id) = (json!("2001:db8::7"), json!("mine-1"));
    let key = json!({ "type": "api_key", "id": narrow.text("id") });
    assert_eq!(seen(&items[0]), (key, json!("insufficient_scope"), from.clone(), id.clone()));
    let (actor, outcome, ..) = seen(&items[1]);
    assert_eq!((&actor["type"], outcome), (&json!("member"), json!("connection_not_found")));
    assert_eq!((items[1]["address"].clone(), items[1]["request_id"].clone()), (from, id));
    // A key that is for some providers is told nothing of the others.
    let list = http().get(format!("{}/v1/audit", app.url)).bearer_auth(narrow.text("key"));
    let seen = answer(list).await.expect(200).body;
    assert!(!seen["items"].as_array().expect("a list").is_empty());
    assert!(!seen.to_string().contains("sandbox"), "{seen}");
}

#[tokio::test]
async fn a_refresh_that_failed_is_recorded() {
    let app = App::start(Stores::Embedded).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("ada").await;
    let fault = grantkeep::sandbox::Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) };
    let rule = grantkeep::sandbox::Rule::new(grantkeep::sandbox::Endpoint::Token, fault).times(1);
    assert!(sandbox.control().fault(rule));
    let forced = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
    tenant.post("/get-access-token", &forced).await.expect(409);
    for action in ["connection.refreshed", "token.handed_out"] {
        let items = of_action(&tenant, action).await;
        assert_eq!((items.len(), &items[0]["outcome"]), (1, &json!("reauthorization_required")), "{action}");
    }
}
