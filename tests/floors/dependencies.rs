//! What comes into the build: `deny.toml` held against Cargo.lock and the licences of every crate, without a network.

use crate::text;
use std::collections::BTreeSet;

fn deny() -> toml::Table {
    text("deny.toml").parse().expect("deny.toml parses")
}

/// What is wrong with a lock file by the bans and sources of `deny.toml`.
fn faults(lock: &str) -> Vec<String> {
    let (deny, lock): (_, toml::Table) = (deny(), lock.parse().expect("the lock file parses"));
    let bans = deny["bans"]["deny"].as_array().expect("a list");
    let mut sources = BTreeSet::new();
    let mut faults = Vec::new();
    for package in lock["package"].as_array().expect("a list") {
        let name = package["name"].as_str().expect("a name");
        if let Some(ban) = bans.iter().find(|ban| ban["crate"].as_str() == Some(name)) {
            let reason = ban["reason"].as_str().expect("a reason");
            faults.push(format!("{name} is banned: {reason}"));
        }
        match package.get("source").and_then(toml::Value::as_str) {
            None if name == "grantkeep" => {}
            Some(source) if source.starts_with("registry+") => _ = sources.insert(source.to_owned()),
            other => faults.push(format!("{name} comes from {other:?}, not from the registry")),
        }
    }
    if sources.len() > 1 {
        faults.push(format!("crates come from several registries: {sources:?}"));
    }
    faults
}

/// Does the expression, or the list that older manifests wrote with slashes, allow us in by one of these licences?
fn acceptable(expression: &str, allowed: &[&str]) -> bool {
    spdx::Expression::parse_mode(expression, spdx::ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|asked| asked.license.id().is_some_and(|id| allowed.contains(&id.name)))
    })
}

fn allowed(deny: &toml::Table) -> Vec<&str> {
    deny["licenses"]["allow"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect()
}

#[test]
fn no_banned_crate_and_no_other_source() {
    assert_eq!(faults(&text("Cargo.lock")), Vec::<String>::new());
}

#[test]
fn every_licence_is_on_the_list() {
    // What is built here: the crates of other systems need not be on this machine.
    let said = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .args(["--filter-platform", "host-tuple"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&said.stdout).expect("cargo speaks JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert!(packages.len() > 100, "the list has all crates");
    let deny = deny();
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !acceptable(package["license"].as_str().unwrap_or_default(), &allowed(&deny)))
        .map(|package| (&package["name"], &package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences that deny.toml does not allow: {refused:?}");
}

#[test]
fn planted_crates_and_licences_are_caught() {
    let lock = |name: &str, source: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\nsource = \"{source}\"\n")
    };
    assert_eq!(faults(&lock("serde", "registry+a")), Vec::<String>::new());
    assert!(faults(&lock("openssl", "registry+a"))[0].contains("openssl is banned"));
    assert!(faults(&lock("serde", "git+a"))[0].contains("not from the registry"));
    let two = lock("serde", "registry+a") + &lock("syn", "registry+b");
    assert!(faults(&two)[0].contains("several registries"));
    let deny = deny();
    for (expression, fine) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only OR ISC", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", true),
        ("MIT AND AGPL-3.0-only", false),
        ("GPL-3.0-only", false),
        ("", false),
    ] {
        assert_eq!(acceptable(expression, &allowed(&deny)), fine, "{expression}");
    }
}
