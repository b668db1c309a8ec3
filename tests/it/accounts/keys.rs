//! API keys: made, listed, used within their limits, revoked.

use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::raw;
use crate::support::redis::RedisServer;
use crate::support::tenant::{PASSWORD, Tenant, answer};
use grantkeep::adapters::system::SystemClock;
use grantkeep::ports::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The same tenant with another key.
pub async fn with_key(tenant: &Tenant, fields: Value) -> Tenant {
    let mut body = json!({ "name": "limited" });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    let made = tenant.post("/v1/api-keys", &body).await.expect(201);
    Tenant { key: made.text("key"), ..tenant.clone() }
}

on_both_stores!(made_listed_revoked, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let mut ids = BTreeSet::new();
    for n in 0..6 {
        let fields = json!({ "name": format!("key {n}"), "scopes": "tokens:read", "providers": "slack", "ips": ["192.0.2.7"] });
        let made = tenant.post("/v1/api-keys", &fields).await.expect(201);
        assert_eq!(made.body["scopes"], json!(["tokens:read"]));
        assert_eq!(
            (&made.body["providers"], &made.body["ips"]),
            (&json!(["slack"]), &json!(["192.0.2.7/32"]))
        );
        let key = made.text("key");
        assert_eq!((key.len(), key.split('_').nth(1)), (92, Some(tenant.id())));
        ids.insert(made.text("id"));
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = tenant.get(&format!("/v1/api-keys?limit=3{cursor}")).await.expect(200).body;
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 3 && items.iter().all(|item| item.get("key").is_none()), "{page}");
        seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    // Six, and the tenant's own.
    assert_eq!((seen.len(), pages), (7, 3));
    assert!(seen.is_sorted() && ids.iter().all(|id| seen.contains(id)));
    for junk in ["!", "abc", "", "%00", "c2xhY2s6"] {
        let refused = tenant.get(&format!("/v1/api-keys?cursor={junk}")).await.expect(400);
        assert_eq!(refused.body["field"], "cursor", "{junk}");
    }
    for limit in ["0", "101", "-1", "many", ""] {
        let refused = tenant.get(&format!("/v1/api-keys?limit={limit}")).await.expect(400);
        assert_eq!(refused.body["field"], "limit", "{limit}");
    }

    let doomed = with_key(&tenant, json!({})).await;
    doomed.get("/v1/api-keys").await.expect(200);
    let id = doomed.key.split('_').nth(2).expect("an id").to_owned();
    let path = format!("/v1/api-keys/{id}");
    let gone = answer(tenant.request(Method::DELETE, &path)).await;
    assert_eq!(gone.status, 204);
    assert_eq!(doomed.get("/v1/api-keys").await.expect(401).code(), "unauthenticated");
    assert_eq!(doomed.token("nobody").await.expect(401).code(), "unauthenticated");
    assert_eq!(tenant.delete(&path).await.expect(404).code(), "not_found");
    assert_eq!(tenant.delete("/v1/api-keys/none").await.expect(404).code(), "not_found");
});

on_both_stores!(a_key_ends, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let end = SystemClock::new().now().plus(Duration::from_millis(1500));
    let key = with_key(&tenant, json!({ "expires_at": end.to_string() })).await;
    assert_eq!(key.get("/v1/connections").await.status, 200);
    while key.get("/v1/connections").await.status == 200 {
        assert!(SystemClock::new().now() < end.plus(Duration::from_secs(1)), "it outlives its end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(SystemClock::new().now() >= end);
    assert_eq!(key.get("/v1/connections").await.code(), "unauthenticated");
    assert_eq!(key.token("nobody").await.code(), "unauthenticated");
    for (field, wrong) in [
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "tomorrow"),
        ("ips", "everywhere"),
        ("providers", "No Such!"),
        ("scopes", "tokens:write"),
        ("scopes", ""),
    ] {
        let refused =
            tenant.post("/v1/api-keys", &json!({ "name": "wrong", field: wrong })).await.expect(400);
        assert_eq!(refused.body["field"], field, "{wrong}");
    }
});

on_both_stores!(no_key_makes_a_stronger_one, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let now = SystemClock::new().now();
    let (soon, later) =
        (now.plus(Duration::from_mins(5)).to_string(), now.plus(Duration::from_mins(6)).to_string());
    let limited = with_key(
        &tenant,
        json!({ "scopes": ["keys:write", "tokens:read"], "providers": ["slack"], "ips": ["127.0.0.0/8"], "expires_at": soon }),
    )
    .await;
    let same = json!({ "name": "same", "scopes": ["tokens:read"], "providers": ["slack"], "ips": ["127.0.0.1"], "expires_at": soon });
    limited.post("/v1/api-keys", &same).await.expect(201);
    for (field, wider) in [
        ("scopes", json!(["tokens:read", "connections:read"])),
        ("scopes", Value::Null),
        ("providers", json!(["slack", "google"])),
        ("providers", json!([])),
        ("ips", json!(["0.0.0.0/0"])),
        ("ips", json!([])),
        ("expires_at", json!(later)),
        ("expires_at", Value::Null),
    ] {
        let mut body = same.clone();
        body[field] = wider;
        let refused = limited.post("/v1/api-keys", &body).await.expect(403);
        assert_eq!(refused.code(), "insufficient_scope", "{body}");
    }
    let none = with_key(&tenant, json!({ "scopes": "tokens:read" })).await;
    none.post("/v1/api-keys", &same).await.expect(403);
});

#[tokio::test]
async fn junk_costs_no_look_up() {
    let redis = Arc::new(RedisServer::start(&[]));
    let app = App::start(Stores::Redis(Arc::clone(&redis))).await;
    let tenant = Tenant::new(&app).await;
    let reads = || {
        redis
            .calls()
            .into_iter()
            .filter(|(name, _)| name.starts_with("hget"))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    let ask = |key: String| raw(http().get(format!("{}/v1/connections", app.url)).bearer_auth(key));
    redis.say::<()>(&["CONFIG", "RESETSTAT"]);
    let (front, sum) = tenant.key.split_at(86);
    let wrong_sum: String = sum.chars().rev().collect();
    for junk in [
        "junk".to_owned(),
        "gk_".to_owned(),
        "x".repeat(92),
        format!("{front}{}", if wrong_sum == sum { "000000" } else { &wrong_sum }),
        tenant.key.replacen('_', "-", 1),
        tenant.key[..91].to_owned(),
        format!("{}0", tenant.key),
        "x".repeat(4000),
    ] {
        assert_eq!(ask(junk.clone()).await.status, 401, "{junk}");
    }
    assert_eq!(reads(), 0, "{:?}", redis.calls());
    // A key whose sum is right is looked up once.
    assert_eq!(ask(tenant.key.clone()).await.status, 200);
    assert_eq!(reads(), 1, "{:?}", redis.calls());
    assert_eq!(
        raw(http().get(format!("{}/v1/api-keys", app.url)).basic_auth(&tenant.email, Some(PASSWORD)))
            .await
            .status,
        200
    );
}
