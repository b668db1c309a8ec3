//! What batches tell: hints, to all who listen, and only of what happened. A store may tell nobody; then it says so.

use super::bench::*;
use crate::support::redis::RedisServer;
use crate::support::redis_forms::until;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::ports::store::{Batch, Guard, Key, Notice, Store, Write};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;

const PATIENCE: Duration = Duration::from_secs(10);

async fn next(told: &mut Receiver<Notice>) -> Notice {
    tokio::time::timeout(PATIENCE, told.recv()).await.expect("something is told").expect("it goes on")
}

/// Listens, and returns once it is heard.
async fn listen(store: &dyn Store) -> Option<Receiver<Notice>> {
    let mut told = store.listen(&Handle::current())?;
    // The first word is that there is a connection now, and that something may have been told before.
    assert_eq!(next(&mut told).await, Notice::Missed);
    Some(told)
}

fn changed(key: &Key) -> Notice {
    Notice::Changed(key.name().into())
}

async fn a_batch_tells_what_it_says_when_it_happens(bench: &Bench) {
    let (key, other) = (bench.key("told"), bench.key("other"));
    let Some(mut told) = listen(&*bench.store).await else {
        // What tells nobody takes such a batch all the same.
        applied(bench.apply(Batch::new().then(set(&key, &[])).then(Write::Tell { key })).await);
        return;
    };
    let tell = |key: &Key| Write::Tell { key: key.clone() };
    let refused = Batch::new().when(Guard::Present(key.clone())).then(set(&key, &[])).then(tell(&other));
    assert_eq!(super::bench::refused(bench.apply(refused).await), 0);
    applied(bench.apply(Batch::new().then(set(&key, &[])).then(tell(&key))).await);
    // Others may use the same Redis: what they tell is none of ours.
    loop {
        let notice = next(&mut told).await;
        assert_ne!(notice, changed(&other), "what was refused tells nothing");
        if notice == changed(&key) {
            break;
        }
    }
    assert_eq!(bench.rev(&key).await, 1, "what is told is there");
    let mut late = bench.store.listen(&Handle::current()).expect("it tells");
    applied(bench.apply(Batch::new().then(tell(&other))).await);
    for told in [&mut told, &mut late] {
        while next(told).await != changed(&other) {}
    }
}

on_every_store!(a_batch_tells_what_it_says_when_it_happens);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_outlives_the_server() {
    let server = RedisServer::start(&[]);
    let port = server.port();
    let store = RedisStore::connect(&server.url(), RedisOptions::default()).expect("a URL");
    let mut told = listen(&store).await.expect("it tells");
    let key = Key::alone("told", "1");
    drop(server);
    assert_eq!(next(&mut told).await, Notice::Missed, "what is told now is not heard");
    let again = RedisServer::start_on(port, &[]).expect("the port is still free");
    until("it listens again", || {
        again.say::<String>(&["CLIENT", "LIST", "TYPE", "pubsub"]).contains("sub=1").then_some(())
    });
    applied(store.apply(Batch::new().then(Write::Tell { key: key.clone() })).await.expect("it answers"));
    loop {
        match next(&mut told).await {
            Notice::Missed => {}
            told @ Notice::Changed(_) => return assert_eq!(told, changed(&key)),
        }
    }
}

/// A user without the right to tell can write nothing that tells, and nothing is half-written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_tell_writes_nothing() {
    let server = RedisServer::start(&[]);
    let rights = ["ACL", "SETUSER", "mute", "on", ">word", "~gk:*", "+@all", "-publish"];
    server.say::<()>(&rights);
    let url = format!("redis://mute:word@127.0.0.1:{}/", server.port());
    let store = RedisStore::connect(&url, RedisOptions::default()).expect("a URL");
    let key = Key::alone("told", "1");
    let batch = Batch::new().then(set(&key, &[])).then(Write::Tell { key: key.clone() });
    assert!(store.apply(batch).await.is_err());
    assert_eq!(store.get(&key).await, Ok(None), "nothing is half-written");
    assert!(store.ping().await.is_err(), "it is missed at the start");
}
