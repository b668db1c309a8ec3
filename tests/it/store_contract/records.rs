//! Records: every write, their revision, their life, their bytes.

use super::bench::*;
use grantkeep::ports::store::{Batch, Guard, Key, Value, Write};
use std::time::Duration;

on_every_store! {
    put_replaces_wholly, put_ends_the_life_before, set_leaves_the_rest, set_keeps_the_life, unset_leaves_the_rest,
    delete_and_begin_again, rev_grows_at_every_write, nobody_sets_rev, writes_are_made_in_order,
    a_life_ends_at_once, a_life_of_nothing, a_new_record_after_a_life, taken_once_and_whole, taken_past_its_life,
    reads_several_in_their_order, every_byte_comes_back, names_of_every_kind, a_large_value, many_fields,
    many_keys, an_empty_batch, spans_without_end,
}

const LIFE: Duration = Duration::from_millis(1200);

async fn put_replaces_wholly(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("a", "1"), ("b", "2")])).await;
    assert_eq!(bench.fields(&key).await, expect(1, &[("a", "1"), ("b", "2")]));
    bench.write(put(&key, &[("b", "3"), ("c", "4")])).await;
    assert_eq!(bench.fields(&key).await, expect(2, &[("b", "3"), ("c", "4")]));
    bench.write(put(&key, &[])).await;
    assert_eq!(bench.fields(&key).await, expect(3, &[]));
}

async fn put_ends_the_life_before(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put_for(&key, &[("a", "1")], LIFE)).await;
    bench.write(put(&key, &[("a", "2")])).await;
    bench.pass(LIFE).await;
    assert_eq!(bench.fields(&key).await, expect(2, &[("a", "2")]));
}

async fn set_leaves_the_rest(bench: &Bench) {
    let key = bench.key("r");
    bench.write(set(&key, &[("a", "1"), ("b", "2")])).await;
    bench.write(set(&key, &[("b", "3"), ("c", "4")])).await;
    assert_eq!(bench.fields(&key).await, expect(2, &[("a", "1"), ("b", "3"), ("c", "4")]));
    bench.write(set(&key, &[])).await;
    assert_eq!(bench.fields(&key).await, expect(3, &[("a", "1"), ("b", "3"), ("c", "4")]));
}

async fn set_keeps_the_life(bench: &Bench) {
    let (set_one, unset_one) = (bench.key("s"), bench.key("u"));
    for key in [&set_one, &unset_one] {
        bench.write(put_for(key, &[("a", "1")], LIFE)).await;
    }
    bench.write(set(&set_one, &[("b", "2")])).await;
    bench.write(unset(&unset_one, &["a"])).await;
    assert_eq!(bench.fields(&set_one).await, expect(2, &[("a", "1"), ("b", "2")]));
    assert_eq!(bench.fields(&unset_one).await, expect(2, &[]));
    bench.pass(LIFE).await;
    assert_eq!(bench.store.get_many(&[&set_one, &unset_one]).await.unwrap(), [None, None]);
}

async fn unset_leaves_the_rest(bench: &Bench) {
    let key = bench.key("r");
    bench.write(unset(&key, &["a"])).await;
    assert_eq!(bench.get(&key).await, None, "nothing is made of nothing");
    bench.write(put(&key, &[("a", "1"), ("b", "2")])).await;
    bench.write(unset(&key, &["a", "absent"])).await;
    assert_eq!(bench.fields(&key).await, expect(2, &[("b", "2")]));
    bench.write(unset(&key, &[])).await;
    bench.write(unset(&key, &["b", "rev"])).await;
    assert_eq!(bench.fields(&key).await, expect(4, &[]), "a record without fields is a record");
}

async fn delete_and_begin_again(bench: &Bench) {
    let key = bench.key("r");
    bench.write(delete(&key)).await;
    bench.write(put(&key, &[("a", "1")])).await;
    bench.write(put(&key, &[("a", "2")])).await;
    bench.write(delete(&key)).await;
    assert_eq!(bench.get(&key).await, None);
    bench.write(set(&key, &[("a", "3")])).await;
    assert_eq!(bench.fields(&key).await, expect(1, &[("a", "3")]));
}

async fn rev_grows_at_every_write(bench: &Bench) {
    let key = bench.key("r");
    let writes = [
        put(&key, &[("a", "1")]),
        set(&key, &[("b", "1")]),
        unset(&key, &["b"]),
        put_for(&key, &[], LIFE * 100),
    ];
    for (before, write) in writes.into_iter().enumerate() {
        bench.write(write).await;
        assert_eq!(bench.rev(&key).await, before as u64 + 1);
    }
    bench.apply(Batch::new().then(set(&key, &[])).then(set(&key, &[])).then(put(&key, &[]))).await;
    assert_eq!(bench.rev(&key).await, 7);
    for _ in 0..20 {
        bench.write(set(&key, &[])).await;
    }
    assert_eq!(bench.rev(&key).await, 27);
}

async fn nobody_sets_rev(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("rev", "70"), ("a", "1")])).await;
    assert_eq!(bench.fields(&key).await, expect(1, &[("a", "1")]));
    bench.write(set(&key, &[("rev", "70")])).await;
    assert_eq!(bench.fields(&key).await, expect(2, &[("a", "1")]));
}

async fn writes_are_made_in_order(bench: &Bench) {
    let (key, index) = (bench.key("r"), bench.key("index:i"));
    let batch = Batch::new()
        .then(put(&key, &[("a", "1"), ("a", "2")]))
        .then(delete(&key))
        .then(set(&key, &[("b", "1")]))
        .then(set(&key, &[("b", "2"), ("c", "3")]))
        .then(unset(&key, &["c"]))
        .then(add(&index, "in and out"))
        .then(remove(&index, "in and out"))
        .then(remove(&index, "out and in"))
        .then(add(&index, "out and in"));
    bench.apply(batch).await;
    assert_eq!(bench.fields(&key).await, expect(3, &[("b", "2")]));
    assert_eq!(bench.scan(&index, "").await, ["out and in"]);
    bench.write(put(&key, &[("twice", "first"), ("twice", "last")])).await;
    assert_eq!(bench.fields(&key).await, expect(4, &[("twice", "last")]));
}

async fn a_life_ends_at_once(bench: &Bench) {
    let (short, long) = (bench.key("short"), bench.key("long"));
    bench.write(put_for(&short, &[("a", "1")], LIFE)).await;
    bench.write(put_for(&long, &[("a", "1")], LIFE * 1000)).await;
    assert!(bench.get(&short).await.is_some());
    bench.pass(LIFE).await;
    assert_eq!(bench.get(&short).await, None);
    assert!(bench.get(&long).await.is_some());
    assert!(bench.holds(Guard::Absent(short.clone())).await);
    assert!(bench.holds(Guard::Missing(short.clone(), "a".to_owned())).await);
    assert!(!bench.holds(Guard::Equals(short, "a".to_owned(), b"1".to_vec())).await);
}

async fn a_life_of_nothing(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put(&key, &[("a", "1")])).await;
    let batch =
        Batch::new().then(put_for(&key, &[("a", "2")], Duration::ZERO)).then(set(&key, &[("b", "1")]));
    bench.apply(batch).await;
    assert_eq!(bench.fields(&key).await, expect(1, &[("b", "1")]));
    bench.write(put_for(&key, &[("a", "2")], Duration::from_micros(10))).await;
    assert_eq!(bench.get(&key).await, None);
}

async fn a_new_record_after_a_life(bench: &Bench) {
    let keys = [bench.key("put"), bench.key("set"), bench.key("unset")];
    for key in &keys {
        bench.write(put_for(key, &[("a", "1")], LIFE)).await;
        bench.write(set(key, &[("a", "2")])).await;
    }
    bench.pass(LIFE).await;
    bench.write(put(&keys[0], &[("b", "1")])).await;
    bench.write(set(&keys[1], &[("b", "1")])).await;
    bench.write(unset(&keys[2], &["b"])).await;
    assert_eq!(bench.fields(&keys[0]).await, expect(1, &[("b", "1")]));
    assert_eq!(bench.fields(&keys[1]).await, expect(1, &[("b", "1")]));
    assert_eq!(bench.get(&keys[2]).await, None);
    bench.pass(LIFE).await;
    assert_eq!(bench.fields(&keys[1]).await, expect(1, &[("b", "1")]), "the new record has no end");
}

async fn taken_once_and_whole(bench: &Bench) {
    let key = bench.key("r");
    assert_eq!(bench.store.take(&key).await.unwrap(), None);
    bench.write(put(&key, &[("a", "1"), ("b", "")])).await;
    let taken = bench.store.take(&key).await.unwrap().unwrap();
    assert_eq!(fields_of(&taken), expect(1, &[("a", "1"), ("b", "")]));
    assert_eq!(bench.store.take(&key).await.unwrap(), None);
    assert_eq!(bench.get(&key).await, None);
    bench.write(put(&key, &[])).await;
    assert_eq!(bench.rev(&key).await, 1);
}

async fn taken_past_its_life(bench: &Bench) {
    let key = bench.key("r");
    bench.write(put_for(&key, &[("a", "1")], LIFE)).await;
    bench.pass(LIFE).await;
    assert_eq!(bench.store.take(&key).await.unwrap(), None);
}

async fn reads_several_in_their_order(bench: &Bench) {
    let other = Key::alone("state", bench.key("x").partition());
    let (a, b, none) = (bench.key("a"), bench.key("b"), bench.key("none"));
    for (key, value) in [(&a, "1"), (&b, "2"), (&other, "3")] {
        bench.write(put(key, &[("f", value)])).await;
    }
    assert_eq!(bench.store.get_many(&[]).await.unwrap(), []);
    let read = bench.store.get_many(&[&other, &none, &b, &a, &b]).await.unwrap();
    let values: Vec<_> = read.iter().map(|record| record.as_ref().and_then(|r| r.text("f"))).collect();
    assert_eq!(values, [Some("3"), None, Some("2"), Some("1"), Some("2")]);
}

async fn every_byte_comes_back(bench: &Bench) {
    let key = bench.key("r");
    let every: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let fields =
        vec![("every".to_owned(), Value::Bytes(every.clone())), ("empty".to_owned(), Value::from(""))];
    bench.write(Write::Put { key: key.clone(), fields, lives: None }).await;
    let record = bench.get(&key).await.unwrap();
    assert_eq!(record.get("every"), Some(every.as_slice()));
    assert_eq!(record.get("empty"), Some(b"".as_slice()));
    let taken = bench.store.take(&key).await.unwrap().unwrap();
    assert_eq!(taken.get("every"), Some(every.as_slice()));
}

async fn names_of_every_kind(bench: &Bench) {
    for name in
        ["", "a b", "é", "\u{10ffff}", "nul\0nul", "per%25cent", "\r\n$1", "{other}", &"long".repeat(500)]
    {
        let key = bench.key(&format!("odd:{name}"));
        bench.write(put(&key, &[(name, name)])).await;
        assert_eq!(bench.fields(&key).await, expect(1, &[(name, name)]), "{name:?}");
    }
}

async fn a_large_value(bench: &Bench) {
    let key = bench.key("r");
    let large: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let fields = vec![("large".to_owned(), Value::Bytes(large.clone()))];
    bench.write(Write::Set { key: key.clone(), fields }).await;
    assert_eq!(bench.get(&key).await.unwrap().get("large"), Some(large.as_slice()));
    assert!(bench.holds(Guard::Equals(key, "large".to_owned(), large)).await);
}

async fn many_fields(bench: &Bench) {
    let key = bench.key("r");
    let fields: Vec<_> = (0..5000).map(|n| (format!("field{n}"), Value::from(n.to_string()))).collect();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
    bench.write(Write::Put { key: key.clone(), fields, lives: None }).await;
    let record = bench.get(&key).await.unwrap();
    assert_eq!(record.fields().count(), 5001);
    assert_eq!(record.number("field4999"), Some(4999));
    bench.write(Write::Unset { key: key.clone(), fields: names }).await;
    assert_eq!(bench.fields(&key).await, expect(2, &[]));
}

async fn many_keys(bench: &Bench) {
    let (keys, index): (Vec<_>, _) =
        ((0..600).map(|n| bench.key(&format!("r{n}"))).collect(), bench.key("index:i"));
    let batch = keys.iter().fold(Batch::new(), |batch, key| {
        let batch = batch.when(Guard::Absent(key.clone()));
        batch.then(put(key, &[("name", key.name())])).then(add(&index, key.name()))
    });
    applied(bench.apply(batch.clone()).await);
    let read = bench.store.get_many(&keys.iter().collect::<Vec<_>>()).await.unwrap();
    for (key, record) in keys.iter().zip(read) {
        assert_eq!(record.unwrap().text("name"), Some(key.name()));
    }
    assert_eq!(bench.scan(&index, "").await.len(), 600);
    assert_eq!(refused(bench.apply(batch).await), 0);
}

async fn an_empty_batch(bench: &Bench) {
    let (early, late) = (bench.apply(Batch::new()).await, bench.apply(Batch::new()).await);
    assert!(applied(early) <= applied(late));
}

async fn spans_without_end(bench: &Bench) {
    let key = bench.key("r");
    let fields = vec![("at".to_owned(), Value::Now(Duration::MAX))];
    bench.write(Write::Put { key: key.clone(), fields, lives: Some(Duration::MAX) }).await;
    assert!(bench.get(&key).await.unwrap().number::<i64>("at").unwrap() > 900_000_000_000_000);
    assert!(!bench.holds(Guard::Passed(key, "at".to_owned())).await);
}
