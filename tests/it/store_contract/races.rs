//! Many at once: one wins, nothing is lost.

use super::bench::*;
use grantkeep::ports::store::{Batch, Guard, Outcome, Value, Write};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

on_every_store! {
    one_of_fifty_takes, one_of_fifty_swaps_by_rev, one_of_fifty_claims, one_of_fifty_takes_over,
    a_thousand_batches_at_once, readers_never_see_half, can_be_asked, asked_again_and_again,
}

/// Starts all of them at one moment on the runtime's threads.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    make: impl Fn(usize) -> F,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let (barrier, work) = (Arc::clone(&barrier), make(n));
            tokio::spawn(async move {
                barrier.wait().await;
                work.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

async fn winners(bench: &Bench, batch: Batch) -> usize {
    let outcomes = at_once(50, |_| {
        let (store, batch) = (Arc::clone(&bench.store), batch.clone());
        async move { store.apply(batch).await.unwrap() }
    });
    outcomes.await.into_iter().filter(|outcome| outcome.applied()).count()
}

async fn one_of_fifty_takes(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("a", "1")])).await;
    let taken = at_once(50, |_| {
        let (store, key) = (Arc::clone(&bench.store), key.clone());
        async move { store.take(&key).await.unwrap() }
    });
    let taken: Vec<_> = taken.await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(fields_of(&taken[0]), expect(1, &[("a", "1")]));
}

async fn one_of_fifty_swaps_by_rev(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("a", "1")])).await;
    let batch = Batch::new().when(Guard::Rev(key.clone(), 1)).then(set(&key, &[("a", "2")]));
    assert_eq!(winners(bench, batch).await, 1);
    assert_eq!(bench.fields(&key).await, expect(2, &[("a", "2")]));
}

async fn one_of_fifty_claims(bench: &Bench) {
    let key = bench.key("r");
    let batch = Batch::new().when(Guard::Absent(key.clone())).then(put(&key, &[]));
    assert_eq!(winners(bench, batch).await, 1);
    assert_eq!(bench.rev(&key).await, 1);
}

async fn one_of_fifty_takes_over(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("deadline", "1")])).await;
    let fields = vec![("deadline".to_owned(), Value::Now(Duration::from_mins(1)))];
    let batch = Batch::new()
        .when(Guard::Passed(key.clone(), "deadline".to_owned()))
        .then(Write::Set { key: key.clone(), fields });
    assert_eq!(winners(bench, batch).await, 1);
}

async fn a_thousand_batches_at_once(bench: &Bench) {
    let (shared, index) = (bench.key("shared"), bench.key("index:i"));
    let own = |n: usize| bench.key(&format!("own{n}"));
    let outcomes = at_once(1000, |n| {
        let batch = Batch::new()
            .when(Guard::Absent(own(n)))
            .then(set(&shared, &[("last", &n.to_string())]))
            .then(put(&own(n), &[("n", &n.to_string())]))
            .then(add(&index, &format!("{n:04}")));
        let store = Arc::clone(&bench.store);
        async move { store.apply(batch).await.unwrap() }
    });
    assert!(outcomes.await.into_iter().all(Outcome::applied));
    assert_eq!(bench.rev(&shared).await, 1000);
    assert_eq!(bench.scan(&index, "").await.len(), 1000);
    for n in [0, 1, 500, 999] {
        assert_eq!(bench.fields(&own(n)).await, expect(1, &[("n", &n.to_string())]));
    }
}

async fn readers_never_see_half(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("a", "0"), ("b", "0")])).await;
    let store = Arc::clone(&bench.store);
    let written = key.clone();
    let writer = tokio::spawn(async move {
        for n in 1..=200 {
            let n = n.to_string();
            store.apply(Batch::new().then(put(&written, &[("a", &n), ("b", &n)]))).await.unwrap();
        }
    });
    let mut last = 0;
    while last < 200 {
        let record = bench.get(&key).await.expect("a record that is replaced is never absent");
        let n: u64 = record.number("a").unwrap();
        assert_eq!(record.number("b"), Some(n));
        assert_eq!(record.rev(), n + 1);
        assert!(n >= last, "read {n} after {last}");
        last = n;
    }
    writer.await.unwrap();
}

async fn can_be_asked(bench: &Bench) {
    bench.store.ping().await.unwrap();
}

async fn asked_again_and_again(bench: &Bench) {
    let pings = at_once(50, |_| {
        let store = Arc::clone(&bench.store);
        async move { store.ping().await }
    });
    assert!(pings.await.into_iter().all(|ping| ping.is_ok()));
}
