//! Streams: they grow at their end, are read from both ends, and lose their beginning.

use super::bench::*;
use grantkeep::ports::store::{Batch, EntryId, Guard, Key, MOST_FIELDS, StoreError, Value, Walk};
use std::time::Duration;

on_every_store! {
    entries_stand_in_the_order_in_which_they_came, an_entry_is_what_was_appended, pages_go_both_ways,
    nothing_lies_beyond_the_ends,
    a_trim_takes_the_beginning, places_grow_whatever_was_removed, a_deletion_takes_all_of_it,
    a_refused_batch_appends_nothing, an_entry_has_fields_and_not_too_many, what_else_has_a_name_can_be_deleted,
}

async fn all(bench: &Bench, stream: &Key) -> Vec<(EntryId, String)> {
    let entries = bench.store.entries(stream, Walk::Up(None), 10_000).await.unwrap();
    entries.iter().map(|(id, record)| (*id, record.text("n").unwrap().to_owned())).collect()
}

async fn filled(bench: &Bench, count: usize) -> (Key, Vec<EntryId>) {
    let stream = bench.key("stream:s");
    for n in 0..count {
        // Some in one batch, some in batches of their own.
        let batch = Batch::new().then(append(&stream, &[("n", &n.to_string())]));
        bench.apply(batch.then(append(&stream, &[("n", &format!("{n} too"))]))).await;
    }
    let ids = all(bench, &stream).await.into_iter().map(|(id, _)| id).collect();
    (stream, ids)
}

async fn entries_stand_in_the_order_in_which_they_came(bench: &Bench) {
    let (stream, ids) = filled(bench, 5).await;
    let texts: Vec<String> = all(bench, &stream).await.into_iter().map(|(_, n)| n).collect();
    assert_eq!(texts, ["0", "0 too", "1", "1 too", "2", "2 too", "3", "3 too", "4", "4 too"]);
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(all(bench, &bench.key("stream:other")).await, []);
}

async fn an_entry_is_what_was_appended(bench: &Bench) {
    let stream = bench.key("stream:s");
    let fields = vec![
        ("a".to_owned(), Value::Bytes(vec![0, 255, b'\r', b'\n'])),
        (String::new(), Value::from("")),
        ("at".to_owned(), Value::Now(Duration::from_secs(5))),
        ("rev".to_owned(), Value::from("7")),
    ];
    let write = grantkeep::ports::store::Write::Append { stream: stream.clone(), fields };
    let at = bench.write(write).await;
    let (id, record) = bench.store.entries(&stream, Walk::Up(None), 2).await.unwrap().remove(0);
    let then = at.plus(Duration::from_secs(5)).as_millis().to_string();
    let expected = [("a", &[0, 255, b'\r', b'\n'][..]), ("", b""), ("at", then.as_bytes()), ("rev", b"7")];
    assert_eq!(record.fields().collect::<Vec<_>>(), expected);
    // The store reads its clock for each.
    let apart = i64::try_from(id.millis).unwrap() - at.as_millis();
    assert!((0..100).contains(&apart), "{apart} ms");
}

async fn pages_go_both_ways(bench: &Bench) {
    let (stream, ids) = filled(bench, 6).await;
    for up in [true, false] {
        let (mut seen, mut last) = (Vec::new(), None);
        loop {
            let walk = if up { Walk::Up(last) } else { Walk::Down(last) };
            let page = bench.store.entries(&stream, walk, 5).await.unwrap();
            assert!(page.len() <= 5);
            let Some((id, _)) = page.last() else { break };
            last = Some(*id);
            seen.extend(page.into_iter().map(|(id, _)| id));
        }
        if !up {
            seen.reverse();
        }
        assert_eq!(seen, ids);
    }
    // Places at which nothing stands are as good as others.
    let between = ids[3].next();
    let after = bench.store.entries(&stream, Walk::Up(Some(between)), 1).await.unwrap();
    assert!(after[0].0 > between);
    assert_eq!(bench.store.entries(&stream, Walk::Up(None), 0).await.unwrap(), []);
}

async fn a_trim_takes_the_beginning(bench: &Bench) {
    let (stream, ids) = filled(bench, 6).await;
    bench.write(trim(&stream, ids[0])).await;
    assert_eq!(all(bench, &stream).await.len(), 12);
    bench.write(trim(&stream, ids[5])).await;
    let left: Vec<EntryId> = all(bench, &stream).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, ids[5..]);
    bench.write(trim(&bench.key("stream:none"), ids[5])).await;
}

async fn places_grow_whatever_was_removed(bench: &Bench) {
    let (stream, ids) = filled(bench, 3).await;
    let last = ids[5];
    bench.write(trim(&stream, last.next())).await;
    assert_eq!(all(bench, &stream).await, []);
    bench.write(append(&stream, &[("n", "later")])).await;
    assert!(all(bench, &stream).await[0].0 > last);
}

async fn a_deletion_takes_all_of_it(bench: &Bench) {
    let (stream, _) = filled(bench, 3).await;
    bench.write(delete(&stream)).await;
    assert_eq!(all(bench, &stream).await, []);
    let again = Batch::new().then(append(&stream, &[("n", "1")])).then(delete(&stream));
    bench.apply(again.then(append(&stream, &[("n", "2")]))).await;
    assert_eq!(all(bench, &stream).await.iter().map(|(_, n)| n.as_str()).collect::<Vec<_>>(), ["2"]);
}

async fn a_refused_batch_appends_nothing(bench: &Bench) {
    let (stream, key) = (bench.key("stream:s"), bench.key("absent"));
    let batch = Batch::new().when(Guard::Present(key.clone())).then(append(&stream, &[("n", "1")]));
    assert_eq!(refused(bench.apply(batch).await), 0);
    assert_eq!(all(bench, &stream).await, []);
    let batch = Batch::new().when(Guard::Absent(key.clone())).then(put(&key, &[("a", "1")]));
    applied(bench.apply(batch.then(append(&stream, &[("n", "1")]))).await);
    assert_eq!((all(bench, &stream).await.len(), bench.rev(&key).await), (1, 1));
}

async fn an_entry_has_fields_and_not_too_many(bench: &Bench) {
    let (stream, key) = (bench.key("stream:s"), bench.key("beside"));
    let many = |count: usize| (0..count).map(|n| (n.to_string(), Value::from("x"))).collect::<Vec<_>>();
    for (count, fine) in [(0, false), (1, true), (MOST_FIELDS, true), (MOST_FIELDS + 1, false)] {
        let write = grantkeep::ports::store::Write::Append { stream: stream.clone(), fields: many(count) };
        let outcome = bench.store.apply(Batch::new().then(set(&key, &[])).then(write)).await;
        assert_eq!(outcome.is_ok(), fine, "{count} fields");
        assert!(fine || matches!(outcome, Err(StoreError::Broken(_))), "{outcome:?}");
    }
    assert_eq!(bench.rev(&key).await, 2, "nothing is done of a batch that may not be asked");
}

async fn what_else_has_a_name_can_be_deleted(bench: &Bench) {
    let index = bench.key("index:i");
    bench.apply(Batch::new().then(add(&index, "a")).then(add(&index, "b"))).await;
    bench.write(delete(&index)).await;
    assert_eq!(bench.scan(&index, "").await, [""; 0]);
}

async fn nothing_lies_beyond_the_ends(bench: &Bench) {
    let (stream, _) = filled(bench, 1).await;
    for (walk, found) in [
        (Walk::Down(Some(EntryId::FIRST)), 0),
        (Walk::Up(Some(EntryId::LAST)), 0),
        (Walk::Up(Some(EntryId::FIRST)), 2),
        (Walk::Down(Some(EntryId::LAST)), 2),
    ] {
        assert_eq!(bench.store.entries(&stream, walk, 5).await.unwrap().len(), found, "{walk:?}");
    }
}
