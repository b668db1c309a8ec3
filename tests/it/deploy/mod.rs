//! What `deploy/` holds does what it says. No container engine is needed: settings are taken out of the files and really
//! started, and what cannot be started is held against its schema.

mod checked;
mod compose;
mod fleet;
mod restored;
mod watching;

use crate::support::tool;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn python(arguments: &[&str]) -> Output {
    let program = tool("GRANTKEEP_TEST_PYTHON", "bin/python3");
    Command::new(program).args(arguments).output().expect("Python runs")
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    const READ: &str =
        "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let path = path(name).display().to_string();
    let said = python(&["-c", READ, &path]);
    assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

/// `NAME=value` lines.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
