//! The house keeps its floors: who names whom, which crate is used where, who opens secrets, and no file is a tower.
//!
//! The tables are in `floors/table.rs`. The last tests plant faults, because a check that cannot fail is no check.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::allow_attributes,
        reason = "a test that fails may panic"
    )
)]

#[path = "floors/dependencies.rs"]
mod dependencies;
#[path = "floors/planted.rs"]
mod planted;
#[path = "floors/rules.rs"]
mod rules;
#[path = "floors/table.rs"]
mod table;
#[path = "floors/words.rs"]
mod words;

use std::path::{Path, PathBuf};

/// The text of a file of this repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file reads")
}

/// Every Rust file below a folder of this repository, as its path from the top and its text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![top.join(folder)];
    let mut files = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("the folder reads") {
            let path = entry.expect("the entry reads").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name =
                    path.strip_prefix(top).expect("it is inside").to_str().expect("it is UTF-8").to_owned();
                files.push((name, std::fs::read_to_string(&path).expect("the file reads")));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_source_keeps_the_house() {
    let files = rust_files("src");
    assert!(files.iter().any(|(name, _)| name == "src/domain/secret.rs"), "the walk finds the sources");
    let faults: Vec<String> =
        files.iter().flat_map(|(name, source)| rules::faults_of_source(name, source)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_test_keeps_the_ceiling() {
    let faults: Vec<String> =
        rust_files("tests").iter().flat_map(|(name, source)| rules::faults_of_any(name, source)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_table_points_down() {
    let floor = |room: &str| table::FLOORS.iter().position(|floor| floor.contains(&room));
    for (room, may_name) in table::MAY_NAME {
        for named in *may_name {
            match (*room, floor(room), floor(named)) {
                ("main" | "lib", ..) => {}
                (_, Some(from), Some(to)) => {
                    assert!(from < to, "{room} names {named}, which is not below it");
                }
                (_, None, Some(_)) => {
                    assert_eq!(*room, table::WING);
                    assert!(["ports", "domain", "telemetry"].contains(named), "the wing names {named}");
                }
                (_, _, None) => assert_eq!((*room, *named), ("app", table::WING)),
            }
        }
    }
    let rooms = table::FLOORS.iter().flat_map(|floor| floor.iter()).chain([&table::WING]);
    for room in rooms {
        assert!(table::MAY_NAME.iter().any(|(name, _)| name == room), "{room} has no line");
    }
}

#[test]
fn the_tables_name_what_is_there() {
    let manifest: toml::Table = text("Cargo.toml").parse().expect("Cargo.toml parses");
    let known: Vec<String> = manifest["dependencies"]
        .as_table()
        .expect("a table")
        .keys()
        .map(|name| name.replace('-', "_"))
        .collect();
    for (name, _) in table::CRATES {
        let first = name.split("::").next().unwrap_or_default();
        assert!(first == "std" || known.iter().any(|k| k == first), "CRATES: {name} is no dependency");
    }
    for (room, what, reason) in table::EXCEPTIONS {
        let is_room = |name: &str| table::MAY_NAME.iter().any(|(room, _)| *room == name);
        assert!(is_room(room), "EXCEPTIONS: {room} is no room");
        assert!(is_room(what) || table::CRATES.iter().any(|(name, _)| name == what), "EXCEPTIONS: {what}");
        assert!(!reason.is_empty(), "EXCEPTIONS: {room} and {what} have no reason");
    }
    let sources = rust_files("src");
    for (place, where_to) in table::OPENS_SECRETS {
        let mut there = sources.iter().filter(|(name, _)| name.starts_with(place));
        assert!(
            there.any(|(_, source)| source.contains("expose")),
            "OPENS_SECRETS: {place} opens none any more"
        );
        assert!(!where_to.is_empty(), "OPENS_SECRETS: {place} does not say where the plain text goes");
    }
}
