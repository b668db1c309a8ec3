//! What a token costs at the store, counted by Redis itself.

use super::*;
use crate::support::redis::RedisServer;
use crate::support::tenant::PASSWORD;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A stage on a Redis of its own, where everything is counted.
async fn counted() -> (Arc<RedisServer>, Stage) {
    let redis = Arc::new(RedisServer::start(&[]));
    // Nothing but the case itself asks the store.
    let alone =
        [("server.workers", "1"), ("mail.backoff_min", "10m"), ("tenants.deletion_pause", "1h"), UNKEPT];
    let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, &alone).await;
    (redis, stage)
}

/// What the server was asked since the last reset, without what the counting itself asks.
fn asked(redis: &RedisServer) -> BTreeMap<String, u64> {
    let mut calls = redis.calls();
    calls.retain(|name, _| {
        !["config|resetstat", "info", "hello", "client|setinfo", "select"].contains(&name.as_str())
    });
    calls
}

/// How often the server found something to read on a connection since the last reset.
fn reads(link: &mut redis::Connection) -> u64 {
    let said: String = redis::cmd("INFO").arg("stats").query(link).expect("it answers");
    let line = said.lines().find_map(|line| line.strip_prefix("total_reads_processed:")).expect("it counts");
    line.trim().parse().expect("a number")
}

fn reset(link: &mut redis::Connection) {
    redis::cmd("CONFIG").arg("RESETSTAT").exec(link).expect("it answers");
}

/// What an append to the audit trail asks: one script, and what that asks itself.
fn append() -> BTreeMap<String, u64> {
    let asked =
        [("evalsha", 1), ("time", 1), ("exists", 1), ("hget", 2), ("xlen", 1), ("xadd", 1), ("hset", 1)];
    asked.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// What a token costs that is fresh, where nothing is kept: so many records, and the record of the hand-out.
fn read_and_append(records: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([("hgetall".to_owned(), records)]).into_iter().chain(append()).collect()
}

/// Key, connection and integration are read together, and then the hand-out is recorded. What proves two round trips: a client that
/// waits for an answer before it asks again is read from each time, one that pipelines once; Redis counts the reads of its
/// sockets in `total_reads_processed`. All questions are far smaller than what one read takes, so none comes in two.
#[tokio::test]
async fn a_fresh_token_is_one_read_and_one_append() {
    let (redis, stage) = counted().await;
    stage.connect("ada", LONG).await;
    let mut link = redis.connection();
    // The answer of the reset comes after the count was set to zero: what is read next is the question itself.
    reset(&mut link);
    let own = reads(&mut link);
    for _ in 0..3 {
        reset(&mut link);
        let answer = stage.token("ada").await.expect(200);
        let trips = reads(&mut link) - own;
        assert_eq!(answer.body["refresh"]["state"], "fresh");
        assert_eq!(asked(&redis), read_and_append(3));
        assert_eq!(trips, 2, "what is read comes in one round trip, the record goes in another");
    }
}

/// Where what is read is kept, the record of the hand-out is all; where that is not wanted, nothing.
#[tokio::test]
async fn a_fresh_token_that_is_kept_is_one_append_or_nothing() {
    for (handouts, asked_for) in [("before", append()), ("off", BTreeMap::new())] {
        let redis = Arc::new(RedisServer::start(&[]));
        let alone = [
            ("server.workers", "1"),
            ("mail.backoff_min", "10m"),
            ("tenants.deletion_pause", "1h"),
            ("cache.ttl", "5s"),
            ("audit.handouts", handouts),
        ];
        let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, &alone).await;
        stage.connect("ada", LONG).await;
        let costs = async || {
            reset(&mut redis.connection());
            stage.token("ada").await.expect(200);
            asked(&redis)
        };
        costs().await;
        assert_eq!(costs().await, asked_for, "{handouts}");
    }
}

/// With a password: no hash each time. Where one must be made, the owner of the address is looked up first; a caller who is
/// remembered costs the member's record, connection and integration, and the record of the hand-out.
#[tokio::test]
async fn a_password_is_hashed_once() {
    let (redis, stage) = counted().await;
    stage.connect("ada", LONG).await;
    let mut link = redis.connection();
    let mut costs = Vec::new();
    for _ in 0..3 {
        reset(&mut link);
        let call = crate::support::browser::http()
            .post(format!("{}/get-access-token", stage.tenant.url))
            .basic_auth(&stage.tenant.email, Some(PASSWORD));
        answer(with_json(call, &json!({ "provider": "sandbox", "end_user": "ada" }))).await.expect(200);
        costs.push(asked(&redis));
    }
    let warm = read_and_append(3);
    // The stage made its key with the same password: even the first is remembered.
    assert_eq!(costs, [warm.clone(), warm.clone(), warm]);
    let elsewhere = App::start(Stores::Embedded).await;
    let stranger = Tenant::new(&elsewhere).await;
    let call = crate::support::browser::http()
        .post(format!("{}/get-access-token", stage.tenant.url))
        .basic_auth(&stranger.email, Some(PASSWORD));
    answer(with_json(call, &json!({ "provider": "sandbox", "end_user": "ada" }))).await.expect(401);
}

/// What a refresh costs: the question that found the token too old (three records, two of which are kept elsewhere than here),
/// the flight's own look (connection and integration), the claim, the outcome, the record read back, and two records in the
/// audit trail: the refresh and the hand-out. Nobody waits for the first alone, so one append may have both. What the scripts
/// ask themselves is counted with them.
#[tokio::test]
async fn a_refresh_is_four_scripts_at_most() {
    let (redis, stage) = counted().await;
    stage.connect("ada", LONG).await;
    // The data key is known and the scripts are loaded from here on.
    stage.forced("ada").await.expect(200);
    redis.say::<()>(&["CONFIG", "RESETSTAT"]);
    stage.forced("ada").await.expect(200);
    let calls = asked(&redis);
    let count = |name: &str| calls.get(name).copied().unwrap_or_default();
    // A hint more where the new due time, which is drawn by lot, lies in another ten minutes than the last one.
    let hints = count("zadd") - 1;
    assert!(hints <= 1, "{calls:?}");
    let scripts = count("evalsha") - hints;
    assert!((3..=4).contains(&scripts), "claim and outcome, and the records of both deeds: {calls:?}");
    assert_eq!(count("xadd"), 2, "the refresh and the hand-out: {calls:?}");
    let read = "key, connection and integration, connection and integration, outcome";
    assert_eq!(count("hgetall"), 6, "{read}: {calls:?}");
    assert_eq!(count("zrem"), 1, "it moves in the index of what is due: {calls:?}");
    assert!(["eval", "script|load", "del"].iter().all(|name| count(name) == 0), "{calls:?}");
}
