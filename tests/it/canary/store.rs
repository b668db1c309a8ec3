//! What the store holds, and what was ever written into it.

use crate::support::redis::RedisServer;
use grantkeep::vault::{FieldKind, RECORDS, RecordSchema};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The values that each field of each kind of record was ever set to.
#[derive(Clone, Default)]
pub struct Written(pub BTreeMap<(String, String), Vec<Vec<u8>>>);

/// The kind of a record: `gk:{tenant}:<kind>…`, or `gk:<kind>:{…}`.
fn kind(key: &str) -> &str {
    let rest = key.strip_prefix("gk:").unwrap_or(key);
    let rest = rest.split_once("}:").filter(|_| rest.starts_with('{')).map_or(rest, |(_, rest)| rest);
    rest.split(':').next().unwrap_or(rest)
}

impl Written {
    /// Reads what a Redis has written to its append-only file: the effect of every script, in order, nothing left out.
    pub fn of_log(log: &[u8]) -> Self {
        let mut written = Self::default();
        for command in commands(log) {
            let text = |n: usize| {
                command.get(n).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
            };
            let fields = match text(0).to_uppercase().as_str() {
                "HSET" | "HMSET" | "HSETNX" => &command[2..],
                // After the name comes the place.
                "XADD" => &command[3..],
                _ => continue,
            };
            for pair in fields.chunks(2) {
                // What the adapter tries its commands on; never kept, and never a record.
                if ["ping", "ping-stream"].contains(&kind(&text(1))) {
                    continue;
                }
                let field = String::from_utf8_lossy(&pair[0]).into_owned();
                written.0.entry((kind(&text(1)).to_owned(), field)).or_default().push(pair[1].clone());
            }
        }
        written
    }

    /// Fields that the schema does not name.
    pub fn unnamed(&self, records: &[RecordSchema]) -> Vec<(String, String)> {
        let named = |kind: &str, field: &str| {
            let of_kind = records.iter().find(|record| record.kind == kind);
            of_kind.is_some_and(|record| {
                ["v", "rev"].contains(&field) || record.fields.iter().any(|(name, _)| *name == field)
            })
        };
        self.0.keys().filter(|(kind, field)| !named(kind, field)).cloned().collect()
    }

    /// Secret fields of the schema that were never written.
    pub fn missing(&self, records: &[RecordSchema]) -> Vec<(&'static str, &'static str)> {
        let written = |kind: &str, field: &str| self.0.contains_key(&(kind.to_owned(), field.to_owned()));
        secret_fields(records)
            .filter(|(kind, field, _)| !written(kind, field))
            .map(|(kind, field, _)| (kind, field))
            .collect()
    }

    /// Values that do not look as the schema says they lie.
    pub fn misshapen(&self, records: &[RecordSchema]) -> BTreeSet<(&'static str, &'static str)> {
        let mut wrong = BTreeSet::new();
        for (kind, field, how) in secret_fields(records) {
            let values =
                self.0.get(&(kind.to_owned(), field.to_owned())).map(Vec::as_slice).unwrap_or_default();
            if !values.iter().all(|value| lies_as(how, value)) {
                wrong.insert((kind, field));
            }
        }
        wrong
    }
}

fn secret_fields(records: &[RecordSchema]) -> impl Iterator<Item = (&'static str, &'static str, FieldKind)> {
    let fields = records
        .iter()
        .flat_map(|record| record.fields.iter().map(|(field, how)| (record.kind, *field, *how)));
    fields.filter(|(.., how)| *how != FieldKind::Plain)
}

fn lies_as(how: FieldKind, value: &[u8]) -> bool {
    match how {
        FieldKind::Plain => true,
        // Version, data-key id, nonce, tag.
        FieldKind::Sealed => matches!(value, [1 | 2, rest @ ..] if rest.len() > 8 + 12 + 16),
        FieldKind::Hashed => {
            value.starts_with(b"$argon2id$") || (value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit))
        }
        FieldKind::Wrapped => value.split(|byte| *byte == b'.').count() == 3,
    }
}

/// The commands of an append-only file.
fn commands(mut log: &[u8]) -> Vec<Vec<Vec<u8>>> {
    fn line<'a>(log: &mut &'a [u8]) -> Option<&'a str> {
        let end = log.windows(2).position(|pair| pair == b"\r\n")?;
        let text = std::str::from_utf8(&log[1..end]).ok()?;
        *log = &log[end + 2..];
        Some(text)
    }
    let mut commands = Vec::new();
    while log.first() == Some(&b'*') {
        let count: usize = line(&mut log).expect("a line").parse().expect("a number");
        let word = |_| {
            let length: usize = line(&mut log).expect("a line").parse().expect("a number");
            let word = log[..length].to_vec();
            log = &log[length + 2..];
            word
        };
        commands.push((0..count).map(word).collect());
    }
    assert!(log.is_empty(), "the log is read to its end");
    commands
}

/// The log of everything that a Redis ever wrote.
pub fn redis_log(redis: &RedisServer) -> Vec<u8> {
    let folder = redis.home().join("appendonlydir");
    let files =
        std::fs::read_dir(folder).expect("it keeps a log").map(|entry| entry.expect("an entry").path());
    let log = files
        .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .map(|path| std::fs::read(path).expect("a log"));
    log.collect::<Vec<_>>().concat()
}

/// Everything a Redis holds now: names, and values both as it shows and as it dumps them.
pub fn redis_now(redis: &RedisServer) -> Vec<u8> {
    let mut connection = redis.connection();
    let mut bytes = Vec::new();
    for key in keys(redis) {
        let dump: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query(&mut connection).expect("it answers");
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend(dump.unwrap_or_default());
        for value in hash(redis, &key).into_iter().chain(stream(redis, &key)) {
            bytes.extend_from_slice(value.0.as_bytes());
            bytes.extend(value.1);
        }
    }
    bytes
}

pub fn keys(redis: &RedisServer) -> Vec<String> {
    let mut connection = redis.connection();
    let (mut keys, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let (next, some): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1000).query(&mut connection).expect("it answers");
        keys.extend(some);
        cursor = next;
        if cursor == 0 {
            return keys;
        }
    }
}

/// The fields of a record; none where it is an index.
pub fn hash(redis: &RedisServer, key: &str) -> BTreeMap<String, Vec<u8>> {
    match redis.say::<String>(&["TYPE", key]).as_str() {
        "hash" => redis.say(&["HGETALL", key]),
        _ => BTreeMap::new(),
    }
}

/// An entry of a stream: its place and its fields.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// The fields of all entries; none where it is no stream.
fn stream(redis: &RedisServer, key: &str) -> Vec<(String, Vec<u8>)> {
    if redis.say::<String>(&["TYPE", key]) != "stream" {
        return Vec::new();
    }
    let entries: Vec<Entry> = redis.say(&["XRANGE", key, "-", "+"]);
    entries.into_iter().flat_map(|(_, fields)| fields).collect()
}

/// Records that lack the two fields every one has.
pub fn without_v_or_rev(redis: &RedisServer) -> Vec<String> {
    let lacks = |key: &String| {
        let fields = hash(redis, key);
        !fields.is_empty() && ["v", "rev"].iter().any(|name| !fields.contains_key(*name))
    };
    keys(redis).into_iter().filter(lacks).collect()
}

/// Every byte of all files in a folder, and their names.
pub fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        bytes.extend_from_slice(path.to_string_lossy().as_bytes());
        if path.is_dir() {
            bytes.extend(files(&path));
        } else {
            bytes.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    bytes
}

#[test]
fn a_field_outside_the_schema_and_a_missing_case_are_caught() {
    let log = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*6\r\n$4\r\nHSET\r\n$15\r\ngk:{t}:member:x\r\n$1\r\nv\r\n$1\r\n1\r\n$8\r\npassword\r\n$5\r\nplain\r\n";
    let written = Written::of_log(log);
    assert_eq!(written.unnamed(RECORDS), [("member".to_owned(), "password".to_owned())]);
    assert!(written.missing(RECORDS).contains(&("member", "password_hash")));
    assert!(written.missing(RECORDS).contains(&("connection", "more_tokens")));

    // The test's own cases against a schema that grew.
    let grown: &[RecordSchema] =
        &[RecordSchema { kind: "member", fields: &[("totp_seed", FieldKind::Sealed)] }];
    assert_eq!(written.missing(grown), [("member", "totp_seed")]);

    let place = |kind: &str, field: &str| (kind.to_owned(), field.to_owned());
    let plain = BTreeMap::from([
        (
            place("connection", "access_token"),
            vec![b"sandbox-access-0123456789012345678901234567890123456789".to_vec()],
        ),
        (place("member", "password_hash"), vec![b"a quiet harbour at dusk".to_vec()]),
    ]);
    let wrong = Written(plain).misshapen(RECORDS);
    assert_eq!(wrong, BTreeSet::from([("connection", "access_token"), ("member", "password_hash")]));
}
