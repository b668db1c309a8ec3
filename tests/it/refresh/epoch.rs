//! A store that was put back from a backup: no refresh token in it is sent until an operator says so. What a crash may lose is no
//! backup.

use super::*;
use crate::support::figures;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::path::Path;
use std::process::Command;

const LOOKS: &[(&str, &str)] = &[("refresh.epoch", "100ms")];

/// A server whose data folder outlives it, and how to start it again.
struct Scene {
    stage: Stage,
    redis: RedisServer,
    kept: TempDir,
    data: TempDir,
    settings: Vec<(String, String)>,
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn started(port: u16, data: &Path, settings: &[(String, String)]) -> App {
    let data = data.display().to_string();
    let mut all: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    all.push(("server.data_folder", &data));
    App::spawn(Stores::At(format!("redis://127.0.0.1:{port}/")), &all)
}

impl Scene {
    async fn new(mode: Mode) -> Self {
        let (files, kept, data) = (mode.folder(), folder(), folder());
        let redis = RedisServer::start(&["--dir", kept.path().to_str().expect("a name")]);
        let mut settings = vec![
            ("providers.dirs".to_owned(), files.path().display().to_string()),
            ("vault.master_keys".to_owned(), new_master_key(Some("test"))),
        ];
        let quick = [QUICK, LOOKS].concat();
        settings.extend(quick.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let app = started(redis.port(), data.path(), &settings);
        Self { stage: Stage::on(app, mode, files).await, redis, kept, data, settings }
    }

    /// How far the store is, and how far the server is certain that it was.
    fn count(&self) -> u64 {
        self.redis.say(&["HGET", "gk:epoch:{store}", "count"])
    }

    fn certain(&self) -> u64 {
        let page = std::fs::read_to_string(self.data.path().join("epoch/reached.page")).unwrap_or_default();
        page.trim().split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or_default()
    }

    async fn is_certain_of(&self, count: u64) {
        until("the server is certain", async || self.certain() >= count).await;
    }

    /// The store as it was before, on the same port.
    fn put_back(&mut self, backup: &[u8]) {
        let port = self.redis.port();
        let dir = self.kept.path().to_str().expect("a name").to_owned();
        self.redis.signal("KILL");
        std::fs::write(self.kept.path().join("dump.rdb"), backup).expect("a backup");
        for _ in 0..100 {
            match RedisServer::start_on(port, &["--dir", &dir]) {
                Ok(again) => return self.redis = again,
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("the port is not free");
    }

    fn backup(&self) -> Vec<u8> {
        self.redis.say::<()>(&["SAVE"]);
        std::fs::read(self.kept.path().join("dump.rdb")).expect("a backup")
    }

    /// `grantkeep tenants resume`: whether it did, and what it said.
    fn resume(&self, further: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeep"));
        command
            .args(["tenants", "resume"])
            .args(further)
            .env_clear()
            .env("GRANTKEEP_STORE__URL", self.redis.url());
        for (key, value) in &self.settings {
            command.env(format!("GRANTKEEP_{}", key.to_uppercase().replace('.', "__")), value);
        }
        let said = command.output().expect("it runs");
        let text = [said.stdout, said.stderr].concat();
        (said.status.success(), String::from_utf8(text).expect("words"))
    }
}

async fn is_held(tenant: &Tenant) {
    let answer = ask(tenant, "ada", &json!({ "force_refresh": true })).await.expect(200);
    let said = json!({ "state": "failing", "retry_at": null, "error": "refresh_held" });
    assert_eq!((&answer.body["refresh"], &answer.body["generation"]), (&said, &json!(1)));
    assert_eq!(tenant.token("bob").await.expect(503).code(), "provider_unavailable");
}

#[tokio::test]
async fn a_backup_put_back_spends_nothing_until_an_operator_says_so() {
    let mut scene = Scene::new(STRICT).await;
    scene.stage.connect("ada", LONG).await;
    let bob = scene.stage.connect("bob", SHORT).await;
    let (backup, was) = (scene.backup(), scene.count());
    scene.stage.expire(&bob).await;
    // An hour of the world, in short: both are refreshed, and the server gets certain of more than the backup has.
    scene.stage.forced("ada").await.expect(200);
    scene.stage.token("bob").await.expect(200);
    scene.is_certain_of(was + 3).await;
    let (ok, said) = scene.resume(&["--yes"]);
    assert!(!ok && said.contains("nothing is held"), "{said}");
    scene.stage.app.process().signal("KILL");
    scene.put_back(&backup);
    scene.stage.sandbox.control().reset();
    let again = started(scene.redis.port(), scene.data.path(), &scene.settings);
    // One that knows nothing obeys too.
    let fresh = folder();
    let other = started(scene.redis.port(), fresh.path(), &scene.settings);
    let at = |app: &App| scene.stage.tenant.at(app);
    for app in [&again, &other] {
        is_held(&at(app)).await;
        assert_eq!(app.metric("grantkeep_refresh_held").await, Some(1.0));
    }
    assert!(again.log().contains("tenants resume") && again.log().contains("put back to an earlier time"));
    assert_eq!(scene.stage.counts().refresh_requests, 0, "nothing was sent");
    let (ok, said) = scene.resume(&[]);
    assert!(!ok && said.contains("put back to an earlier time") && said.contains("--yes"), "{said}");
    is_held(&at(&other)).await;
    let (ok, said) = scene.resume(&["--yes"]);
    assert!(ok && said.contains("Resumed"), "{said}");
    for app in [&again, &other] {
        until("it goes on", async || app.metric("grantkeep_refresh_held").await == Some(0.0)).await;
    }
    // Whose token was used since the backup loses the grant, and its tenant hears of it.
    assert_eq!(
        ask(&at(&again), "ada", &json!({ "force_refresh": true })).await.expect(409).body["reason"],
        "revoked"
    );
    let sent = scene.stage.counts().refresh_requests;
    assert_eq!(sent, 1);
    // Nobody takes the resumed store for an old one, also after another start.
    scene.is_certain_of(was + 1).await;
    again.process().signal("KILL");
    let once_more = started(scene.redis.port(), scene.data.path(), &scene.settings);
    assert_eq!(once_more.metric("grantkeep_refresh_held").await, Some(0.0));
    figures::note(
        "R14: a backup put back under a strict provider: 0 refreshes until `tenants resume`, 2 of 2 servers held",
    );
}

#[tokio::test]
async fn a_backup_put_back_under_a_running_server_is_seen() {
    let mut scene = Scene::new(STRICT).await;
    scene.stage.connect("ada", LONG).await;
    scene.stage.connect("bob", SHORT).await;
    let (backup, was) = (scene.backup(), scene.count());
    scene.is_certain_of(was + 3).await;
    scene.put_back(&backup);
    until("it is held", async || scene.stage.app.metric("grantkeep_refresh_held").await == Some(1.0)).await;
    until("it answers", async || scene.stage.token("ada").await.status == 200).await;
    scene.stage.sandbox.control().reset();
    is_held(&scene.stage.tenant).await;
    assert_eq!(scene.stage.counts().refresh_requests, 0);
    assert!(scene.resume(&["--yes"]).0);
    until("it goes on", async || scene.stage.app.metric("grantkeep_refresh_held").await == Some(0.0)).await;
    assert_eq!(scene.stage.forced("ada").await.expect(200).body["refresh"]["state"], "refreshed");
    // A backup from before an operator resumed is one, too, however far it had been.
    let count: u64 = scene.count();
    scene.is_certain_of(count).await;
    scene.put_back(&backup);
    scene.redis.say::<u64>(&["HSET", "gk:epoch:{store}", "count", "1000000"]);
    until("it is held again", async || scene.stage.app.metric("grantkeep_refresh_held").await == Some(1.0))
        .await;
    assert!(scene.resume(&[]).1.contains("is on line"));
}

#[tokio::test]
async fn what_a_crash_may_lose_holds_nothing() {
    let scene = Scene::new(STRICT).await;
    scene.stage.connect("ada", LONG).await;
    scene.is_certain_of(3).await;
    let alarm = "grantkeep_alarms_total{kind=\"store_went_back\"}";
    until("it was seen", async || {
        let count = scene.count();
        scene.redis.say::<u64>(&["HSET", "gk:epoch:{store}", "count", &(count - 2).to_string()]);
        tokio::time::sleep(Duration::from_millis(150)).await;
        scene.stage.app.metric(alarm).await > Some(0.0)
    })
    .await;
    assert_eq!(scene.stage.app.metric("grantkeep_refresh_held").await, Some(0.0));
    assert_eq!(scene.stage.forced("ada").await.expect(200).body["refresh"]["state"], "refreshed");
    // A store that is empty has nothing to lose.
    scene.redis.say::<()>(&["FLUSHALL"]);
    until("it begins anew", async || {
        scene.redis.say::<Option<u64>>(&["HGET", "gk:epoch:{store}", "count"]).is_some()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let fresh = Tenant::new(&scene.stage.app).await;
    fresh.enable(&scene.stage.sandbox).await.expect(201);
    fresh.connect("ada").await;
    let answer = ask(&fresh, "ada", &json!({ "force_refresh": true })).await.expect(200);
    assert_eq!(answer.body["refresh"]["state"], "refreshed", "{answer:?}");
}

#[tokio::test]
async fn an_embedded_database_put_back_is_seen() {
    let (files, data, key) = (STRICT.folder(), folder(), new_master_key(Some("test")));
    let place = data.path().display().to_string();
    let providers = files.path().display().to_string();
    let settings = [
        &[("providers.dirs", providers.as_str()), ("vault.master_keys", key.as_str())],
        &[("server.data_folder", place.as_str())][..],
        QUICK,
        LOOKS,
    ]
    .concat();
    let start = || App::spawn(Stores::At(format!("embedded:{place}")), &settings);
    let mut stage = Stage::on(start(), STRICT, files).await;
    stage.connect("ada", LONG).await;
    stage.app.process().signal("TERM");
    stage.app.ended().await;
    let database = data.path().join("grantkeep.db");
    let backup = std::fs::read(&database).expect("a database");
    let page = data.path().join("epoch/reached.page");
    let certain = || std::fs::read_to_string(&page).unwrap_or_default();
    let at_backup = certain();
    let mut app = start();
    let tenant = stage.tenant.at(&app);
    ask(&tenant, "ada", &json!({ "force_refresh": true })).await.expect(200);
    let number = |text: &str| text.trim().split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    until("it is certain of more", async || number(&certain()) > number(&at_backup) + 10).await;
    app.process().signal("TERM");
    app.ended().await;
    for end in ["-wal", "-shm"] {
        drop(std::fs::remove_file(data.path().join(format!("grantkeep.db{end}"))));
    }
    std::fs::write(&database, backup).expect("it is put back");
    stage.sandbox.control().reset();
    let held = start();
    let answer = ask(&stage.tenant.at(&held), "ada", &json!({ "force_refresh": true })).await.expect(200);
    assert_eq!(answer.body["refresh"]["error"], "refresh_held");
    assert_eq!(stage.counts().refresh_requests, 0);
}

/// Where a refresh spends nothing there is nothing to hold.
#[tokio::test]
async fn a_provider_that_does_not_rotate_is_asked_as_always() {
    let mut scene = Scene::new(NONE).await;
    scene.stage.connect("ada", LONG).await;
    let (backup, was) = (scene.backup(), scene.count());
    scene.is_certain_of(was + 3).await;
    scene.put_back(&backup);
    until("it is held", async || scene.stage.app.metric("grantkeep_refresh_held").await == Some(1.0)).await;
    until("it is refreshed", async || {
        scene.stage.forced("ada").await.body["refresh"]["state"] == "refreshed"
    })
    .await;
}
