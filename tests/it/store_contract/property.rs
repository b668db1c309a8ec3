//! Random batches on every store and on the one that is nothing but maps: all must agree.

use super::bench::*;
use crate::support::maps::Maps;
use grantkeep::domain::Timestamp;
use grantkeep::ports::store::{Batch, EntryId, Guard, Key, Outcome, Value, Walk, Write};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::Duration;

/// Kind, record, number.
type AnyGuard = (u8, u8, u8);
/// Kind, record, fields and their values.
type AnyWrite = (u8, u8, Vec<(u8, u8)>);

/// Numbers only: each store makes keys of its own of them.
#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<AnyGuard>, Vec<AnyWrite>),
    Take(u8),
}

const RECORDS: u8 = 4;
const FIELDS: [&str; 4] = ["a", "é", "", "longer name"];
const MEMBERS: [&str; 5] = ["", "a", "ab", "é", "\u{10ffff}"];

fn field(n: u8) -> String {
    FIELDS[usize::from(n) % FIELDS.len()].to_owned()
}

fn value(n: u8) -> Value {
    match n % 6 {
        0 => Value::from(""),
        1 => Value::Bytes(vec![0, 255, b'\r', b'\n', n]),
        2 => Value::Now(Duration::from_secs(u64::from(n))),
        3 => Value::from("1000"),
        4 => Value::from("4000000000000"),
        _ => Value::Bytes(vec![n; 100]),
    }
}

fn guard(bench: &Bench, (kind, record, n): AnyGuard) -> Guard {
    let key = record_key(bench, record);
    match kind % 8 {
        0 => Guard::Absent(key),
        1 | 2 => Guard::Present(key),
        3 => Guard::Rev(key, u64::from(n % 4)),
        4 => Guard::Missing(key, field(n)),
        5 | 6 => Guard::Passed(key, field(n)),
        _ => match value(n) {
            Value::Bytes(bytes) => Guard::Equals(key, field(n), bytes),
            Value::Now(_) => Guard::Equals(key, field(n), Vec::new()),
        },
    }
}

fn write(bench: &Bench, (kind, record, fields): &AnyWrite) -> Write {
    let (key, index) = (record_key(bench, *record), index_key(bench, *record));
    let lives = (kind % 16 == 1).then_some(Duration::from_hours(1));
    let member = MEMBERS[fields.len() % MEMBERS.len()].to_owned();
    let fields = fields.iter().map(|(name, n)| (field(*name), value(*n)));
    match kind % 11 {
        8 | 9 => Write::Append {
            stream: stream_key(bench, *record),
            fields: fields.chain([("always".to_owned(), Value::from("x"))]).collect(),
        },
        10 if kind % 2 == 0 => Write::Delete { key: stream_key(bench, *record) },
        10 => Write::Trim {
            stream: stream_key(bench, *record),
            before: EntryId { millis: u64::try_from(i64::MAX).unwrap(), number: 0 },
        },
        0 | 1 => Write::Put { key, fields: fields.collect(), lives },
        2 | 3 => Write::Set { key, fields: fields.collect() },
        4 => Write::Unset { key, fields: fields.map(|(name, _)| name).collect() },
        5 => Write::Delete { key },
        6 => Write::IndexAdd { index, member },
        _ => Write::IndexRemove { index, member },
    }
}

fn record_key(bench: &Bench, n: u8) -> Key {
    bench.key(&format!("r{}", n % RECORDS))
}

fn index_key(bench: &Bench, n: u8) -> Key {
    bench.key(&format!("index:{}", n % 2))
}

fn stream_key(bench: &Bench, n: u8) -> Key {
    bench.key(&format!("stream:{}", n % 2))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guards = prop::collection::vec(any::<AnyGuard>(), 0..3);
    let fields = prop::collection::vec(any::<(u8, u8)>(), 0..5);
    let writes = prop::collection::vec((any::<u8>(), any::<u8>(), fields), 0..6);
    let step = prop_oneof![
        9 => (guards, writes).prop_map(|(guards, writes)| Step::Batch(guards, writes)),
        1 => any::<u8>().prop_map(Step::Take),
    ];
    prop::collection::vec(step, 1..25)
}

async fn agree(bench: &Bench, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut maps, mut now) = (Maps::default(), Timestamp::from_millis(0));
    for step in steps {
        match step {
            Step::Take(record) => {
                let key = record_key(bench, *record);
                let taken = bench.store.take(&key).await.unwrap().map(|record| fields_of(&record));
                prop_assert_eq!(taken, maps.take(&key, now));
            }
            Step::Batch(guards, writes) => {
                let batch = Batch {
                    guards: guards.iter().map(|g| guard(bench, *g)).collect(),
                    writes: writes.iter().map(|w| write(bench, w)).collect(),
                };
                let outcome = bench.apply(batch.clone()).await;
                let (Outcome::Applied(at) | Outcome::Refused(_, at)) = outcome;
                now = at;
                prop_assert_eq!(outcome, maps.apply(&batch, now), "{:?}", batch);
            }
        }
        for record in 0..RECORDS {
            let key = record_key(bench, record);
            let stored = bench.get(&key).await.map(|record| fields_of(&record));
            prop_assert_eq!(stored, maps.record(&key, now), "after {:?}", step);
        }
        for n in 0..2 {
            let index = index_key(bench, n);
            prop_assert_eq!(bench.scan(&index, "").await, maps.members(&index), "after {:?}", step);
            let stream = stream_key(bench, n);
            let entries = bench.store.entries(&stream, Walk::Up(None), 10_000).await.unwrap();
            let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
            let found: Vec<Vec<_>> =
                entries.iter().map(|(_, record)| record.fields().map(owned).collect()).collect();
            // What stands in streams; where, only the store knows.
            let expected: Vec<_> = maps.stream(&stream).into_iter().map(|(_, entry)| entry).collect();
            prop_assert_eq!(found, expected, "after {:?}", step);
        }
    }
    Ok(())
}

fn run(make: fn() -> Bench, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _kept = make();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&steps(), |steps| runtime.block_on(agree(&make(), &steps))).unwrap();
}

#[test]
fn embedded_agrees_with_the_maps() {
    run(Bench::embedded, 64);
}

#[test]
fn redis_agrees_with_the_maps() {
    run(Bench::redis, 128);
}

#[test]
fn redis_cluster_agrees_with_the_maps() {
    run(|| Bench::redis_form("cluster"), 32);
}
