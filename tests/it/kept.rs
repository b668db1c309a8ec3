//! What servers keep of the store (`cache.*`), through the front door: a change is seen by all of them at once, what nobody
//! told is believed for a moment only, and a server that hears nothing keeps nothing.

use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::figures;
use crate::support::redis::RedisServer;
use crate::support::tenant::{Answer, Tenant, with_json};
use futures_util::future::join_all;
use grantkeep::adapters::system::SystemClock;
use grantkeep::app::new_master_key;
use grantkeep::ports::Clock;
use grantkeep::sandbox::Sandbox;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// As long as it may be: what is seen sooner was told.
const TTL: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_hours(1);
const CHANGES: usize = 15;

/// Three servers on one Redis, a tenant and its provider.
struct Fleet {
    _apps: Vec<App>,
    doors: Vec<Tenant>,
    sandbox: Sandbox,
    redis: Arc<RedisServer>,
}

impl Fleet {
    async fn new(ttl: &str) -> Self {
        let (redis, key) = (Arc::new(RedisServer::start(&[])), new_master_key(Some("test")));
        let settings = [("vault.master_keys", key.as_str()), ("cache.ttl", ttl)];
        let apps: Vec<App> =
            (0..3).map(|_| App::spawn(Stores::Redis(Arc::clone(&redis)), &settings)).collect();
        let sandbox = sandbox(LONG).await;
        let tenant = Tenant::new(&apps[0]).await;
        tenant.enable(&sandbox).await.expect(201);
        let doors = apps.iter().map(|app| tenant.at(app)).collect();
        Self { _apps: apps, doors, sandbox, redis }
    }

    /// Every server has it in its memory now.
    async fn warm(&self, user: &str) {
        for door in &self.doors {
            for _ in 0..2 {
                door.token(user).await.expect(200);
            }
        }
    }

    /// Records of the tenant whose names go on like this, written past every server: nobody is told.
    fn remove_behind_their_backs(&self, rest: &str) {
        let gone: i64 = self.redis.say(&["DEL", &format!("gk:{{{}}}:{rest}", self.doors[0].id())]);
        assert_eq!(gone, 1, "{rest} was there");
    }
}

/// How long after now `ask` goes on being answered with a token at each of the doors: the longest.
async fn until_refused<F: Future<Output = Answer>>(doors: &[Tenant], ask: impl Fn(Tenant) -> F) -> Duration {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let each = doors.iter().map(|door| async {
        loop {
            let asked = clock.monotonic();
            if ask(door.clone()).await.status != 200 {
                return asked.saturating_sub(began);
            }
            assert!(asked < began + 4 * TTL, "it is handed out for ever");
        }
    });
    join_all(each).await.into_iter().max().expect("a door")
}

fn note(what: &str, mut lags: Vec<Duration>) {
    lags.sort();
    let ms = |part: usize| lags[(lags.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    let (half, most) = (ms(50), ms(99));
    figures::note(&format!(
        "what is kept: {what} is refused by all of 3 servers after {half:.1} ms (median), {most:.1} ms (p99 of {})",
        lags.len()
    ));
    // Nobody waited for the end of anything's life: it was told.
    assert!(lags.iter().all(|lag| *lag < TTL / 2), "{what}: {lags:?}");
}

async fn with_key(mut door: Tenant, key: &str) -> Answer {
    key.clone_into(&mut door.key);
    door.token("ada").await
}

#[tokio::test]
async fn a_deleted_connection_is_refused_by_every_server() {
    let fleet = Fleet::new("5s").await;
    let mut lags = Vec::new();
    for number in 0..CHANGES {
        let user = format!("user-{number}");
        let id = fleet.doors[0].connect(&user).await["id"].as_str().expect("an id").to_owned();
        fleet.warm(&user).await;
        fleet.doors[number % 3].delete(&format!("/v1/connections/{id}")).await.expect(200);
        lags.push(
            until_refused(&fleet.doors, |door| {
                let user = user.clone();
                async move { door.token(&user).await }
            })
            .await,
        );
    }
    note("a deleted connection", lags);
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_every_server() {
    let fleet = Fleet::new("5s").await;
    fleet.doors[0].connect("ada").await;
    let mut lags = Vec::new();
    for number in 0..CHANGES {
        let made = fleet.doors[0].post("/v1/api-keys", &json!({ "name": "k" })).await.expect(201).body;
        let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
        for door in fleet.doors.iter().chain(&fleet.doors) {
            with_key(door.clone(), key).await.expect(200);
        }
        fleet.doors[number % 3].delete(&format!("/v1/api-keys/{id}")).await.expect(204);
        lags.push(until_refused(&fleet.doors, |door| with_key(door, key)).await);
    }
    note("a revoked key", lags);
}

#[tokio::test]
async fn a_removed_integration_is_refused_by_every_server_and_enabled_again_it_is_not() {
    let fleet = Fleet::new("5s").await;
    fleet.doors[0].connect("ada").await;
    let mut lags = Vec::new();
    for number in 0..CHANGES {
        fleet.warm("ada").await;
        fleet.doors[number % 3].delete("/v1/integrations/sandbox").await.expect(204);
        lags.push(until_refused(&fleet.doors, |door| async move { door.token("ada").await }).await);
        fleet.doors[number % 3].enable(&fleet.sandbox).await.expect(201);
    }
    note("a removed integration", lags);
}

#[tokio::test]
async fn a_tenant_that_goes_is_refused_by_every_server() {
    let fleet = Fleet::new("5s").await;
    fleet.doors[0].connect("ada").await;
    fleet.warm("ada").await;
    let confirm = json!({ "confirm": fleet.doors[0].id() });
    let asked = with_json(fleet.doors[0].request(Method::DELETE, "/v1/tenant"), &confirm).send().await;
    assert_eq!(asked.expect("it answers").status(), 200);
    let lag = until_refused(&fleet.doors, |door| async move { door.token("ada").await }).await;
    note("a deleted tenant", vec![lag]);
}

/// The backstop: a record that went without a word.
#[tokio::test]
async fn what_nobody_told_is_believed_for_a_moment_only() {
    let fleet = Fleet::new("500ms").await;
    for (number, rest) in ["connection:sandbox:u-0:", "integration:sandbox"].into_iter().enumerate() {
        let user = format!("u-{number}");
        fleet.doors[0].connect(&user).await;
        fleet.warm(&user).await;
        fleet.remove_behind_their_backs(rest);
        let lag = until_refused(&fleet.doors, |door| {
            let user = user.clone();
            async move { door.token(&user).await }
        })
        .await;
        assert!(lag < Duration::from_secs(4), "{rest}: {lag:?}");
    }
}

/// Its connection for notices ends: from that moment on it reads everything, until it hears again.
#[tokio::test]
async fn a_server_that_hears_nothing_keeps_nothing() {
    let fleet = Fleet::new("5s").await;
    fleet.doors[0].connect("ada").await;
    fleet.warm("ada").await;
    let killed: i64 = fleet.redis.say(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert!(killed >= 3, "each server listens");
    fleet.remove_behind_their_backs("connection:sandbox:ada:");
    let lag = until_refused(&fleet.doors, |door| async move { door.token("ada").await }).await;
    assert!(lag < TTL / 2, "{lag:?}");
}

on_both_stores!(what_this_server_has_written_is_what_it_hands_out, |stores: Stores| async move {
    let app = App::start_with(stores, &[("cache.ttl", "5s")]).await;
    let sandbox = sandbox(LONG).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("ada").await;
    let mut last = 0;
    for _ in 0..50 {
        tenant.token("ada").await.expect(200);
        let body = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
        let forced = tenant.post("/get-access-token", &body).await.expect(200).body;
        let now = tenant.token("ada").await.expect(200).body;
        assert_eq!(now["access_token"], forced["access_token"]);
        let generation = now["generation"].as_u64().expect("a number");
        assert!(generation > last, "{generation} after {last}");
        last = generation;
    }
});

/// Readers race a writer at every server: none ever sees a generation go back, and all see the last one in the end.
#[tokio::test]
async fn no_reader_sees_a_generation_go_back() {
    let fleet = Arc::new(Fleet::new("5s").await);
    fleet.doors[0].connect("ada").await;
    let read = |door: Tenant| async move {
        let mut last = 0;
        for _ in 0..150 {
            let body = door.token("ada").await.expect(200).body;
            let generation = body["generation"].as_u64().expect("a number");
            assert!(generation >= last, "{generation} after {last}");
            last = generation;
        }
    };
    let writer = fleet.doors[0].clone();
    let writing = async move {
        for _ in 0..40 {
            let body = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
            with_json(writer.request(Method::POST, "/get-access-token"), &body)
                .send()
                .await
                .expect("it answers");
        }
    };
    let readers = join_all(fleet.doors.iter().chain(&fleet.doors).cloned().map(read));
    let ((), _) = tokio::join!(writing, readers);
    let stored: Value = fleet.doors[0].get("/v1/connections?end_user=ada").await.expect(200).body;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for door in &fleet.doors {
        let seen = door.token("ada").await.expect(200).body;
        assert_eq!(seen["generation"], stored["items"][0]["generation"]);
    }
}
