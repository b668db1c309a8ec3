//! What is seen of how a server is set up, and what is said about it.

use crate::support::redis::RedisServer;
use crate::support::redis_forms::{Nodes, Papers, Watched, admit};
use grantkeep::adapters::http::install_tls;
use grantkeep::adapters::redis::{RedisOptions, RedisStore, RedisUnfit};
use grantkeep::ports::store::{Store, StoreError};

const GOOD: &[&str] = &["--appendonly", "yes", "--hash-max-listpack-value", "1024"];

async fn inspect(url: &str) -> Result<Vec<String>, RedisUnfit> {
    let store = RedisStore::connect(url, RedisOptions::default()).unwrap();
    store.inspect().await.map(|inspection| inspection.warnings)
}

#[track_caller]
fn says(warnings: &[String], word: &str) {
    assert!(warnings.iter().any(|warning| warning.contains(word)), "no `{word}` in {warnings:?}");
}

#[tokio::test]
async fn a_server_that_is_set_up_well_gets_no_word() {
    let server = RedisServer::start(GOOD);
    assert_eq!(inspect(&server.url()).await, Ok(Vec::new()));
    for (setting, value, word) in [
        ("appendonly", "no", "set appendonly yes"),
        ("appendfsync", "no", "set appendfsync everysec"),
        ("hash-max-listpack-value", "64", "set hash-max-listpack-value 1024"),
    ] {
        let before: Vec<String> = server.say(&["CONFIG", "GET", setting]);
        server.say::<()>(&["CONFIG", "SET", setting, value]);
        let warnings = inspect(&server.url()).await.unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        says(&warnings, word);
        says(&warnings, &server.port().to_string());
        server.say::<()>(&["CONFIG", "SET", setting, &before[1]]);
    }
    server.say::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert_eq!(inspect(&server.url()).await, Ok(Vec::new()), "without a limit nothing is evicted");
    server.say::<()>(&["CONFIG", "SET", "maxmemory", "100mb"]);
    says(&inspect(&server.url()).await.unwrap(), "set maxmemory-policy noeviction");
}

#[tokio::test]
async fn a_user_who_may_not_look_is_told_what_was_not_seen() {
    let server = RedisServer::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    admit(&server, &[]);
    let url = server.url().replace("://", "://grantkeep:s3cret-word@");
    let warnings = inspect(&url).await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    says(&warnings, "lacks +info");
    says(&warnings, "lacks +config|get");
    admit(&server, &["+info"]);
    let warnings = inspect(&url).await.unwrap();
    says(&warnings, "set maxmemory-policy noeviction");
    says(&warnings, "lacks +config|get");
    admit(&server, &["+config|get"]);
    says(&inspect(&url).await.unwrap(), "set hash-max-listpack-value");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let watched = Watched::start(GOOD);
    let [master, replica] = &watched.servers;
    assert_eq!(inspect(&master.url()).await, Ok(Vec::new()));
    let refused = inspect(&replica.url()).await;
    let Err(RedisUnfit::Store(StoreError::Unavailable(why))) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("is a replica"), "{why}");
    let store = RedisStore::connect(&watched.url(), Watched::options()).unwrap();
    let warnings = store.inspect().await.unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    says(&warnings, "set min-replicas-to-write 1");
    let many =
        RedisStore::connect(&watched.url(), RedisOptions { replicas: 2, ..Watched::options() }).unwrap();
    says(&many.inspect().await.unwrap().warnings, "store.replicas is 2");
}

#[tokio::test]
async fn a_cluster_is_looked_at_node_by_node() {
    let nodes = Nodes::start(3, 0, GOOD);
    let node = &nodes.servers[0];
    let refused = inspect(&node.url()).await;
    assert!(
        matches!(&refused, Err(RedisUnfit::Unfit(why)) if why.contains("redis-cluster://")),
        "{refused:?}"
    );
    nodes.servers[1].say::<()>(&["CONFIG", "SET", "appendonly", "no"]);
    nodes.servers[2].say::<()>(&["CONFIG", "SET", "cluster-allow-reads-when-down", "yes"]);
    let warnings = inspect(&nodes.url()).await.unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let lacking = warnings.iter().find(|warning| warning.contains("has no replica")).unwrap();
    assert!(nodes.servers.iter().all(|node| lacking.contains(&node.port().to_string())), "{lacking}");
    let only = warnings.iter().find(|warning| warning.contains("appendonly")).unwrap();
    assert!(
        only.contains(&nodes.servers[1].port().to_string()) && !only.contains(&node.port().to_string()),
        "{only}"
    );
    says(&warnings, "cluster-allow-reads-when-down no");

    for server in &nodes.servers {
        server.say::<()>(&["CLUSTER", "DELSLOTS", "7"]);
    }
    let refused = inspect(&nodes.url()).await;
    let Err(RedisUnfit::Unfit(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("16383 of 16384 slots"), "{why}");

    let alone = RedisServer::shared();
    let refused = inspect(&alone.url().replace("redis://", "redis-cluster://")).await;
    let Err(RedisUnfit::Store(StoreError::Broken(why))) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("is no node of a cluster: use redis://"), "{why}");
}

#[tokio::test]
async fn only_the_right_authority_is_believed() {
    install_tls();
    let (papers, others) = (Papers::new(), Papers::new());
    let port = crate::support::process::free_port();
    let _server = RedisServer::start(&papers.settings(port));
    let ping = async |authority: Option<String>| {
        let options = RedisOptions { authority, ..RedisOptions::default() };
        RedisStore::connect(&format!("rediss://127.0.0.1:{port}"), options).unwrap().ping().await
    };
    ping(Some(papers.authority())).await.unwrap();
    ping(Some(others.authority() + &papers.authority())).await.unwrap();
    for wrong in [Some(others.authority()), None] {
        let refused = ping(wrong).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("certificate")),
            "{refused:?}"
        );
    }
}
