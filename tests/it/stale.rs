//! The store cannot be reached (`cache.stale_if_down`), through the front door: what this server knew a moment ago is handed out
//! and says so, its record waits sealed on the disk and comes into the trail; everything else is refused.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::figures;
use crate::support::redis::RedisServer;
use crate::support::tenant::{Answer, Tenant};
use futures_util::future::join_all;
use grantkeep::adapters::system::SystemClock;
use grantkeep::app::new_master_key;
use grantkeep::ports::Clock;
use grantkeep::sandbox::Sandbox;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_hours(1);

/// A server on a Redis that can go away and come back, and a tenant with a connection of `ada`.
struct Stage {
    app: App,
    redis: Option<RedisServer>,
    port: u16,
    /// Of the store, and of the server.
    folder: TempDir,
    key: String,
    tenant: Tenant,
    sandbox: Sandbox,
}

fn store(folder: &TempDir, start: impl FnOnce(&[&str]) -> RedisServer) -> RedisServer {
    let place = folder.path().display().to_string();
    start(&["--appendonly", "yes", "--appendfsync", "always", "--dir", &place])
}

/// A server on it, with a data folder of that name.
fn server(port: u16, folder: &TempDir, (name, key): (&str, &str), further: &[(&str, &str)]) -> App {
    let url = format!("redis://127.0.0.1:{port}");
    let data = folder.path().join(name).display().to_string();
    let base = [
        ("store.url", url.as_str()),
        ("store.timeout", "1s"),
        ("store.connect_timeout", "500ms"),
        ("server.data_folder", data.as_str()),
        ("vault.master_keys", key),
    ];
    App::spawn(Stores::Embedded, &[&base, further].concat())
}

impl Stage {
    async fn new(further: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let redis = store(&folder, RedisServer::start);
        let (port, key) = (redis.port(), new_master_key(Some("test")));
        let app = server(port, &folder, ("data", &key), further);
        let sandbox = sandbox(HOUR).await;
        let tenant = Tenant::new(&app).await;
        tenant.enable(&sandbox).await.expect(201);
        tenant.connect("ada").await;
        Self { app, redis: Some(redis), port, folder, key, tenant, sandbox }
    }

    fn lose(&mut self) {
        drop(self.redis.take().expect("it is there"));
    }

    fn bring_back(&mut self) {
        let again = |settings: &[&str]| RedisServer::start_on(self.port, settings).expect("the port is free");
        self.redis = Some(store(&self.folder, again));
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("data/audit")
    }

    fn spooled(&self) -> Vec<Vec<u8>> {
        let Ok(files) = std::fs::read_dir(self.spool()) else { return Vec::new() };
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Until the disk is empty, and the hand-outs of `ada` in the trail by how they came about.
    async fn handouts(&self) -> Vec<String> {
        let clock = SystemClock::new();
        while !self.spooled().is_empty() || self.tenant.get("/v1/audit").await.status != 200 {
            assert!(clock.monotonic() < Duration::from_secs(20), "{}", self.app.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut all = Vec::new();
        let mut path = "/v1/audit?action=token.handed_out&limit=100".to_owned();
        loop {
            let page = self.tenant.get(&path).await.expect(200).body;
            let items = page["items"].as_array().expect("items");
            all.extend(items.iter().map(|item| item["refresh"].as_str().unwrap_or("-").to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { return all };
            path = format!("/v1/audit?action=token.handed_out&limit=100&cursor={cursor}");
        }
    }
}

fn state(answer: &Answer) -> &str {
    answer.body["refresh"]["state"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_was_known_is_handed_out_recorded_and_replayed() {
    let mut stage = Stage::new(&[]).await;
    let before = stage.tenant.token("ada").await.expect(200);
    assert_eq!(state(&before), "fresh");
    stage.tenant.connect("bob").await;
    stage.lose();
    let clock = SystemClock::new();
    let stale = stage.tenant.token("ada").await.expect(200);
    assert_eq!(
        (state(&stale), &stale.body["access_token"], &stale.body["generation"]),
        ("stale_store", &before.body["access_token"], &before.body["generation"])
    );
    let token = |more: Value| {
        let mut body = json!({ "provider": "sandbox", "end_user": "ada" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let tenant = stage.tenant.clone();
        async move { tenant.post("/get-access-token", &body).await }
    };
    let id = before.body["connection"].as_str().unwrap();
    for refused in [
        token(json!({ "force_refresh": true })).await,
        token(json!({ "min_ttl": 5 })).await,
        stage.tenant.token("bob").await,
        stage.tenant.token("nobody").await,
        stage.tenant.get("/v1/connections").await,
        stage.tenant.get(&format!("/v1/connections/{id}")).await,
    ] {
        assert_eq!((refused.status, refused.code()), (503, "store_unavailable"), "{refused:?}");
    }
    // A crowd does not wait for the store one after the other.
    let many = join_all((0..100).map(|_| stage.tenant.token("ada"))).await;
    assert!(many.iter().all(|answer| state(answer) == "stale_store"), "{many:?}");
    assert!(clock.monotonic() < Duration::from_secs(20), "{:?}", clock.monotonic());
    let pages = stage.spooled();
    assert!(!pages.is_empty() && pages.len() < 101, "many callers, one page: {}", pages.len());
    for page in &pages {
        let text = String::from_utf8_lossy(page);
        // In quotes: three letters alone are in base64 by chance now and then.
        let plain = ["ada\"", "ada\\", "token"].iter().any(|word| text.contains(word));
        assert!(!plain, "it is sealed: {text}");
    }
    assert_eq!(stage.app.metric("grantkeep_audit_records_total{outcome=\"spooled\"}").await, Some(101.0));

    stage.bring_back();
    while state(&stage.tenant.token("ada").await) != "fresh" {
        assert!(clock.monotonic() < Duration::from_secs(40), "the store is not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let handouts = stage.handouts().await;
    let stale = handouts.iter().filter(|how| *how == "stale_store").count();
    assert!(stale >= 101, "each is in the trail: {stale}");
    assert_eq!(
        stage.app.metric("grantkeep_audit_records_total{outcome=\"spooled\"}").await,
        stage.app.metric("grantkeep_audit_records_total{outcome=\"taken_up\"}").await
    );
    figures::note(&format!("the store away: 101 tokens handed out and recorded on {} pages", pages.len()));
    assert_eq!(stage.sandbox.control().counts().refresh_requests, 0, "nothing was refreshed for it");
}

#[tokio::test]
async fn a_store_that_hangs_is_no_better_than_one_that_is_gone() {
    let stage = Stage::new(&[]).await;
    stage.tenant.token("ada").await.expect(200);
    stage.redis.as_ref().unwrap().signal("STOP");
    let clock = SystemClock::new();
    let answers = join_all((0..50).map(|_| stage.tenant.token("ada"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let first = clock.monotonic();
    // From then on nobody waits but who asks whether it is back.
    let mut quick = 0;
    for _ in 0..50 {
        let began = clock.monotonic();
        assert_eq!(state(&stage.tenant.token("ada").await), "stale_store");
        quick += usize::from(clock.monotonic() < began + Duration::from_millis(500));
    }
    assert!(quick >= 40, "{quick} of 50 were quick");
    figures::note(&format!(
        "the store hangs: the first 50 answers after {first:.1?}, then {quick} of 50 at once"
    ));
    stage.redis.as_ref().unwrap().signal("CONT");
    while state(&stage.tenant.token("ada").await) != "fresh" {
        assert!(clock.monotonic() < Duration::from_mins(1), "the store is not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn it_ends_by_itself_and_can_be_turned_off() {
    let mut stage = Stage::new(&[("cache.stale_if_down", "3s")]).await;
    stage.tenant.token("ada").await.expect(200);
    let clock = SystemClock::new();
    stage.lose();
    assert_eq!(state(&stage.tenant.token("ada").await.expect(200)), "stale_store");
    let refused = loop {
        let answer = stage.tenant.token("ada").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(clock.monotonic() < Duration::from_secs(10), "it is handed out for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((refused.status, refused.code()), (503, "store_unavailable"));
    assert!(clock.monotonic() >= Duration::from_millis(2_500), "{:?}", clock.monotonic());

    let mut off = Stage::new(&[("cache.stale_if_down", "0")]).await;
    off.tenant.token("ada").await.expect(200);
    off.lose();
    let refused = off.tenant.token("ada").await.expect(503);
    assert_eq!(refused.code(), "store_unavailable");
}

#[tokio::test]
async fn what_was_deleted_before_is_not_handed_out() {
    let mut stage = Stage::new(&[]).await;
    let other = server(stage.port, &stage.folder, ("other", &stage.key), &[]);
    let there = stage.tenant.at(&other);
    let ada = stage.tenant.token("ada").await.expect(200).body["connection"].as_str().unwrap().to_owned();
    there.delete(&format!("/v1/connections/{ada}")).await.expect(200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.lose();
    stage.tenant.token("ada").await.expect(503);
    assert!(stage.spooled().is_empty());
}

#[tokio::test]
async fn a_killed_server_leaves_its_records_to_the_next() {
    let mut stage = Stage::new(&[]).await;
    stage.tenant.token("ada").await.expect(200);
    stage.lose();
    for _ in 0..3 {
        assert_eq!(state(&stage.tenant.token("ada").await.expect(200)), "stale_store");
    }
    stage.app.process().signal("KILL");
    stage.app.ended().await;
    assert!(!stage.spooled().is_empty());
    stage.bring_back();
    stage.app = server(stage.port, &stage.folder, ("data", &stage.key), &[]);
    stage.tenant = stage.tenant.at(&stage.app);
    let handouts = stage.handouts().await;
    assert_eq!(handouts.iter().filter(|how| *how == "stale_store").count(), 3, "{handouts:?}");
}

/// Neither store nor disk: then no token leaves.
#[tokio::test]
async fn without_a_disk_nothing_is_handed_out() {
    let mut stage = Stage::new(&[]).await;
    stage.tenant.token("ada").await.expect(200);
    std::fs::write(stage.spool(), "in the way").unwrap();
    stage.lose();
    let refused = stage.tenant.token("ada").await.expect(503);
    assert_eq!(refused.code(), "store_unavailable");
    assert!(stage.app.log().contains("audit records cannot be kept on this server's disk"));
    std::fs::remove_file(stage.spool()).unwrap();
    assert_eq!(state(&stage.tenant.token("ada").await.expect(200)), "stale_store");
}
