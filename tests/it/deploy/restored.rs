//! The runbooks: what they say of settings, metrics and pages is so, and a backup made and restored by them spends nothing.

use super::compose::{Compose, redis};
use super::{path, text};
use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::process::Leashed;
use crate::support::tenant::{Answer, Tenant, answer, with_json};
use grantkeep::app::new_master_key;
use grantkeep::sandbox::Sandbox;
use grantkeep::telemetry::metrics;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const RESTORE: &str = "docs/runbooks/backup-and-restore.md";

async fn forced(tenant: &Tenant, end_user: &str) -> Answer {
    let body = json!({ "provider": "sandbox", "end_user": end_user, "force_refresh": true });
    answer(with_json(tenant.request(Method::POST, "/get-access-token"), &body)).await
}

/// The sandbox's own file: it rotates strictly.
async fn tenant_with_two(app: &App) -> (Sandbox, Tenant) {
    let sandbox = sandbox(Duration::from_hours(1)).await;
    let tenant = Tenant::new(app).await;
    tenant.enable(&sandbox).await.expect(201);
    for end_user in ["ada", "bob"] {
        tenant.connect(end_user).await;
    }
    (sandbox, tenant)
}

/// The backup is older than ada's last refresh and as new as bob's.
async fn a_hold_spends_nothing(sandbox: &Sandbox, tenant: &Tenant, store: &str, key: &str) {
    let before = sandbox.control().counts();
    let settings = [("vault.master_keys", key)];
    let at = || Stores::At(store.to_owned());
    let mut held = App::spawn(at(), &[&settings[..], &[("refresh.hold", "true")]].concat());
    for end_user in ["ada", "bob"] {
        let answer = forced(&tenant.at(&held), end_user).await.expect(200);
        let said = json!({ "state": "failing", "retry_at": null, "error": "refresh_held" });
        assert_eq!((&answer.body["refresh"], answer.body["generation"].as_u64()), (&said, Some(1)));
    }
    held.process().signal("TERM");
    assert_eq!(held.ended().await, 0);
    let after = sandbox.control().counts();
    assert_eq!(after.refresh_requests, before.refresh_requests, "nothing was sent");

    // The hold ends: whose token was not used since is well, and the other one's tenant hears what to do.
    let open = App::spawn(at(), &settings);
    let tenant = tenant.at(&open);
    assert_eq!(forced(&tenant, "bob").await.expect(200).body["refresh"]["state"], "refreshed");
    let refused = forced(&tenant, "ada").await.expect(409);
    assert_eq!((refused.code(), refused.text("reason")), ("reauthorization_required", "revoked".to_owned()));
}

/// The line of the runbook that says so, without its prompt.
fn command(runbook: &str, word: &str) -> String {
    let text = text(runbook);
    let found = text.lines().find(|line| line.trim_start().starts_with("$ ") && line.contains(word));
    found.unwrap_or_else(|| panic!("no command with `{word}` in {runbook}")).trim_start()[2..].to_owned()
}

#[tokio::test]
async fn the_embedded_store_is_backed_up_while_it_runs_and_restored() {
    let key = new_master_key(Some("first"));
    let mut app = App::spawn(Stores::Embedded, &[("vault.master_keys", &key)]);
    let (sandbox, tenant) = tenant_with_two(&app).await;
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let backup = home.path().join("grantkeep.db");

    // What stands in the runbook, with the paths of this test, said to SQLite without its shell.
    let line = command(RESTORE, "VACUUM INTO");
    let sql = line
        .split('"')
        .nth(1)
        .expect("a statement")
        .replace("/backup/grantkeep.db", &backup.display().to_string());
    assert!(line.contains("/data/grantkeep.db"), "{line}");
    let database = rusqlite::Connection::open(app.folder().join("data/grantkeep.db")).expect("it opens");
    database.execute_batch(&sql).expect("a backup");
    drop(database);
    let copy = rusqlite::Connection::open(&backup).expect("it opens");
    let whole: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(whole, "ok");
    drop(copy);

    assert_eq!(forced(&tenant, "ada").await.expect(200).body["refresh"]["state"], "refreshed");
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0);
    let restored = home.path().join("data");
    std::fs::create_dir(&restored).expect("a folder");
    std::fs::rename(&backup, restored.join("grantkeep.db")).expect("it is put back");
    a_hold_spends_nothing(&sandbox, &tenant, &format!("embedded:{}", restored.display()), &key).await;
}

const WORD: &str = "f00dfeed";

fn compose() -> Compose {
    let values =
        ["PUBLIC_URL", "MASTER_KEYS", "MAIL_URL", "MAIL_FROM", "TLS_FOLDER"].map(|name| (name, "unused"));
    Compose::read(&[&values[..], &[("REDIS_PASSWORD", WORD)]].concat())
}

fn say<T: redis::FromRedisValue>(port: u16, word: &str, words: &[&str]) -> T {
    let credentials = if word.is_empty() { String::new() } else { format!(":{word}@") };
    let client = redis::Client::open(format!("redis://{credentials}127.0.0.1:{port}/")).expect("a URL");
    redis::Cmd::new().arg(words).query(&mut client.get_connection().expect("it listens")).expect("it answers")
}

/// Waits until nobody listens any more.
fn gone(mut server: Leashed) {
    for _ in 0..1000 {
        if server.ended().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not end: {}", server.log())
}

#[tokio::test]
async fn redis_is_restored_from_a_snapshot_although_it_keeps_an_append_only_file() {
    let (compose, key) = (compose(), new_master_key(Some("first")));
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = |name: &str| {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        folder
    };
    let (old, new) = (folder("old"), folder("new"));
    let (server, at) = Leashed::on_a_free_port(|port| Ok((redis(&compose, port, &old)?, port)));
    let store = |at: u16| format!("redis://:{WORD}@127.0.0.1:{at}/");
    let app = App::spawn(Stores::At(store(at)), &[("vault.master_keys", &key)]);
    let (sandbox, tenant) = tenant_with_two(&app).await;
    // `redis-cli --rdb` asks for the same file over the network.
    say::<()>(at, WORD, &["SAVE"]);
    std::fs::copy(old.join("dump.rdb"), new.join("dump.rdb")).expect("a backup");
    assert_eq!(forced(&tenant, "ada").await.expect(200).body["refresh"]["state"], "refreshed");
    app.process().signal("TERM");
    server.signal("KILL");
    gone(server);

    // The first start is without the append-only file, as the runbook says, and it is switched on while Redis runs.
    let line = command(RESTORE, "--appendonly no");
    let options = line.split("redis-server ").nth(1).expect("options").trim_end_matches('\'');
    assert_eq!(options, r#"--dir /data --appendonly no --save """#);
    let program = crate::support::tool("GRANTKEEP_TEST_REDIS_SERVER", "bin/redis-server");
    let ready = |server: &Leashed| server.log().contains("Ready to accept connections").then_some(());
    let (first, at) = Leashed::on_a_free_port(|port| {
        let place = ["--port".to_owned(), port.to_string(), "--bind".to_owned(), "127.0.0.1".to_owned()];
        let options =
            ["--dir", &new.display().to_string(), "--appendonly", "no", "--save", ""].map(str::to_owned);
        Ok((Leashed::start(&program, place.into_iter().chain(options), ready)?.0, port))
    });
    assert!(say::<u64>(at, "", &["DBSIZE"]) > 0);
    say::<()>(at, "", &["CONFIG", "SET", "appendonly", "yes"]);
    let done = |said: &str| said.contains("aof_rewrite_in_progress:0") && said.contains("aof_enabled:1");
    while !done(&say::<String>(at, "", &["INFO", "persistence"])) || !appended(&new) {
        std::thread::sleep(Duration::from_millis(10));
    }
    first.signal("TERM");
    gone(first);

    let (_server, at) = Leashed::on_a_free_port(|port| Ok((redis(&compose, port, &new)?, port)));
    a_hold_spends_nothing(&sandbox, &tenant, &store(at), &key).await;
}

/// The manifest names what is whole.
fn appended(folder: &Path) -> bool {
    folder.join("appendonlydir/appendonly.aof.manifest").exists()
}

#[tokio::test]
async fn a_lost_master_key_is_seen_as_the_runbook_says_and_heals_when_it_is_found() {
    let (first, other) = (new_master_key(Some("first")), new_master_key(Some("other")));
    let mut app = App::spawn(Stores::Embedded, &[("vault.master_keys", &first)]);
    let (_sandbox, tenant) = tenant_with_two(&app).await;
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0);
    let store = || Stores::At(format!("embedded:{}", app.folder().join("data").display()));
    let mut without = App::spawn(store(), &[("vault.master_keys", &other)]);
    assert_eq!(tenant.at(&without).token("ada").await.expect(500).code(), "internal");
    let log = without.log();
    let line = log.lines().find(|line| line.contains("ERROR")).unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("its data key is wrapped by master key `first`, which is not configured"),
        "{line}"
    );
    assert!(text("docs/runbooks/lost-master-key.md").contains("its data key is wrapped by master key"));
    without.process().signal("TERM");
    assert_eq!(without.ended().await, 0);
    let found = App::spawn(store(), &[("vault.master_keys", &format!("{other},{first}"))]);
    tenant.at(&found).token("ada").await.expect(200);
}

#[test]
fn runbooks_name_what_is_there() {
    let manual: toml::Table = text("config/default.toml").parse().expect("TOML");
    let setting = |name: &str| {
        let lower = name.to_lowercase();
        lower
            .split_once("__")
            .is_some_and(|(section, key)| manual.get(section).is_some_and(|keys| keys.get(key).is_some()))
    };
    let known: BTreeSet<&str> = metrics::all().map(|(name, _)| name).collect();
    let variable = regex_lite::Regex::new(r"GRANTKEEP_([A-Z]+__[A-Z_]+)").expect("a pattern");
    let metric = regex_lite::Regex::new(r"grantkeep_[a-z]+(_[a-z]+)*_(total|seconds|held|waiters)")
        .expect("a pattern");
    let link = regex_lite::Regex::new(r"\]\(([^)#]+)(#[^)]*)?\)").expect("a pattern");
    let mut looked_at = 0;
    for entry in std::fs::read_dir(path("docs/runbooks")).expect("a folder") {
        let file = entry.expect("an entry").path();
        let page = std::fs::read_to_string(&file).expect("a text");
        assert!(page.len() > 500, "{}", file.display());
        for found in variable.captures_iter(&page) {
            assert!(setting(&found[1]), "{} in {}", &found[0], file.display());
        }
        for found in metric.find_iter(&page) {
            assert!(known.contains(found.as_str()), "{} in {}", found.as_str(), file.display());
        }
        for found in link.captures_iter(&page) {
            let there = file.with_file_name(&found[1]);
            assert!(there.exists(), "{} in {}", &found[1], file.display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 20 && setting("REFRESH__HOLD") && !setting("REFRESH__HELD"));
}
