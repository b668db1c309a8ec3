//! What only a cluster has: slots on several nodes, slots that move, and nodes that redirect.

use super::bench::*;
use crate::support::redis::RedisServer;
use crate::support::redis_forms::{IN_A_CLUSTER, Nodes, Papers, RIGHTS, admit, until};
use grantkeep::adapters::http::install_tls;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::domain::{Id, TenantId};
use grantkeep::ports::store::{Batch, Guard, Key, Record, Store, StoreError};
use std::time::Duration;

fn connect(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions::default()).unwrap()
}

/// A key, and the numbers of the node that has it and of another one, with its slot.
fn placed(nodes: &Nodes, rest: &str) -> (Key, usize, usize, String) {
    let key = Key::of_tenant(&new_tenant(), rest);
    let slot: u64 = nodes.servers[0].say(&["CLUSTER", "KEYSLOT", key.name()]);
    let at = nodes.owner(0, key.name());
    (key, at, (at + 1) % nodes.masters, slot.to_string())
}

fn id(server: &RedisServer) -> String {
    server.say(&["CLUSTER", "MYID"])
}

fn calls(server: &RedisServer, command: &str) -> u64 {
    server.calls().get(command).copied().unwrap_or_default()
}

#[tokio::test]
async fn records_of_many_partitions_are_read_together() {
    let bench = Bench::redis_form("cluster");
    let tenant = new_tenant();
    let keys: Vec<Key> = (0..200).map(|n| Key::alone("many", &format!("{tenant}-{n}"))).collect();
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
        bench.write(put(key, &[("n", &n.to_string())])).await;
    }
    let read = bench.store.get_many(&keys.iter().collect::<Vec<_>>()).await.unwrap();
    for (n, record) in read.iter().enumerate() {
        let said = record.as_ref().and_then(|record| record.number::<usize>("n"));
        assert_eq!(said, (n % 3 != 0).then_some(n));
    }
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_and_nothing_is_half_there() {
    let nodes = Nodes::start(3, 0, &[]);
    let store = connect(&nodes.url());
    let (old, from, to, slot) = placed(&nodes, "old");
    let new = Key::of_tenant(&TenantId::parse(&old.name()[4..26]).unwrap(), "new");
    let (source, target) = (&nodes.servers[from], &nodes.servers[to]);
    applied(store.apply(Batch::new().then(put(&old, &[("a", "1")]))).await.unwrap());

    target.say::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(source)]);
    source.say::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(target)]);
    // What is not at the old place any more is asked for at the new one.
    let claim = Batch::new().when(Guard::Absent(new.clone())).then(put(&new, &[("b", "2")]));
    applied(store.apply(claim.clone()).await.unwrap());
    assert_eq!(refused(store.apply(claim).await.unwrap()), 0);
    let both = store.get_many(&[&old, &new]).await.unwrap();
    let revs: Vec<u64> = both.iter().flatten().map(Record::rev).collect();
    assert_eq!(revs, [1, 1]);
    assert!(calls(target, "asking") >= 3, "{:?}", target.calls());
    let torn = Batch::new().then(set(&old, &[("a", "3")])).then(set(&new, &[("b", "3")]));
    let torn = store.apply(torn).await;
    assert!(matches!(&torn, Err(StoreError::Unavailable(text)) if text.contains("TRYAGAIN")), "{torn:?}");

    let port = target.port().to_string();
    source.say::<()>(&["MIGRATE", "127.0.0.1", &port, old.name(), "0", "5000"]);
    for server in [target, source] {
        server.say::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(target)]);
    }
    for (key, field) in [(&old, "a"), (&new, "b")] {
        applied(store.apply(Batch::new().then(set(key, &[(field, "4")]))).await.unwrap());
        let record = store.get(key).await.unwrap().unwrap();
        assert_eq!((record.rev(), record.text(field)), (2, Some("4")), "{}", key.name());
    }
    // Once it knows, it asks there at once.
    let before = calls(source, "hgetall");
    assert!(store.take(&old).await.unwrap().is_some());
    assert_eq!(store.get(&old).await.unwrap(), None);
    assert_eq!(calls(source, "hgetall"), before);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let nodes = Nodes::start(3, 0, &[]);
    let store = RedisStore::connect(
        &nodes.url(),
        RedisOptions { response_timeout: Duration::from_secs(20), ..RedisOptions::default() },
    )
    .unwrap();
    let (key, at, ..) = placed(&nodes, "r");
    let server = &nodes.servers[at];
    applied(store.apply(Batch::new().then(set(&key, &[]))).await.unwrap());
    server.say::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let kill = async {
        while !server.say::<String>(&["INFO", "clients"]).contains("blocked_clients:1") {
            tokio::task::yield_now().await;
        }
        let _: i64 = server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    };
    let (write, ()) = tokio::join!(store.apply(Batch::new().then(set(&key, &[]))), kill);
    assert!(matches!(write, Err(StoreError::OutcomeUnknown(_))), "{write:?}");
    server.say::<()>(&["CLIENT", "UNPAUSE"]);
    assert_eq!(store.get(&key).await.unwrap().unwrap().rev(), 1);
    // Done elsewhere all the while, and here again.
    applied(store.apply(Batch::new().then(set(&key, &[]))).await.unwrap());
}

#[tokio::test]
async fn every_node_is_asked_whether_the_user_may() {
    let nodes = Nodes::start(3, 0, &[]);
    for server in &nodes.servers {
        admit(server, &[IN_A_CLUSTER]);
    }
    let url = nodes.url().replace("://", "://grantkeep:s3cret-word@");
    connect(&url).ping().await.unwrap();
    let commands: Vec<&str> = RIGHTS.split_whitespace().filter_map(|word| word.strip_prefix('+')).collect();
    for command in commands.into_iter().filter(|c| *c != "@connection") {
        nodes.servers[2].say::<()>(&["ACL", "SETUSER", "grantkeep", &format!("-{command}")]);
        nodes.servers[2].say::<()>(&["SCRIPT", "FLUSH"]);
        let ping = connect(&url).ping().await;
        assert!(
            matches!(&ping, Err(StoreError::Broken(text)) if text.contains("NOPERM")),
            "{command}: {ping:?}"
        );
        nodes.servers[2].say::<()>(&["ACL", "SETUSER", "grantkeep", &format!("+{command}")]);
    }
    for server in &nodes.servers {
        server.say::<()>(&["ACL", "SETUSER", "grantkeep", "-cluster|slots"]);
    }
    let ping = connect(&url).ping().await;
    assert!(matches!(&ping, Err(StoreError::Broken(text)) if text.contains("NOPERM")), "{ping:?}");
}

#[tokio::test]
async fn a_cluster_that_does_not_hold_together_is_unavailable() {
    let nodes = Nodes::start(3, 0, &[]);
    let store = connect(&nodes.url());
    let (key, at, ..) = placed(&nodes, "r");
    applied(store.apply(Batch::new().then(put(&key, &[]))).await.unwrap());
    nodes.servers[(at + 1) % 3].signal("KILL");
    until("the others notice", || {
        nodes.servers[at].say::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:fail").then_some(())
    });
    let (read, write) = (store.get(&key).await, store.apply(Batch::new().then(put(&key, &[]))).await);
    assert!(matches!(&read, Err(StoreError::Unavailable(text)) if text.contains("CLUSTERDOWN")), "{read:?}");
    assert!(
        matches!(&write, Err(StoreError::Unavailable(text)) if text.contains("CLUSTERDOWN")),
        "{write:?}"
    );
}

/// The replica would answer a reader who says READONLY; nobody here does.
#[tokio::test]
async fn a_replica_answers_nobody() {
    let nodes = Nodes::start(3, 1, &[]);
    let (key, at, ..) = placed(&nodes, "r");
    let replica = &nodes.servers[3 + at];
    let store = connect(&format!("redis-cluster://127.0.0.1:{}", replica.port()));
    applied(store.apply(Batch::new().then(put(&key, &[]))).await.unwrap());
    assert_eq!(store.get(&key).await.unwrap().unwrap().rev(), 1);
    assert_eq!(calls(replica, "hgetall"), 0);
    // They change places: what was read here is read there.
    replica.say::<()>(&["CLUSTER", "FAILOVER"]);
    until("it took over", || {
        replica.say::<String>(&["INFO", "replication"]).contains("role:master").then_some(())
    });
    assert_eq!(store.get(&key).await.unwrap().unwrap().rev(), 1);
    applied(store.apply(Batch::new().then(set(&key, &[]))).await.unwrap());
    assert_eq!(store.get(&key).await.unwrap().unwrap().rev(), 2);
    assert!(calls(replica, "hgetall") > 0, "{:?}", replica.calls());
}

#[tokio::test]
async fn a_cluster_over_tls() {
    install_tls();
    let papers = Papers::new();
    let settings = |port: u16| [papers.settings(port).as_slice(), &["--tls-cluster", "yes"]].concat();
    let nodes = Nodes::start_each(3, 0, settings);
    let ports: Vec<String> = nodes
        .servers
        .iter()
        .map(|server| server.say::<Vec<String>>(&["CONFIG", "GET", "tls-port"])[1].clone())
        .collect();
    let url = format!("rediss-cluster://127.0.0.1:{},localhost:{}", ports[1], ports[2]);
    let options = RedisOptions { authority: Some(papers.authority()), ..RedisOptions::default() };
    let store = RedisStore::connect(&url, options).unwrap();
    store.ping().await.unwrap();
    let keys: Vec<Key> = (0..30).map(|n| Key::alone("tls", &n.to_string())).collect();
    for key in &keys {
        applied(store.apply(Batch::new().then(put(key, &[]))).await.unwrap());
    }
    let read = store.get_many(&keys.iter().collect::<Vec<_>>()).await.unwrap();
    assert!(read.iter().all(Option::is_some));
}
