//! Redis in each of its forms, from outside: the journey on it, and what is said at a start about how it is set up.

use crate::journey::whole;
use crate::support::app::{App, Stores};
use crate::support::redis::RedisServer;
use crate::support::redis_forms::{Nodes, Watched, shared};
use grantkeep::app::new_master_key;
use std::process::Command;

async fn journey_on(form: &str) {
    let settings = shared(form).settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    whole(App::start_with(Stores::Embedded, &settings).await).await;
}

#[tokio::test]
async fn the_journey_over_tls() {
    journey_on("tls").await;
}

#[tokio::test]
async fn the_journey_as_a_user_with_few_rights() {
    journey_on("acl").await;
}

#[tokio::test]
async fn the_journey_under_a_sentinel() {
    journey_on("sentinel").await;
}

#[tokio::test]
async fn the_journey_in_a_cluster() {
    journey_on("cluster").await;
}

/// What `grantkeep check` says, and whether it found everything good enough.
fn check(settings: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let name = |key: &str| format!("GRANTKEEP_{}", key.to_uppercase().replace('.', "__"));
    let said = Command::new(env!("CARGO_BIN_EXE_grantkeep"))
        .arg("check")
        .env_clear()
        .env(name("vault.master_keys"), new_master_key(Some("test")))
        .envs(settings.iter().map(|(key, value)| (name(key), value)))
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (said.status.success(), text(&said.stdout) + &text(&said.stderr))
}

#[track_caller]
fn refuses(settings: &[(&str, &str)], words: &[&str]) {
    let (good, said) = check(settings);
    assert!(!good, "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn check_says_how_a_server_should_be_set_up() {
    let server = RedisServer::start(&[]);
    let (good, said) = check(&[("store.url", &server.url())]);
    assert!(good, "{said}");
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    for word in ["set appendonly yes", "set hash-max-listpack-value 1024", "the store answers"] {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

#[test]
fn a_server_says_it_once_at_its_start() {
    let server = RedisServer::start(&[]);
    let app = App::spawn(Stores::At(server.url()), &[]);
    let log = app.log();
    for word in ["set appendonly yes", "set hash-max-listpack-value 1024"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(word)).collect();
        assert!(lines.len() == 1 && lines[0].contains("WARN"), "{log}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do() {
    let watched = Watched::start(&[]);
    let nodes = Nodes::start(3, 0, &[]);
    let (node, alone) = (nodes.servers[0].url(), watched.servers[0].url());
    refuses(&[("store.url", &watched.servers[1].url())], &["is a replica"]);
    refuses(&[("store.url", &node)], &["redis-cluster://"]);
    refuses(&[("store.url", &alone.replace("redis://", "redis-cluster://"))], &["use redis://"]);
    refuses(&[("store.url", &watched.url())], &["sentinel", "NOAUTH"]);
    refuses(&[("store.url", &alone), ("store.ca_file", "none.pem")], &["store.ca_file", "none.pem"]);
    refuses(&[("store.url", "redis-sentinel://:hunter2@a")], &["store.url", "master's name"]);
    refuses(&[("store.url", "redis-cluster://:hunter2@a/4")], &["store.url", "only one"]);
    refuses(
        &[("store.url", &alone), ("store.sentinel_password", "hunter2")],
        &["store.sentinel_password", "redis-sentinel://"],
    );
    refuses(
        &[("store.url", &watched.url()), ("store.sentinel_user", "ada")],
        &["store.sentinel_password", "store.sentinel_user"],
    );
    refuses(&[("store.replicas", "1")], &["store.replicas", "embedded"]);
}
