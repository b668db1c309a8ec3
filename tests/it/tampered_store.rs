//! What somebody can do who can write into the store and knows no key: nothing opens out of its place, and the owner may
//! have it forgotten.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::redis::RedisServer;
use crate::support::tenant::Tenant;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

fn key_of(tenant: &Tenant, end_user: &str) -> String {
    format!("gk:{{{}}}:connection:sandbox:{end_user}:", tenant.id())
}

async fn alarms(app: &App) -> u64 {
    let text = http().get(format!("{}/metrics", app.admin)).send().await.unwrap().text().await.unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix("grantkeep_alarms_total{kind=\"does_not_open\"} "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_connection_moved_to_another_end_users_place_opens_nothing() {
    let redis = Arc::new(RedisServer::start(&[]));
    let app = App::start_with(Stores::Redis(Arc::clone(&redis)), &[("cache.ttl", "0")]).await;
    let sandbox = sandbox(HOUR).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("alice").await;
    tenant.connect("bob").await;
    let (alice, bob) = (key_of(&tenant, "alice"), key_of(&tenant, "bob"));
    let before = alarms(&app).await;
    redis.say::<()>(&["COPY", &bob, &alice, "REPLACE"]);
    let moved = tenant.token("alice").await;
    moved.expect(500);
    // The fields say alice now, and only the sealed bytes know better.
    redis.say::<()>(&["HSET", &alice, "end_user", "alice"]);
    let moved = tenant.token("alice").await;
    moved.expect(500);
    assert!(alarms(&app).await > before);
    tenant.token("bob").await.expect(200);
    // An operator takes it away, and connecting anew puts things right.
    redis.say::<()>(&["DEL", &alice]);
    tenant.connect("alice").await;
    tenant.token("alice").await.expect(200);
}
#[tokio::test]
async fn a_connection_that_does_not_open_can_be_deleted() {
    let redis = Arc::new(RedisServer::start(&[]));
    let app = App::start_with(Stores::Redis(Arc::clone(&redis)), &[("cache.ttl", "0")]).await;
    let sandbox = sandbox(HOUR).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let connection = tenant.connect("alice").await;
    redis.say::<()>(&["HSET", &key_of(&tenant, "alice"), "refresh_token", "spoilt"]);
    let path = format!("/v1/connections/{}", connection["id"].as_str().unwrap());
    let gone = tenant.delete(&path).await;
    assert_eq!(gone.expect(200).body["revocation"], "failed");
    tenant.get(&path).await.expect(404);
}
