//! How an index lies in Redis: members alone in a small one, many to an element in a large one.

use super::bench::*;
use crate::support::redis::RedisServer;
use grantkeep::ports::store::{Batch, Key};
use std::collections::BTreeSet;

fn user(number: usize) -> String {
    format!(
        "provider:0190f5fe-7a2b-7c3d-8e4f-{:012x}:",
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (1 << 48)
    )
}

async fn fill(bench: &Bench, index: &Key, members: &[String]) {
    for part in members.chunks(500) {
        bench.apply(part.iter().fold(Batch::new(), |batch, member| batch.then(add(index, member)))).await;
    }
}

#[tokio::test]
async fn an_index_that_grows_takes_a_third_of_what_its_members_took_alone() {
    let (server, bench) = (RedisServer::shared(), Bench::redis());
    let (index, alone) = (bench.key("index:together"), bench.key("index:alone"));
    let members: Vec<String> = (0..20_000).map(user).collect();
    fill(&bench, &index, &members).await;
    for part in members.chunks(500) {
        let mut words = vec!["ZADD", alone.name()];
        words.extend(part.iter().flat_map(|member| ["0", member.as_str()]));
        server.say::<u64>(&words);
    }
    let memory = |key: &Key| server.say::<u64>(&["MEMORY", "USAGE", key.name(), "SAMPLES", "0"]);
    let (together, alone) = (memory(&index), memory(&alone));
    assert!(together * 2 < alone, "{together} bytes against {alone}");
    let elements = server.say::<u64>(&["ZCARD", index.name()]);
    assert!((500..2_000).contains(&elements), "{elements} elements");
}

#[tokio::test]
async fn a_small_index_shows_its_members() {
    let (server, bench) = (RedisServer::shared(), Bench::redis());
    let index = bench.key("index:small");
    let members: BTreeSet<String> = (0..200).map(user).collect();
    fill(&bench, &index, &members.iter().cloned().collect::<Vec<_>>()).await;
    let shown: Vec<String> = server.say(&["ZRANGE", index.name(), "0", "-1"]);
    assert_eq!(shown, members.iter().cloned().collect::<Vec<_>>());
    // One that somebody put there by hand is a member like the others.
    server.say::<u64>(&["ZADD", index.name(), "0", "zz"]);
    assert_eq!(bench.scan(&index, "z").await, ["zz"]);
}

#[tokio::test]
async fn a_large_index_that_an_earlier_version_wrote_goes_on() {
    let (server, bench) = (RedisServer::shared(), Bench::redis());
    let index = bench.key("index:earlier");
    let mut kept: BTreeSet<String> = (0..2_000).map(user).collect();
    for part in kept.iter().cloned().collect::<Vec<_>>().chunks(500) {
        let mut words = vec!["ZADD", index.name()];
        words.extend(part.iter().flat_map(|member| ["0", member.as_str()]));
        server.say::<u64>(&words);
    }
    let (later, gone): (Vec<String>, Vec<String>) =
        ((2_000..3_000).map(user).collect(), kept.iter().step_by(3).cloned().collect());
    fill(&bench, &index, &later).await;
    bench.apply(gone.iter().fold(Batch::new(), |batch, member| batch.then(remove(&index, member)))).await;
    kept.extend(later);
    kept.retain(|member| !gone.contains(member));
    let found = bench.store.scan(&index, "", None, usize::MAX).await.unwrap();
    assert!(found.iter().eq(&kept), "{} members in place of {}", found.len(), kept.len());
}

/// While pages are cut, filled and emptied beside them, those that stay are seen by every scan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_is_in_every_scan_whatever_comes_and_goes() {
    let bench = std::sync::Arc::new(Bench::redis());
    let index = bench.key("index:busy");
    let stays: Vec<String> = (0..400).map(|n| format!("{:04}", n * 20)).collect();
    fill(&bench, &index, &stays).await;
    let writer = tokio::spawn({
        let (bench, index) = (bench.clone(), index.clone());
        async move {
            for round in 0..40_usize {
                let others: Vec<String> = (0..8_000)
                    .filter(|n| n % 20 != 0)
                    .skip(round)
                    .step_by(13)
                    .map(|n| format!("{n:04}"))
                    .collect();
                for part in others.chunks(20) {
                    bench.apply(part.iter().fold(Batch::new(), |batch, m| batch.then(add(&index, m)))).await;
                }
                for part in others.chunks(20) {
                    bench
                        .apply(part.iter().fold(Batch::new(), |batch, m| batch.then(remove(&index, m))))
                        .await;
                }
            }
        }
    });
    let mut scans = 0;
    while !writer.is_finished() || scans < 10 {
        let (after, from) =
            if scans % 3 == 0 { (None, 0) } else { (stays.get(scans % 400), scans % 400 + 1) };
        let found = bench.store.scan(&index, "", after.map(String::as_str), usize::MAX).await.unwrap();
        let found: BTreeSet<&String> = found.iter().collect();
        let missed: Vec<_> = stays[from..].iter().filter(|member| !found.contains(member)).collect();
        assert!(missed.is_empty(), "scan {scans} missed {missed:?}");
        scans += 1;
    }
    writer.await.unwrap();
    assert_eq!(bench.scan(&index, "").await, stays);
}
