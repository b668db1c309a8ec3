//! Indexes: the order of bytes, prefixes, pages.

use super::bench::*;
use grantkeep::ports::store::Batch;
use std::collections::BTreeSet;

on_every_store! {
    members_stand_once, order_is_that_of_bytes, prefix_is_exact, pages_follow_each_other, after_and_prefix_together,
    limit_counts, an_index_is_its_own, a_large_index_is_like_a_small_one,
}

const ODD: &[&str] = &[
    "",
    "\0",
    "\0\0",
    " ",
    "A",
    "B",
    "a",
    "a\0",
    "a\0b",
    "a!",
    "ab",
    "aé",
    "b",
    "z",
    "~",
    "\u{7f}",
    "\u{80}",
    "é",
    "éa",
    "éé",
    "ê",
    "ÿ",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{ffff}",
    "\u{10000}",
    "\u{10ffff}",
    "\u{10ffff}a",
    "(",
    "[",
    "+",
    "-",
    "%",
    "_",
    "*",
];

/// Strings compare by their bytes.
fn sorted(members: &[&str], prefix: &str, after: Option<&str>) -> Vec<String> {
    let mut members: Vec<_> = members.iter().map(|m| (*m).to_owned()).collect();
    members.sort();
    members.retain(|m| m.starts_with(prefix) && after.is_none_or(|after| m.as_str() > after));
    members
}

async fn filled(bench: &Bench) -> grantkeep::ports::store::Key {
    let index = bench.key("index:odd");
    bench.apply(ODD.iter().fold(Batch::new(), |batch, member| batch.then(add(&index, member)))).await;
    index
}

async fn members_stand_once(bench: &Bench) {
    let index = bench.key("index:i");
    assert_eq!(bench.scan(&index, "").await, [""; 0]);
    bench.write(remove(&index, "a")).await;
    bench.apply(Batch::new().then(add(&index, "a")).then(add(&index, "a")).then(add(&index, "b"))).await;
    bench.write(add(&index, "a")).await;
    assert_eq!(bench.scan(&index, "").await, ["a", "b"]);
    bench.write(remove(&index, "a")).await;
    bench.write(remove(&index, "a")).await;
    assert_eq!(bench.scan(&index, "").await, ["b"]);
}

async fn order_is_that_of_bytes(bench: &Bench) {
    let index = filled(bench).await;
    assert_eq!(bench.scan(&index, "").await, sorted(ODD, "", None));
}

async fn prefix_is_exact(bench: &Bench) {
    let index = filled(bench).await;
    for prefix in ODD.iter().chain(&["nothing", "\u{10fffe}", "éaa"]) {
        assert_eq!(bench.scan(&index, prefix).await, sorted(ODD, prefix, None), "prefix {prefix:?}");
    }
}

async fn pages_follow_each_other(bench: &Bench) {
    let index = filled(bench).await;
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = bench.store.scan(&index, "", after.as_deref(), 5).await.unwrap();
        assert!(page.len() <= 5);
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page);
    }
    assert_eq!(seen, sorted(ODD, "", None));
}

async fn after_and_prefix_together(bench: &Bench) {
    let index = filled(bench).await;
    for prefix in ["", "a", "é", "\u{10ffff}"] {
        for after in ODD.iter().chain(&["a\0a", "zz", "éz"]) {
            let found = bench.store.scan(&index, prefix, Some(after), 1000).await.unwrap();
            assert_eq!(found, sorted(ODD, prefix, Some(after)), "prefix {prefix:?} after {after:?}");
        }
    }
}

async fn limit_counts(bench: &Bench) {
    let index = filled(bench).await;
    let all = sorted(ODD, "a", None);
    for limit in 0..all.len() + 2 {
        let found = bench.store.scan(&index, "a", None, limit).await.unwrap();
        assert_eq!(found, all[..limit.min(all.len())]);
    }
    assert_eq!(bench.store.scan(&index, "a", None, usize::MAX).await.unwrap(), all);
}

async fn an_index_is_its_own(bench: &Bench) {
    let (one, two) = (bench.key("index:i"), bench.key("index:i2"));
    bench.apply(Batch::new().then(add(&one, "1")).then(add(&two, "2"))).await;
    assert_eq!(bench.scan(&one, "").await, ["1"]);
    assert_eq!(bench.scan(&two, "").await, ["2"]);
    assert_eq!(bench.get(&bench.key("index:absent")).await, None);
}

async fn a_large_index_is_like_a_small_one(bench: &Bench) {
    let index = bench.key("index:large");
    let pairs = ODD.iter().flat_map(|one| ODD.iter().map(move |two| format!("{one}{two}")));
    let mut members: Vec<String> = pairs.chain((0..1000).map(|n| format!("user-{n:04}"))).collect();
    // An order that is none, the same in every run.
    members.sort_by_key(|member| fnv(member));
    let mut kept = BTreeSet::new();
    for (round, part) in members.chunks(97).enumerate() {
        let added = part.iter().fold(Batch::new(), |batch, member| batch.then(add(&index, member)));
        bench.apply(added).await;
        kept.extend(part.iter().cloned());
        let gone: Vec<String> = kept.iter().skip(round % 7).step_by(19).cloned().collect();
        let removed = gone.iter().fold(Batch::new(), |batch, member| batch.then(remove(&index, member)));
        bench.apply(removed).await;
        kept.retain(|member| !gone.contains(member));
        for (prefix, limit) in [("", usize::MAX), ("", 50), ("user-", 333), ("a", 1), ("\0", 40)] {
            let after = members.get(round).filter(|_| round % 2 == 0);
            let wanted =
                kept.iter().filter(|m| m.starts_with(prefix) && after.is_none_or(|after| *m > after));
            let found = bench.store.scan(&index, prefix, after.map(String::as_str), limit).await.unwrap();
            let wanted: Vec<String> = wanted.take(limit).cloned().collect();
            assert_eq!(found, wanted, "round {round}, prefix {prefix:?} after {after:?}, {limit} at most");
        }
    }
    assert!(kept.len() > 500, "{}", kept.len());
    let rest = kept.iter().fold(Batch::new(), |batch, member| batch.then(remove(&index, member)));
    bench.apply(rest).await;
    assert_eq!(bench.scan(&index, "").await, [""; 0]);
}

/// FNV-1a.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
