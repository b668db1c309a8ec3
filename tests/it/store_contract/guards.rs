//! Every guard, true and false, and that a batch stands or falls as a whole.

use super::bench::*;
use grantkeep::ports::store::{Batch, Guard, StoreError, Value, Write};
use std::time::Duration;

on_every_store! {
    absent_and_present, rev, equals, missing, passed_compares_with_the_stores_clock, passed_wants_a_time,
    a_batch_stands_or_falls_as_a_whole, the_first_guard_that_fails_is_named, guards_see_what_was_before_the_batch,
    a_batch_keeps_to_one_partition, rev_is_a_field_too,
}

async fn absent_and_present(bench: &Bench) {
    let key = bench.key("r");
    assert!(bench.holds(Guard::Absent(key.clone())).await);
    assert!(!bench.holds(Guard::Present(key.clone())).await);
    bench.write(put(&key, &[])).await;
    assert!(!bench.holds(Guard::Absent(key.clone())).await);
    assert!(bench.holds(Guard::Present(key.clone())).await);
}

async fn rev(bench: &Bench) {
    let key = bench.key("r");
    for rev in [0, 1] {
        assert!(
            !bench.holds(Guard::Rev(key.clone(), rev)).await,
            "an absent record has no revision, not even {rev}"
        );
    }
    bench.write(put(&key, &[("a", "1")])).await;
    bench.write(set(&key, &[("a", "2")])).await;
    assert!(bench.holds(Guard::Rev(key.clone(), 2)).await);
    for rev in [0, 1, 3, 20, u64::MAX] {
        assert!(!bench.holds(Guard::Rev(key.clone(), rev)).await, "{rev}");
    }
}

async fn equals(bench: &Bench) {
    let key = bench.key("r");
    let holds = async |field: &str, value: &[u8]| {
        bench.holds(Guard::Equals(key.clone(), field.to_owned(), value.to_vec())).await
    };
    assert!(!holds("a", b"").await, "an absent record equals nothing");
    let bytes = b"\0one\xff\r\n".to_vec();
    let fields = vec![("a".to_owned(), Value::Bytes(bytes.clone())), ("empty".to_owned(), Value::from(""))];
    bench.write(Write::Put { key: key.clone(), fields, lives: None }).await;
    assert!(holds("a", &bytes).await);
    assert!(holds("empty", b"").await);
    assert!(!holds("a", b"\0one").await);
    assert!(!holds("A", &bytes).await);
    assert!(!holds("absent", b"").await);
}

async fn rev_is_a_field_too(bench: &Bench) {
    let key = bench.key("r");
    assert!(bench.holds(Guard::Missing(key.clone(), "rev".to_owned())).await);
    bench.write(put(&key, &[])).await;
    assert!(bench.holds(Guard::Equals(key.clone(), "rev".to_owned(), b"1".to_vec())).await);
    assert!(!bench.holds(Guard::Equals(key.clone(), "rev".to_owned(), b"2".to_vec())).await);
    assert!(!bench.holds(Guard::Missing(key.clone(), "rev".to_owned())).await);
}

async fn missing(bench: &Bench) {
    let key = bench.key("r");
    let holds = async |field: &str| bench.holds(Guard::Missing(key.clone(), field.to_owned())).await;
    assert!(holds("a").await, "in an absent record everything is missing");
    bench.write(put(&key, &[("a", ""), ("b", "1")])).await;
    assert!(!holds("a").await, "an empty field is there");
    assert!(holds("c").await);
    bench.write(unset(&key, &["a"])).await;
    assert!(holds("a").await);
}

async fn passed_compares_with_the_stores_clock(bench: &Bench) {
    let key = bench.key("r");
    let span = Duration::from_millis(1500);
    let fields = vec![("at".to_owned(), Value::Now(span)), ("now".to_owned(), Value::Now(Duration::ZERO))];
    let at = bench.write(Write::Put { key: key.clone(), fields, lives: None }).await;
    let record = bench.get(&key).await.unwrap();
    assert_eq!(record.number("at"), Some(at.plus(span).as_millis()));
    assert_eq!(record.number("now"), Some(at.as_millis()));
    let holds = async |field: &str| bench.holds(Guard::Passed(key.clone(), field.to_owned())).await;
    assert!(holds("now").await, "a time that is now has passed");
    assert!(!holds("at").await);
    bench.pass(span).await;
    assert!(holds("at").await);
}

async fn passed_wants_a_time(bench: &Bench) {
    let key = bench.key("r");
    let holds = async || bench.holds(Guard::Passed(key.clone(), "at".to_owned())).await;
    assert!(!holds().await, "no record");
    bench.write(put(&key, &[("other", "1")])).await;
    assert!(!holds().await, "no field");
    for no_time in ["", " 1", "1 ", "1.5", "1e3", "0x1", "+1", "-1", "nan", "99999999999999999999", "१"] {
        bench.write(set(&key, &[("at", no_time)])).await;
        assert!(!holds().await, "{no_time:?}");
    }
    bench.write(set(&key, &[("at", "999999999999999")])).await;
    assert!(!holds().await, "a time to come");
    bench.write(set(&key, &[("at", "0")])).await;
    assert!(holds().await);
}

async fn a_batch_stands_or_falls_as_a_whole(bench: &Bench) {
    let (old, new, index) = (bench.key("old"), bench.key("new"), bench.key("index:i"));
    bench.apply(Batch::new().then(put(&old, &[("a", "1")])).then(add(&index, "kept"))).await;
    let all = |last: Guard| {
        Batch::new()
            .when(Guard::Present(old.clone()))
            .when(Guard::Absent(new.clone()))
            .when(last)
            .then(put(&new, &[("b", "1")]))
            .then(set(&old, &[("a", "2")]))
            .then(add(&index, "added"))
            .then(remove(&index, "kept"))
    };
    assert_eq!(refused(bench.apply(all(Guard::Rev(old.clone(), 9))).await), 2);
    assert_eq!(bench.fields(&old).await, expect(1, &[("a", "1")]));
    assert_eq!(bench.get(&new).await, None);
    assert_eq!(bench.scan(&index, "").await, ["kept"]);

    applied(bench.apply(all(Guard::Rev(old.clone(), 1))).await);
    assert_eq!(bench.fields(&old).await, expect(2, &[("a", "2")]));
    assert_eq!(bench.fields(&new).await, expect(1, &[("b", "1")]));
    assert_eq!(bench.scan(&index, "").await, ["added"]);
}

async fn the_first_guard_that_fails_is_named(bench: &Bench) {
    let key = bench.key("r");
    let present = || Guard::Present(key.clone());
    let absent = || Guard::Absent(key.clone());
    assert_eq!(refused(bench.apply(Batch::new().when(present()).when(present())).await), 0);
    assert_eq!(refused(bench.apply(Batch::new().when(absent()).when(present()).when(present())).await), 1);
    applied(bench.apply(Batch::new().when(absent())).await);
}

async fn guards_see_what_was_before_the_batch(bench: &Bench) {
    let key = bench.key("r");
    let batch = Batch::new().when(Guard::Absent(key.clone())).then(put(&key, &[])).then(put(&key, &[]));
    applied(bench.apply(batch.clone()).await);
    assert_eq!(bench.rev(&key).await, 2);
    assert_eq!(refused(bench.apply(batch).await), 0);
}

async fn a_batch_keeps_to_one_partition(bench: &Bench) {
    use grantkeep::ports::store::Key;
    let (ours, other) = (bench.key("r"), Key::of_tenant(&new_tenant(), "r"));
    let mixed = |error| matches!(error, Err(StoreError::MixedPartitions(..)));
    let batch = Batch::new().then(put(&ours, &[])).then(put(&other, &[]));
    assert!(mixed(bench.store.apply(batch).await));
    let batch = Batch::new().when(Guard::Absent(other.clone())).then(put(&ours, &[]));
    assert!(mixed(bench.store.apply(batch).await));
    let batch =
        Batch::new().then(add(&Key::of_shard("due", 1), "t")).then(add(&Key::of_shard("due", 2), "t"));
    assert!(mixed(bench.store.apply(batch).await));
    assert_eq!(bench.store.get_many(&[&ours, &other]).await.unwrap(), [None, None]);
}
