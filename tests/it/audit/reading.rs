//! `GET /v1/audit`: pages, filters, who may.

use super::*;
use crate::on_both_stores;
use crate::support::browser::http;
use crate::support::tenant::answer;
use serde_json::json;

on_both_stores!(pages_hold_still_while_the_trail_grows, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    for n in 0..20 {
        tenant.token(&format!("user {n}")).await.expect(404);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        // Each of these reads is recorded itself, and there are others meanwhile.
        let page = tenant.get(&format!("/v1/audit?limit=3{cursor}")).await.expect(200).body;
        tenant.token("meanwhile").await.expect(404);
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| item["sequence"].as_u64().expect("a number")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<u64> = (1..=22).rev().collect();
    assert_eq!(seen, expected, "the newest first, each once, and none that came later");
});

#[tokio::test]
async fn filters_leave_out_what_was_not_asked_for() {
    let app = App::start(Stores::Embedded).await;
    let tenant = Tenant::new(&app).await;
    tenant.token("ada").await.expect(404);
    tenant.token("bob").await.expect(404);
    let all = trail(&tenant).await;
    let count = async |query: &str| {
        let page = tenant.get(&format!("/v1/audit?{query}")).await.expect(200).body;
        page["items"].as_array().expect("a list").len()
    };
    assert_eq!(count("action=token.handed_out").await, 2);
    assert_eq!(count("action=token.handed_out&end_user=ada").await, 1);
    assert_eq!(count("provider=sandbox&outcome=connection_not_found").await, 2);
    assert_eq!(count("provider=slack").await, 0);
    assert_eq!(count("connection=none").await, 0);
    assert_eq!(count("action=tenant.created").await, 1);
    // Two at a time, and still found by the first request: there are more than two younger ones.
    assert_eq!(count("action=tenant.created&limit=2").await, 1);
    let time = |n: usize| {
        let text = all[n]["time"].as_str().expect("a time");
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
    };
    let newest = time(0);
    assert!(count(&format!("since={newest}&action=token.handed_out")).await >= 1);
    let oldest = time(all.len() - 1);
    assert_eq!(count(&format!("until={oldest}")).await, 0);
    assert_eq!(count("since=2099-01-01T00:00:00Z").await, 0);
    for (bad, field) in [
        ("action=token", "action"),
        ("since=yesterday", "since"),
        ("until=x", "until"),
        ("limit=0", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=NS03OngK", "cursor"),
        ("who=me", "who"),
    ] {
        let refused = tenant.get(&format!("/v1/audit?{bad}")).await.expect(400);
        assert_eq!((refused.code(), &refused.body["field"]), ("invalid_request", &json!(field)), "{bad}");
    }
}

#[tokio::test]
async fn reading_takes_its_scope_and_is_recorded() {
    let app = App::start(Stores::Embedded).await;
    let tenant = Tenant::new(&app).await;
    let made =
        tenant.post("/v1/api-keys", &json!({ "name": "x", "scopes": ["tokens:read"] })).await.expect(201);
    let list = http().get(format!("{}/v1/audit", app.url)).bearer_auth(made.text("key"));
    let refused = answer(list).await.expect(403);
    assert_eq!(refused.body["needed_scope"], "audit:read");
    answer(http().get(format!("{}/v1/audit", app.url))).await.expect(401);
    assert_eq!(of_action(&tenant, "audit.read").await.len(), 0, "a read does not tell of itself");
    assert_eq!(of_action(&tenant, "audit.read").await.len(), 1);
    // Another tenant's trail is another one.
    let other = Tenant::new(&app).await;
    assert_eq!(trail(&other).await.len(), 2);
}
