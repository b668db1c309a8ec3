//! Redis killed, stopped, replaced by its replica, and a cluster that loses a node.

use super::*;
use crate::support::app::Stores;
use crate::support::redis::RedisServer;
use crate::support::redis_forms::{Nodes, Watched};
use std::cell::RefCell;
use std::collections::BTreeSet;

const IMPATIENT: &[(&str, &str)] = &[("store.timeout", "1s"), ("store.connect_timeout", "500ms")];

async fn app(further: &[(&str, String)]) -> App {
    let own: Vec<(&str, &str)> = further.iter().map(|(key, value)| (*key, value.as_str())).collect();
    App::start_with(Stores::Embedded, &[IMPATIENT, &own].concat()).await
}

/// Records and index entries of a tenant's keys, as they lie in Redis.
fn lies(server: &RedisServer, tenant: &Tenant) -> (BTreeSet<String>, BTreeSet<String>) {
    let front = format!("gk:{{{}}}:", tenant.id());
    let records: Vec<String> = server.say(&["KEYS", &format!("{front}api-key:*")]);
    let ids = records.into_iter().map(|name| name[front.len() + "api-key:".len()..].to_owned()).collect();
    let index: Vec<String> = server.say(&["ZRANGE", &format!("{front}index:api-keys"), "0", "-1"]);
    // Members of a large index stand several in an element.
    (ids, index.iter().flat_map(|page| page.split('\0')).map(str::to_owned).collect())
}

#[track_caller]
fn lies_whole(server: &RedisServer, tenant: &Tenant, made: usize) {
    let (records, index) = lies(server, tenant);
    assert_eq!(records, index, "a key is a record and an entry, or neither");
    assert!(records.len() >= made, "{} of {made}", records.len());
}

#[tokio::test]
async fn killed_again_and_again() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let place = folder.path().display().to_string();
    let kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", place.as_str()];
    let server = RefCell::new(RedisServer::start(&kept));
    let (port, url) = (server.borrow().port(), server.borrow().url());
    let app = app(&[("store.url", url)]).await;
    let stage = Stage::new(&app, 1).await;
    for _ in 0..3 {
        let told = stage
            .during(async |told| {
                until("some are written", || told.made() > 30).await;
                server.borrow().signal("KILL");
                until("some are refused", || told.refused() > WRITERS).await;
                let (made, again) = (told.made(), RedisServer::start_on(port, &kept));
                *server.borrow_mut() = again.expect("the port is free");
                until("more are written", || told.made() > made + 30).await;
            })
            .await;
        lies_whole(&server.borrow(), &stage.tenants[0], told.made());
        stage.is_whole(&told).await;
    }
    assert_eq!(ready(&app).await, 200);
}

#[tokio::test]
async fn stopped_and_gone_on() {
    let server = RedisServer::start(&[]);
    let app = app(&[("store.url", server.url())]).await;
    let stage = Stage::new(&app, 1).await;
    for _ in 0..2 {
        let told = stage
            .during(async |told| {
                until("some are written", || told.made() > 30).await;
                server.signal("STOP");
                until("some are refused", || told.refused() > 2 * WRITERS).await;
                assert_eq!(ready(&app).await, 503);
                let made = told.made();
                server.signal("CONT");
                until("more are written", || told.made() > made + 30).await;
            })
            .await;
        lies_whole(&server, &stage.tenants[0], told.made());
        stage.is_whole(&told).await;
    }
    assert_eq!(ready(&app).await, 200);
}

#[tokio::test]
async fn a_sentinel_replaces_a_master_that_was_killed() {
    is_replaced("KILL").await;
}

#[tokio::test]
async fn a_sentinel_replaces_a_master_that_hangs() {
    is_replaced("STOP").await;
}

/// The replica takes over, and has what was answered: `store.replicas` waits for it. A master that hung comes back.
async fn is_replaced(signal: &str) {
    let watched = Watched::start(&[]);
    let [old, new] = &watched.servers;
    let app = app(&[&watched.settings()[..], &[("store.replicas", "1".to_owned())]].concat()).await;
    let stage = Stage::new(&app, 1).await;
    let third = RefCell::new(None);
    let told = stage
        .during(async |told| {
            until("some are written", || told.made() > 30).await;
            old.signal(signal);
            until("some are refused", || told.refused() > WRITERS).await;
            until("the replica is the master", || watched.master() == new.port()).await;
            // There is no other replica: what waits for one would wait for ever.
            let of = new.port().to_string();
            *third.borrow_mut() = Some(RedisServer::start(&["--replicaof", "127.0.0.1", &of]));
            let made = told.made();
            until("more are written", || told.made() > made + 30).await;
            if signal == "STOP" {
                old.signal("CONT");
                let made = told.made();
                until("more are written still", || told.made() > made + 100).await;
            }
        })
        .await;
    lies_whole(new, &stage.tenants[0], told.made());
    stage.is_whole(&told).await;
    assert_eq!(ready(&app).await, 200);
}

/// One of three masters hangs for good; one of its replicas takes over. Tenants are on each of them.
#[tokio::test]
async fn a_cluster_loses_a_node() {
    let nodes = Nodes::start(3, 2, &[]);
    let app = app(&[("store.url", nodes.url()), ("store.replicas", "1".to_owned())]).await;
    let stage = Stage::new(&app, 6).await;
    let name = |tenant: &Tenant| format!("gk:{{{}}}:tenant", tenant.id());
    let lost = nodes.owner(0, &name(&stage.tenants[0]));
    let asked = (lost + 1) % 3;
    let told = stage
        .during(async |told| {
            until("some are written", || told.made() > 60).await;
            nodes.servers[lost].signal("STOP");
            until("some are refused", || told.refused() > WRITERS).await;
            until("a replica takes over", || nodes.owner(asked, &name(&stage.tenants[0])) != lost).await;
            let made = || told.made.lock().unwrap().iter().filter(|made| made.tenant == 0).count();
            let before = made();
            until("tenants of the lost node are served", || made() > before + 20).await;
        })
        .await;
    nodes.servers[lost].signal("KILL");
    stage.is_whole(&told).await;
    assert_eq!(ready(&app).await, 200);
    for (number, tenant) in stage.tenants.iter().enumerate() {
        let made = told.made.lock().unwrap().iter().filter(|made| made.tenant == number).count();
        lies_whole(&nodes.servers[nodes.owner(asked, &name(tenant))], tenant, made);
    }
}
