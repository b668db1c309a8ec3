//! Redis gone, silent, or refusing: what the caller is told, and that the store finds its way back.

use super::bench::*;
use crate::support::redis::RedisServer;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::domain::TenantId;
use grantkeep::ports::store::{Batch, Key, Store, StoreError, Value, Write};
use std::time::Duration;

fn connect(url: &str, response: Duration) -> RedisStore {
    let options = RedisOptions { response_timeout: response, ..RedisOptions::default() };
    RedisStore::connect(url, options).unwrap()
}

fn patient(server: &RedisServer) -> RedisStore {
    connect(&server.url(), Duration::from_secs(20))
}

fn key() -> Key {
    Key::alone("r", "1")
}

fn raise() -> Batch {
    Batch::new().then(set(&key(), &[("value", "hunter2")]))
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_killed_connection_is_opened_anew() {
    let server = RedisServer::start(&[]);
    let store = patient(&server);
    for rev in 1..=5 {
        applied(store.apply(raise()).await.unwrap());
        let _: i64 = server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        assert_eq!(store.get(&key()).await.unwrap().unwrap().rev(), rev);
    }
}

#[tokio::test]
async fn a_server_that_came_back_is_found() {
    let server = RedisServer::start(&[]);
    let (store, port) = (patient(&server), server.port());
    applied(store.apply(raise()).await.unwrap());
    drop(server);
    assert!(unavailable(&store.get(&key()).await));
    assert!(unavailable(&store.apply(raise()).await), "nothing was sent to a server that is gone");
    assert!(unavailable(&store.take(&key()).await));
    assert!(unavailable(&store.ping().await));
    let _again = RedisServer::start_on(port, &[]).expect("its port is still free");
    applied(store.apply(raise()).await.unwrap());
    assert_eq!(store.get(&key()).await.unwrap().unwrap().rev(), 1);
}

#[tokio::test]
async fn nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = connect(&format!("redis://user:hunter2@127.0.0.1:{port}"), Duration::from_secs(1));
    let asked = futures_util::future::join_all((0..100).map(|_| store.apply(raise()))).await;
    for answer in asked {
        assert!(unavailable(&answer), "{answer:?}");
        assert!(!format!("{answer:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome() {
    let server = RedisServer::start(&[]);
    let store = connect(&server.url(), Duration::from_secs(1));
    applied(store.apply(raise()).await.unwrap());
    let _: String = server.say(&["CLIENT", "PAUSE", "2500", "ALL"]);
    let key = key();
    let (write, read) = tokio::join!(store.apply(raise()), store.get(&key));
    assert!(matches!(write, Err(StoreError::OutcomeUnknown(_))), "{write:?}");
    assert!(unavailable(&read), "{read:?}");
    // The server goes on, with what it was sent or without.
    let after = connect(&server.url(), Duration::from_secs(20)).get(&key).await.unwrap().unwrap();
    assert!((1..=2).contains(&after.rev()));
    assert!(store.get(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn killed_under_way_is_an_unknown_outcome() {
    let server = RedisServer::start(&[]);
    let store = patient(&server);
    applied(store.apply(raise()).await.unwrap());
    let _: String = server.say(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let blocked = || server.say::<String>(&["INFO", "clients"]).contains("blocked_clients:1");
    let kill = async {
        while !blocked() {
            tokio::task::yield_now().await;
        }
        let _: i64 = server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    };
    let (write, ()) = tokio::join!(store.apply(raise()), kill);
    assert!(matches!(write, Err(StoreError::OutcomeUnknown(_))), "{write:?}");
    let _: String = server.say(&["CLIENT", "UNPAUSE"]);
    assert_eq!(
        store.get(&key()).await.unwrap().unwrap().rev(),
        1,
        "it is not sent again behind the caller's back"
    );
}

#[tokio::test]
async fn a_server_that_may_not_write() {
    let server = RedisServer::start(&[]);
    let store = patient(&server);
    store.ping().await.unwrap();
    let _: String = server.say(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(unavailable(&store.ping().await));
    assert!(unavailable(&store.apply(raise()).await));
    let _: String = server.say(&["REPLICAOF", "NO", "ONE"]);
    store.ping().await.unwrap();
    applied(store.apply(raise()).await.unwrap());
}

#[tokio::test]
async fn a_server_without_memory() {
    let server = RedisServer::start(&[]);
    let store = patient(&server);
    applied(store.apply(raise()).await.unwrap());
    let _: String = server.say(&["CONFIG", "SET", "maxmemory", "1"]);
    let write = store.apply(raise()).await;
    assert!(matches!(&write, Err(StoreError::Unavailable(text)) if text.contains("OOM")), "{write:?}");
    assert!(unavailable(&store.ping().await));
    assert_eq!(store.get(&key()).await.unwrap().unwrap().rev(), 1);
    assert!(store.take(&key()).await.unwrap().is_some(), "what frees memory still works");
    let _: String = server.say(&["CONFIG", "SET", "maxmemory", "0"]);
    applied(store.apply(raise()).await.unwrap());
}

#[tokio::test]
async fn a_server_whose_disk_fails() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(&["--dir", folder.path().to_str().unwrap(), "--save", "3600", "1"]);
    let store = patient(&server);
    drop(folder);
    let _: String = server.say(&["BGSAVE"]);
    while !server.say::<String>(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err") {
        tokio::task::yield_now().await;
    }
    let write = store.apply(raise()).await;
    assert!(matches!(&write, Err(StoreError::Unavailable(text)) if text.contains("MISCONF")), "{write:?}");
    assert!(unavailable(&store.ping().await));
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password() {
    let server = RedisServer::start(&["--requirepass", "right"]);
    for url in ["redis://:hunter2@", "redis://ada:hunter2@", "redis://"] {
        let store = connect(&server.url().replace("redis://", url), Duration::from_secs(20));
        let ping = store.ping().await;
        assert!(unavailable(&ping), "{ping:?}");
        assert!(!format!("{ping:?}").contains("hunter2"), "{ping:?}");
    }
    connect(&server.url().replace("redis://", "redis://:right@"), Duration::from_secs(20))
        .ping()
        .await
        .unwrap();
}

/// A batch that keeps the server's script busy for many times as long as it takes to notice.
fn long(tenant: &TenantId) -> Batch {
    let key = |n: usize| Key::of_tenant(tenant, &format!("r{n}"));
    let fields: Vec<_> = (0..10).map(|n| (format!("f{n}"), Value::from("x".repeat(5)))).collect();
    (0..40_000).fold(Batch::new(), |batch, n| {
        batch.then(Write::Put { key: key(n % 5000), fields: fields.clone(), lives: None })
    })
}

/// Strikes while the script runs: the server, told to say so after a millisecond, tells others that it is busy with one.
async fn in_the_middle(
    server: &RedisServer,
    store: &RedisStore,
    tenant: &TenantId,
    signal: &str,
) -> StoreError {
    server.say::<()>(&["CONFIG", "SET", "busy-reply-threshold", "1"]);
    let mut link = server.connection();
    let mut busy = || {
        let said = redis::cmd("DBSIZE").query::<i64>(&mut link);
        said.is_err_and(|error| error.code() == Some("BUSY"))
    };
    let strike = async {
        while !busy() {
            tokio::task::yield_now().await;
        }
        server.signal(signal);
    };
    let (write, ()) = tokio::join!(store.apply(long(tenant)), strike);
    write.expect_err("it was struck before it could answer")
}

fn durable(folder: &str) -> [&str; 6] {
    ["--appendonly", "yes", "--appendfsync", "always", "--dir", folder]
}

#[tokio::test]
async fn killed_in_the_middle_of_a_script() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let kept = folder.path().display().to_string();
    let server = RedisServer::start(&durable(&kept));
    let (port, tenant) = (server.port(), new_tenant());
    let store = connect(&server.url(), Duration::from_secs(20));
    applied(store.apply(raise()).await.unwrap());
    let told = in_the_middle(&server, &store, &tenant, "KILL").await;
    assert!(matches!(told, StoreError::OutcomeUnknown(_)), "{told:?}");
    drop(server);
    let again = RedisServer::start_on(port, &durable(&kept)).expect("its port is still free");
    assert_eq!(store.get(&key()).await.unwrap().unwrap().rev(), 1, "what was answered is there");
    assert_eq!(again.say::<i64>(&["DBSIZE"]), 1, "of the script nothing is");
    applied(store.apply(raise()).await.unwrap());
}

#[tokio::test]
async fn stopped_in_the_middle_of_a_script() {
    let server = RedisServer::start(&[]);
    let tenant = new_tenant();
    let store = connect(&server.url(), Duration::from_secs(3));
    applied(store.apply(raise()).await.unwrap());
    let told = in_the_middle(&server, &store, &tenant, "STOP").await;
    assert!(matches!(told, StoreError::OutcomeUnknown(_)), "{told:?}");
    assert!(unavailable(&store.get(&key()).await), "it hangs");
    server.signal("CONT");
    // It finishes what it was at, wholly: the caller was told that it may have.
    let store = patient(&server);
    let record = loop {
        match store.get(&key()).await {
            Err(StoreError::Unavailable(why)) if why.contains("BUSY") => tokio::task::yield_now().await,
            record => break record,
        }
    };
    assert_eq!(record.unwrap().unwrap().rev(), 1);
    assert_eq!(server.say::<i64>(&["DBSIZE"]), 5001);
    let last = store.get(&Key::of_tenant(&tenant, "r4999")).await.unwrap().unwrap();
    assert_eq!((last.rev(), last.fields().count()), (8, 11));
}
