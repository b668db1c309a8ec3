//! What only Redis has: runtimes, users, databases, scripts that can be forgotten, hashes that others can read.

use super::bench::*;
use crate::support::redis::RedisServer;
use crate::support::redis_forms::{IN_A_CLUSTER, RIGHTS};
use grantkeep::adapters::redis::{RedisOptions, RedisStore, RedisUrlError};
use grantkeep::ports::store::{Batch, Guard, Key, Store, StoreError, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

fn connect(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions::default()).unwrap()
}

#[tokio::test]
async fn records_are_plain_hashes_and_indexes_sorted_sets() {
    let server = RedisServer::shared();
    let (bench, tenant) = (Bench::redis(), new_tenant());
    let (key, index) = (Key::of_tenant(&tenant, "connection:x:y:"), Key::of_tenant(&tenant, "index:i"));
    let life = Duration::from_mins(10);
    let batch = Batch::new().then(put_for(&key, &[("status", "active")], life)).then(add(&index, "m"));
    applied(bench.apply(batch).await);
    let name = format!("gk:{{{tenant}}}:connection:x:y:");
    let hash: BTreeMap<String, Vec<u8>> = server.say(&["HGETALL", &name]);
    assert_eq!(hash, expect(1, &[("status", "active")]));
    let left: i64 = server.say(&["PTTL", &name]);
    assert!((590_000..=600_000).contains(&left), "{left}");
    let scores: Vec<(String, i64)> = server.say(&["ZRANGE", index.name(), "0", "-1", "WITHSCORES"]);
    assert_eq!(scores, [("m".to_owned(), 0)]);
}

#[tokio::test]
async fn several_records_are_one_pipeline_of_hgetall() {
    let server = RedisServer::start(&[]);
    let store = connect(&server.url());
    let (a, b) = (Key::alone("a", "1"), Key::alone("b", "2"));
    store.get_many(&[&a, &b]).await.unwrap();
    let _: String = server.say(&["CONFIG", "RESETSTAT"]);
    store.get_many(&[&a, &b]).await.unwrap();
    let stats: String = server.say(&["INFO", "commandstats"]);
    let calls: Vec<_> =
        // HELLO goes along once a second, in the same pipeline.
        stats.lines().filter(|l| l.starts_with("cmdstat_") && !l.contains("config|") && !l.contains("hello")).collect();
    assert_eq!(calls.len(), 1, "{stats}");
    assert!(calls[0].starts_with("cmdstat_hgetall:calls=2,"), "{stats}");
}

#[tokio::test]
async fn time_is_the_servers() {
    let (server, bench) = (RedisServer::shared(), Bench::redis());
    let time = || {
        let (seconds, micros): (i64, i64) = server.say(&["TIME"]);
        seconds * 1000 + micros / 1000
    };
    let before = time();
    let at = applied(bench.apply(Batch::new()).await).as_millis();
    assert!((before..=time()).contains(&at));
}

#[tokio::test]
async fn scripts_that_were_forgotten_are_loaded_again() {
    let server = RedisServer::start(&[]);
    let store = connect(&server.url());
    let key = Key::alone("r", "1");
    for rev in 1..4 {
        let _: String = server.say(&["SCRIPT", "FLUSH"]);
        applied(store.apply(Batch::new().then(set(&key, &[("a", "1")]))).await.unwrap());
        assert_eq!(store.get(&key).await.unwrap().unwrap().rev(), rev);
    }
    let _: String = server.say(&["SCRIPT", "FLUSH"]);
    assert!(store.take(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wrong_type_stops_a_batch_before_its_first_write() {
    let (server, bench) = (RedisServer::shared(), Bench::redis());
    let (good, list, hash) = (bench.key("good"), bench.key("list"), bench.key("hash"));
    let _: i64 = server.say(&["RPUSH", list.name(), "x"]);
    let _: i64 = server.say(&["HSET", hash.name(), "f", "v"]);
    for wrong in [
        set(&list, &[("a", "1")]),
        put(&list, &[]),
        add(&hash, "m"),
        remove(&list, "m"),
        append(&hash, &[("a", "1")]),
    ] {
        let outcome = bench.store.apply(Batch::new().then(put(&good, &[])).then(wrong)).await;
        assert!(
            matches!(&outcome, Err(StoreError::Broken(text)) if text.contains("WRONGTYPE")),
            "{outcome:?}"
        );
        assert_eq!(bench.get(&good).await, None);
    }
}

#[tokio::test]
async fn a_user_with_few_rights_and_a_database_of_its_own() {
    let server = RedisServer::start(&[]);
    let rights: Vec<&str> = RIGHTS.split_whitespace().collect();
    let _: String = server.say(&[&["ACL", "SETUSER", "grantkeep"], rights.as_slice()].concat());
    let url = server.url().replace("redis://", "redis://grantkeep:s3cret%2Dword@") + "3";
    let store = connect(&url);
    store.ping().await.unwrap();
    let key = Key::alone("r", "1");
    let batch = Batch::new().when(Guard::Absent(key.clone())).then(put(&key, &[("a", "1")]));
    applied(store.apply(batch).await.unwrap());
    let keys: i64 = redis::cmd("DBSIZE")
        .query(&mut redis::Client::open(server.url() + "3").unwrap().get_connection().unwrap())
        .unwrap();
    assert_eq!(keys, 1);

    for command in rights.iter().filter_map(|word| word.strip_prefix('+')).filter(|c| *c != "@connection") {
        let _: String = server.say(&["ACL", "SETUSER", "grantkeep", &format!("-{command}")]);
        let _: String = server.say(&["SCRIPT", "FLUSH"]);
        let ping = store.ping().await;
        assert!(
            matches!(&ping, Err(StoreError::Broken(text)) if text.contains("NOPERM")),
            "{command}: {ping:?}"
        );
        let _: String = server.say(&["ACL", "SETUSER", "grantkeep", &format!("+{command}")]);
    }
    store.ping().await.unwrap();
}

/// The tests take exactly the documented rights, and those that only the check uses.
#[test]
fn the_rights_are_those_that_are_documented() {
    let words = |text: &str| -> BTreeSet<String> {
        text.split_whitespace().filter(|word| word.starts_with(['+', '-', '~'])).map(str::to_owned).collect()
    };
    let manual = include_str!("../../../docs/operations.md");
    let line = manual.split("ACL SETUSER grantkeep").nth(1).unwrap().split("```").next().unwrap();
    let further = words("+subscribe +info +config|get");
    assert_eq!(words(line), words(RIGHTS).union(&further).cloned().collect());
    assert!(manual.contains(&format!("In a cluster also `{IN_A_CLUSTER}`")));
}

#[test]
fn many_runtimes_one_store() {
    let server = RedisServer::shared();
    let store = Arc::new(connect(&server.url()));
    let key = Key::of_tenant(&new_tenant(), "r");
    let add_one = || async { store.apply(Batch::new().then(set(&key, &[]))).await.unwrap() };
    // One thread, one runtime after the other, and two that live at once.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..3 {
        runtime().block_on(add_one());
    }
    let (one, two) = (runtime(), runtime());
    for _ in 0..3 {
        one.block_on(add_one());
        two.block_on(add_one());
    }
    // Threads with a runtime each, as a web server's workers have, beside one with many threads.
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                runtime().block_on(async { futures_util::future::join_all((0..10).map(|_| add_one())).await })
            });
        }
        for _ in 0..20 {
            let (store, key) = (Arc::clone(&store), key.clone());
            many.spawn(async move { store.apply(Batch::new().then(set(&key, &[]))).await.unwrap() });
        }
        many.block_on(async {
            while store.get(&key).await.unwrap().unwrap().rev() < 69 {
                tokio::task::yield_now().await;
            }
        });
    });
    assert_eq!(many.block_on(store.get(&key)).unwrap().unwrap().rev(), 69);
    assert!(matches!(futures_util::FutureExt::now_or_never(store.ping()), Some(Err(StoreError::Broken(_)))));
}

#[tokio::test]
async fn one_connection_for_each_thread() {
    let server = RedisServer::start(&[]);
    let store = Arc::new(connect(&server.url()));
    let pings = (0..200).map(|_| store.ping());
    assert!(futures_util::future::join_all(pings).await.into_iter().all(|ping| ping.is_ok()));
    let clients: String = server.say(&["CLIENT", "LIST"]);
    let ours = clients.lines().filter(|line| line.contains("lib-name=grantkeep") || line.contains("resp=3"));
    assert_eq!(ours.count(), 1, "{clients}");
}

#[test]
fn urls() {
    let connect = |url: &str| RedisStore::connect(url, RedisOptions::default()).map(drop);
    for good in [
        "redis://127.0.0.1",
        "redis://user:p%40ss@host:6380/15",
        "redis://:pass@[::1]:6379/",
        "rediss://host.example:6380",
        "redis-sentinel://a,b:26380,[::1]:1/main",
        "redis-sentinel://user:p%2Fss@a/my%2Dmaster/3",
        "rediss-sentinel://a/main",
        "redis-cluster://a:7000,b:7001,c",
        "rediss-cluster://user:pass@a/",
    ] {
        assert_eq!(connect(good), Ok(()), "{good}");
    }
    for scheme in ["redis+cluster", "sentinel", "unix", "http", "redis+unix"] {
        let refusal = connect(&format!("{scheme}://:hunter2@host")).unwrap_err();
        assert_eq!(refusal, RedisUrlError::Scheme(scheme.to_owned()));
        assert!(refusal.to_string().contains("redis:// or rediss://"), "{refusal}");
    }
    for (bad, said) in [
        ("", "no URL"),
        ("redis", "no URL"),
        ("redis:", "no URL"),
        ("redis:///", "a host"),
        ("redis://:hunter2@host/x", "a number as the database"),
        ("redis://:hunter2@host/1/2", "nothing behind"),
        ("rediss://:hunter2@host#insecure", "nothing after"),
        ("redis://:hunter2@host?protocol=resp2", "nothing after"),
        ("redis://:hunter2@host:99999", "port"),
        ("redis://:hunter2@host:0", "port"),
        ("redis://:hunter2@0.0.0.0", "can be reached"),
        ("redis://u:%ff@host", "UTF-8"),
        ("redis://hunter2@host", "password behind the user"),
        ("redis://:hunter2@a,b", "redis-cluster://"),
        ("redis-sentinel://:hunter2@a,b", "master's name"),
        ("redis-sentinel://:hunter2@a/main/x", "database"),
        ("redis-sentinel://:hunter2@a,/main", "a host"),
        ("redis-cluster://:hunter2@a,b/1", "only one"),
        ("redis-cluster://:hunter2@a,,b", "a host"),
    ] {
        let refusal = connect(bad).unwrap_err();
        assert!(matches!(refusal, RedisUrlError::Malformed { .. }), "{bad}: {refusal}");
        assert!(refusal.to_string().contains(said), "{bad}: {refusal}");
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
    }
    for odd in ["hunter2://x", "Hunter://x"] {
        let refusal = connect(odd).unwrap_err().to_string();
        assert!(!refusal.to_lowercase().contains("hunter"), "it may be a password: {refusal}");
    }
    for authority in ["", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----"] {
        let options = RedisOptions { authority: Some(authority.to_owned()), ..RedisOptions::default() };
        assert_eq!(RedisStore::connect("rediss://host", options).map(drop), Err(RedisUrlError::Authority));
    }
}

#[tokio::test]
async fn now_is_one_moment_for_a_whole_batch() {
    let bench = Bench::redis();
    let (one, two) = (bench.key("1"), bench.key("2"));
    let now = |key: &Key| grantkeep::ports::store::Write::Put {
        key: key.clone(),
        fields: vec![
            ("a".to_owned(), Value::Now(Duration::ZERO)),
            ("b".to_owned(), Value::Now(Duration::ZERO)),
        ],
        lives: None,
    };
    let at = applied(bench.apply(Batch::new().then(now(&one)).then(now(&two))).await).as_millis().to_string();
    let same = expect(1, &[("a", &at), ("b", &at)]);
    assert_eq!((bench.fields(&one).await, bench.fields(&two).await), (same.clone(), same));
}
