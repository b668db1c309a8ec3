//! The store does not take a record: no token leaves, no change is undone, and nothing that happened goes unrecorded.

use super::*;
use crate::journey::sandbox;
use crate::support::app::App;
use grantkeep::adapters::system::SystemClock;
use grantkeep::ports::Clock;
use std::time::Duration;

/// A Redis of the case's own, a tenant with somebody connected.
async fn scene(redis: &Arc<RedisServer>) -> (App, Tenant, grantkeep::sandbox::Sandbox, String) {
    scene_with(redis, "before").await
}

/// The same, where hand-outs are recorded so.
async fn scene_with(
    redis: &Arc<RedisServer>,
    handouts: &str,
) -> (App, Tenant, grantkeep::sandbox::Sandbox, String) {
    let key = new_master_key(Some("test"));
    let settings = [
        ("vault.master_keys", key.as_str()),
        ("store.timeout", "1s"),
        ("store.connect_timeout", "500ms"),
        ("audit.handouts", handouts),
    ];
    let app = App::start_with(Stores::Redis(Arc::clone(redis)), &settings).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("ada").await;
    tenant.token("ada").await.expect(200);
    (app, tenant, sandbox, key)
}

/// Reads are answered, writes are not.
#[tokio::test]
async fn without_a_record_no_token_leaves() {
    let redis = Arc::new(RedisServer::start(&[]));
    let (_app, tenant, _sandbox, key) = scene(&redis).await;
    redis.say::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = tenant.token("ada").await.expect(503);
    assert_eq!(refused.code(), "store_unavailable");
    assert!(refused.headers.contains_key("retry-after") && refused.body.get("access_token").is_none());
    redis.say::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    tenant.token("ada").await.expect(200);
    let handed = of_action(&tenant, "token.handed_out").await;
    assert_eq!(handed.len(), 2, "one for each token that left");
    let (_, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!(faults, [""; 0]);
}

/// `behind`: the token leaves all the same, and the record comes when it can. What is refused is recorded, too.
#[tokio::test]
async fn a_record_behind_its_token_holds_up_nobody_and_comes_later() {
    let redis = Arc::new(RedisServer::start(&[]));
    let (_app, tenant, _sandbox, key) = scene_with(&redis, "behind").await;
    redis.say::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..3 {
        tenant.token("ada").await.expect(200);
    }
    tenant.token("eve").await.expect(404);
    redis.say::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let recorded = async || {
        let mut outcomes: Vec<Value> = of_action(&tenant, "token.handed_out").await;
        outcomes.iter_mut().map(|record| record["outcome"].take()).collect::<Vec<Value>>()
    };
    let clock = SystemClock::new();
    let since = clock.monotonic();
    while recorded().await.len() < 5 {
        assert!(clock.monotonic() < since + Duration::from_secs(20), "it is never recorded");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(recorded().await, ["connection_not_found", "ok", "ok", "ok", "ok"], "the newest first");
    let (_, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!(faults, [""; 0]);
}

/// `off`: no record of a token that left, and no wait for one; of a refusal there is a record.
#[tokio::test]
async fn hand_outs_need_not_be_recorded() {
    let redis = Arc::new(RedisServer::start(&[]));
    let (_app, tenant, _sandbox, _) = scene_with(&redis, "off").await;
    redis.say::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    tenant.token("ada").await.expect(200);
    redis.say::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    tenant.token("eve").await.expect(404);
    let clock = SystemClock::new();
    let since = clock.monotonic();
    let mut found = Vec::new();
    while found.is_empty() {
        assert!(clock.monotonic() < since + Duration::from_secs(20), "the refusal is never recorded");
        found = of_action(&tenant, "token.handed_out").await;
    }
    assert_eq!((found.len(), &found[0]["outcome"]), (1, &Value::from("connection_not_found")));
}

/// The change was stored, and then the store takes nothing any more: what happened is told, and recorded when it can be.
#[tokio::test]
async fn a_change_that_cannot_be_recorded_yet_is_recorded_later() {
    let redis = Arc::new(RedisServer::start(&[]));
    let (app, tenant, _sandbox, key) = scene(&redis).await;
    // The trail's own stream is something else for a while: only records are refused.
    let name = {
        let id = std::fs::read_to_string(app.folder().join("data/instance")).expect("an id");
        format!("gk:{{{}}}:audit:{}", tenant.id(), id.trim())
    };
    redis.say::<()>(&["RENAME", &name, "aside"]);
    redis.say::<i64>(&["RPUSH", &name, "x"]);
    let made = tenant.post("/v1/api-keys", &serde_json::json!({ "name": "late" })).await.expect(201);
    tenant.token("ada").await.expect(500);
    let waiting = async || {
        let page =
            crate::support::raw::raw(crate::support::browser::http().get(format!("{}/metrics", app.admin)));
        page.await.text().contains("grantkeep_audit_records_waiting")
    };
    assert!(waiting().await);
    redis.say::<()>(&["RENAME", "aside", &name]);
    let clock = SystemClock::new();
    let since = clock.monotonic();
    loop {
        let records: Vec<(String, Vec<(String, String)>)> = redis.say(&["XRANGE", &name, "-", "+"]);
        let events = records.iter().flat_map(|(_, fields)| fields).filter(|(field, _)| field == "event");
        if events.into_iter().any(|(_, event)| event.contains(&made.text("id"))) {
            break;
        }
        assert!(clock.monotonic() < since + Duration::from_secs(15), "it is never recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!(faults, [""; 0]);
    assert_eq!(of_action(&tenant, "token.handed_out").await.len(), 1, "what was refused is not there");
}

/// However much waits to be recorded, who asks for a token hears at once that there is none.
#[tokio::test]
async fn a_hand_out_does_not_wait_behind_what_waits() {
    let redis = Arc::new(RedisServer::start(&[]));
    let (app, tenant, _sandbox, key) = scene(&redis).await;
    let id = std::fs::read_to_string(app.folder().join("data/instance")).expect("an id");
    let name = format!("gk:{{{}}}:audit:{}", tenant.id(), id.trim());
    redis.say::<()>(&["RENAME", &name, "aside"]);
    redis.say::<i64>(&["RPUSH", &name, "x"]);
    // More than one append takes.
    let revoked = (0..150).map(|n| {
        let tenant = tenant.clone();
        async move { tenant.delete(&format!("/v1/api-keys/{n:016}")).await.status }
    });
    assert_eq!(futures_util::future::join_all(revoked).await, [404; 150]);
    let refused = tokio::time::timeout(Duration::from_secs(20), tenant.token("ada")).await;
    refused.expect("an answer").expect(500);
    redis.say::<()>(&["RENAME", "aside", &name]);
    // All of them come in the order in which they came.
    let recorded = async || of_action(&tenant, "api_key.revoked").await.len();
    for _ in 0..500 {
        if recorded().await == 150 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(recorded().await, 150);
    let (_, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!(faults, [""; 0]);
}

/// The answer to an append is lost, and it took effect: it is not written twice.
#[tokio::test]
async fn a_lost_answer_is_settled_by_the_head() {
    let redis = Arc::new(RedisServer::start(&[]));
    let (_app, tenant, _sandbox, key) = scene(&redis).await;
    for _ in 0..3 {
        // Longer than the time-out: the script is held up, sent on, and its answer comes too late.
        redis.say::<()>(&["CLIENT", "PAUSE", "1500", "WRITE"]);
        let answer = tenant.token("ada").await;
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        redis.say::<()>(&["CLIENT", "UNPAUSE"]);
        tenant.token("ada").await.expect(200);
    }
    let (_, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!(faults, [""; 0]);
    let handed = of_action(&tenant, "token.handed_out").await.len();
    assert!((4..=7).contains(&handed), "every token that left is there: {handed}");
}
