//! The store goes away while a provider answers: what came is stored when the store is back, and nobody hears of it before.

use super::*;
use crate::support::redis::RedisServer;
use std::sync::Arc;

const IMPATIENT: &[(&str, &str)] = &[("store.timeout", "500ms"), ("store.connect_timeout", "500ms")];

/// Lets `trouble` happen while a refresh is at the provider and until after its answer; the caller's answer.
async fn during<F: Future<Output = ()>>(stage: &Stage, trouble: impl FnOnce() -> F) -> Answer {
    stage.strike(Fault::Delay(400));
    let heard = std::cell::Cell::new(false);
    let (answer, ()) = tokio::join!(
        async {
            let answer = stage.forced("ada").await;
            heard.set(true);
            answer
        },
        async {
            until("the refresh is under way", async || stage.counts().refreshes == 1).await;
            trouble().await;
            assert!(!heard.get(), "nobody was told of a token that is not stored");
        }
    );
    answer
}

/// Longer than the provider takes to answer and the store may take to store it.
const OUTAGE: Duration = Duration::from_millis(1500);

async fn is_kept(stage: &Stage, who: &Connected, answer: Answer) {
    let answer = answer.expect(200);
    assert_eq!(
        (&answer.body["generation"], &answer.body["refresh"]["state"]),
        (&2.into(), &"refreshed".into())
    );
    let after = stage.token("ada").await.expect(200);
    assert_eq!(
        (after.text("access_token"), &after.body["refresh"]["state"]),
        (answer.text("access_token"), &"fresh".into())
    );
    assert_eq!(stage.family(who).refresh_requests, 1);
    // The refresh token that was stored is the one that goes on.
    assert_eq!(stage.forced("ada").await.expect(200).body["generation"], 3);
}

#[tokio::test]
async fn a_store_that_hangs_is_waited_for() {
    let redis = Arc::new(RedisServer::start(&[]));
    let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, IMPATIENT).await;
    let who = stage.connect("ada", LONG).await;
    let answer = during(&stage, || async {
        redis.signal("STOP");
        tokio::time::sleep(OUTAGE).await;
        redis.signal("CONT");
    })
    .await;
    is_kept(&stage, &who, answer).await;
}

#[tokio::test]
async fn a_store_that_dies_and_comes_back_is_waited_for() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let kept = folder.path().display().to_string();
    let settings = ["--appendonly", "yes", "--appendfsync", "always", "--dir", &kept];
    let redis = RedisServer::start(&settings);
    let port = redis.port();
    // The stage reaches it by its address: this handle alone keeps it alive.
    let stage = Stage::new(Stores::At(redis.url()), STRICT, IMPATIENT).await;
    let who = stage.connect("ada", LONG).await;
    let again = std::cell::RefCell::new(None);
    let answer = during(&stage, || async {
        drop(redis);
        tokio::time::sleep(OUTAGE).await;
        *again.borrow_mut() = Some(RedisServer::start_on(port, &settings).expect("the port is still free"));
    })
    .await;
    is_kept(&stage, &who, answer).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_lets_no_refresh_begin() {
    let redis = Arc::new(RedisServer::start(&[]));
    let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, IMPATIENT).await;
    let who = stage.connect("ada", LONG).await;
    redis.signal("STOP");
    let refused = stage.forced("ada").await.expect(503);
    assert_eq!(refused.code(), "store_unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(stage.token("ada").await.expect(200).body["refresh"]["state"], "stale_store");
    assert_eq!(stage.counts().refresh_requests, 0);
    redis.signal("CONT");
    until("the store is back", async || stage.token("ada").await.body["refresh"]["state"] == "fresh").await;
    assert_eq!(stage.forced("ada").await.expect(200).body["generation"], 2);
    assert_eq!(stage.family(&who).refresh_requests, 1);
}
