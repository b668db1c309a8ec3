//! What only sentinels bring: a master that changes, and one that does not know that it is none any more.

use super::bench::*;
use crate::support::redis::RedisServer;
use crate::support::redis_forms::{Papers, Watched, admit, until};
use grantkeep::adapters::http::install_tls;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::domain::Secret;
use grantkeep::ports::store::{Batch, Key, Store, StoreError};
use std::net::TcpListener;
use std::time::Duration;

fn impatient() -> RedisOptions {
    RedisOptions { response_timeout: Duration::from_secs(1), ..Watched::options() }
}

fn key() -> Key {
    Key::alone("r", "1")
}

fn raise() -> Batch {
    Batch::new().then(set(&key(), &[]))
}

fn is_master(server: &RedisServer) -> Option<()> {
    server.try_say::<String>(&["INFO", "replication"])?.contains("role:master").then_some(())
}

/// Writes until one is done; what is said before is that the store cannot be asked, or that nobody knows.
async fn written(store: &RedisStore) {
    for _ in 0..1000 {
        match store.apply(raise()).await {
            Ok(outcome) => {
                applied(outcome);
                return;
            }
            Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the new master is not found")
}

#[tokio::test]
async fn a_new_master_is_found_and_the_old_one_is_not_read_any_more() {
    let watched = Watched::start(&[]);
    let [old, new] = &watched.servers;
    let store = RedisStore::connect(&watched.url(), impatient()).unwrap();
    applied(store.apply(raise()).await.unwrap());
    watched.fail_over();
    until("the replica became the master", || is_master(new));
    until("the master became a replica", || {
        old.try_say::<String>(&["INFO", "replication"])?.contains("role:slave").then_some(())
    });
    old.say::<()>(&["CONFIG", "RESETSTAT"]);
    written(&store).await;
    for _ in 0..20 {
        assert!(store.get(&key()).await.unwrap().unwrap().rev() >= 2);
    }
    let asked = old.calls();
    assert!(asked.keys().all(|name| !name.starts_with("hget") && name != "evalsha"), "{asked:?}");
}

/// The sentinel cannot reach the master any more, so it cannot demote it; we can.
#[tokio::test]
async fn a_master_that_is_cut_off_is_left() {
    let watched = Watched::start(&[]);
    let [old, new] = &watched.servers;
    for server in [old, new] {
        admit(server, &[]);
    }
    let url = watched.url().replace("://", "://grantkeep:s3cret-word@");
    let store = RedisStore::connect(&url, impatient()).unwrap();
    applied(store.apply(raise()).await.unwrap());
    // From here on the old master lets in nobody but us.
    let mut held = old.connection();
    let say = |held: &mut redis::Connection, words: &[&str]| redis::Cmd::new().arg(words).exec(held).unwrap();
    say(&mut held, &["ACL", "SETUSER", "default", "off"]);
    say(&mut held, &["CLIENT", "KILL", "USER", "default", "SKIPME", "yes"]);
    until("the replica became the master", || is_master(new));
    until("the sentinel says so", || (watched.master() == new.port()).then_some(()));
    new.say::<()>(&["HSET", key().name(), "who", "new"]);
    let role: redis::Value = redis::cmd("ROLE").query(&mut held).unwrap();
    assert!(format!("{role:?}").contains("master"), "it goes on believing it: {role:?}");
    tokio::time::sleep(Duration::from_millis(3100)).await;
    // Long enough ago: not even the first read after it is an old one.
    let record = store.get(&key()).await.unwrap().unwrap();
    assert_eq!(record.text("who"), Some("new"));
    applied(store.apply(raise()).await.unwrap());
    assert_eq!(new.say::<u64>(&["HGET", key().name(), "rev"]), 2);
}

#[tokio::test]
async fn a_master_that_hangs_is_replaced() {
    let watched = Watched::start(&[]);
    let [old, new] = &watched.servers;
    let store = RedisStore::connect(&watched.url(), impatient()).unwrap();
    applied(store.apply(raise()).await.unwrap());
    old.signal("STOP");
    let first = store.apply(raise()).await;
    assert!(matches!(first, Err(StoreError::OutcomeUnknown(_))), "{first:?}");
    until("the replica became the master", || is_master(new));
    written(&store).await;
    // It wakes up and believes it is the master still.
    old.signal("CONT");
    for _ in 0..20 {
        assert!(store.get(&key()).await.unwrap().is_some());
        written(&store).await;
    }
    assert!(new.say::<u64>(&["HGET", key().name(), "rev"]) >= 22);
}

#[tokio::test]
async fn sentinels_that_hang_refuse_or_know_nothing() {
    let watched = Watched::start(&[]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let several = watched.url().replace("://", &format!("://127.0.0.1:{silent},"));
    let store = RedisStore::connect(&several, impatient()).unwrap();
    applied(store.apply(raise()).await.unwrap());

    let unavailable = async |url: &str, options: RedisOptions, word: &str| {
        let asked = RedisStore::connect(url, options).unwrap().get(&key()).await;
        assert!(
            matches!(&asked, Err(StoreError::Unavailable(text)) if text.contains(word)),
            "{word}: {asked:?}"
        );
        assert!(!format!("{asked:?}").contains("hunter2"), "{asked:?}");
    };
    unavailable(&watched.url().replace("/main", "/other"), impatient(), "no master `other`").await;
    unavailable(&watched.url(), RedisOptions::default(), "NOAUTH").await;
    let wrong = Some((String::new(), Secret::new("hunter2")));
    unavailable(&watched.url(), RedisOptions { sentinel_login: wrong, ..impatient() }, "WRONGPASS").await;
    let sentinel = watched.url().replace("redis-sentinel", "redis").replace("/main", "");
    unavailable(&sentinel.replace("://", "://:watch%20word@"), impatient(), "redis-sentinel://").await;
    drop(watched);
    let gone = RedisStore::connect(
        &several,
        RedisOptions { connect_timeout: Duration::from_secs(1), ..impatient() },
    );
    let gone = gone.unwrap().get(&key()).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
}

/// Without sentinels there is no failover: the master that is known goes on.
#[tokio::test]
async fn a_master_outlives_its_sentinels() {
    let watched = Watched::start(&[]);
    let store = RedisStore::connect(&watched.url(), impatient()).unwrap();
    applied(store.apply(raise()).await.unwrap());
    watched.sentinel.signal("KILL");
    tokio::time::sleep(Duration::from_millis(3100)).await;
    for rev in 2..5 {
        applied(store.apply(raise()).await.unwrap());
        assert_eq!(store.get(&key()).await.unwrap().unwrap().rev(), rev);
    }
}

#[tokio::test]
async fn sentinels_over_tls() {
    install_tls();
    let papers = Papers::new();
    let watched = Watched::start_tls(&papers);
    let url = watched.url().replace("redis-", "rediss-");
    let options = RedisOptions { authority: Some(papers.authority()), ..Watched::options() };
    let store = RedisStore::connect(&url, options).unwrap();
    store.ping().await.unwrap();
    applied(store.apply(raise()).await.unwrap());
    let plain = RedisStore::connect(&watched.url(), impatient()).unwrap().get(&key()).await;
    assert!(matches!(plain, Err(StoreError::Unavailable(_))), "{plain:?}");
}

/// A write that waits for a replica is not said to be done before it is there.
#[tokio::test]
async fn a_write_waits_for_a_replica() {
    let watched = Watched::start(&[]);
    let [master, replica] = &watched.servers;
    let one = RedisOptions { replicas: 1, ..impatient() };
    let store = RedisStore::connect(&watched.url(), one.clone()).unwrap();
    let mut confirmed = 0;
    for rev in 1..=20_u64 {
        match store.apply(raise()).await {
            Ok(_) => {
                confirmed += 1;
                assert_eq!(replica.say::<u64>(&["HGET", key().name(), "rev"]), rev);
            }
            // A machine with other things to do may be late.
            Err(error) => assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}"),
        }
    }
    assert!(confirmed > 5, "{confirmed}");
    let two = RedisStore::connect(&watched.url(), RedisOptions { replicas: 2, ..one }).unwrap();
    let write = two.apply(raise()).await;
    assert!(
        matches!(&write, Err(StoreError::OutcomeUnknown(text)) if text.contains("of 2 replicas")),
        "{write:?}"
    );
    assert_eq!(master.say::<u64>(&["HGET", key().name(), "rev"]), 21, "the master has it");
    assert!(two.get(&key()).await.unwrap().is_some(), "reads wait for nobody");
}
