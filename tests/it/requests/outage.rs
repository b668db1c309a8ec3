//! The store goes away and comes back; the server stays.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::{Raw, raw};
use crate::support::redis::RedisServer;
use crate::support::tenant::{Answer, Tenant, answer, with_json};
use grantkeep::adapters::system::SystemClock;
use grantkeep::ports::Clock;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn get(url: String) -> Raw {
    raw(http().get(url)).await
}

/// The first good answer after the store is back.
async fn found_again(tenant: &Tenant) -> Answer {
    let clock = SystemClock::new();
    let since = clock.monotonic();
    loop {
        let asked = tenant.token("user 1").await;
        if asked.status == 200 {
            return asked;
        }
        assert!(
            clock.monotonic() < since + Duration::from_secs(10),
            "the store is not found again: {asked:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_said_to_be_and_found_again() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let place = folder.path().display().to_string();
    let kept = ["--appendonly", "yes", "--dir", place.as_str()];
    let redis = Arc::new(RedisServer::start(&kept));
    let port = redis.port();
    // By its address alone: the case must be able to end it.
    let url = redis.url();
    let app = App::start_with(
        Stores::Embedded,
        &[
            ("store.url", &url),
            ("store.timeout", "1s"),
            ("store.connect_timeout", "500ms"),
            ("cache.stale_if_down", "0"),
        ],
    )
    .await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let connection = tenant.connect("user 1").await;
    let before = tenant.token("user 1").await.expect(200);
    assert_eq!(get(format!("{}/readyz", app.admin)).await.status, 200);
    drop(redis);

    let signs_up = with_json(
        http().post(format!("{}/signup", app.url)),
        &json!({ "email": "late@example.com", "password": "a quiet harbour at dusk" }),
    );
    let path = format!("/v1/connections/{}", connection["id"].as_str().expect("an id"));
    for refused in [
        tenant.token("user 1").await,
        tenant.get(&path).await,
        tenant.delete(&path).await,
        tenant.post("/authorize-sandbox", &json!({ "end_user": "user 2" })).await,
        tenant.post("/complete-authorization", &json!({ "completion": "x", "end_user": "y" })).await,
        answer(signs_up).await,
    ] {
        assert_eq!((refused.status, refused.code()), (503, "store_unavailable"), "{refused:?}");
        let wait = refused.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        assert!(wait.is_some_and(|wait: u64| (1..=60).contains(&wait)), "{refused:?}");
    }
    let page = get(format!("{}/authorize-sandbox?session=x", app.url)).await;
    assert!(
        page.status == 503 && page.text().contains("<html") && page.header("retry-after").is_some(),
        "{page:?}"
    );
    assert_eq!(get(format!("{}/providers", app.url)).await.status, 200, "what needs no store goes on");
    assert_eq!(get(format!("{}/healthz", app.admin)).await.status, 200);
    let unready = get(format!("{}/readyz", app.admin)).await;
    assert_eq!((unready.status, unready.text().contains("the store")), (503, true));

    let _back = RedisServer::start_on(port, &kept).expect("the port is free");
    let after = found_again(&tenant).await;
    assert_eq!(
        (&after.body["access_token"], &after.body["generation"]),
        (&before.body["access_token"], &before.body["generation"])
    );
    assert_eq!(get(format!("{}/readyz", app.admin)).await.status, 200);
    tenant.connect("user 2").await;
    assert_eq!(tenant.delete(&path).await.expect(200).body["revocation"], "revoked");
}
