//! What operators look at: alert rules, board and manual speak of metrics that exist, with labels that they have.

use super::{path, text, yaml};
use crate::support::tool;
use grantkeep::telemetry::metrics;
use regex_lite::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

fn promtool(arguments: &[&str], file: &Path) -> Output {
    let program = tool("GRANTKEEP_TEST_PROMTOOL", "bin/promtool");
    Command::new(program).args(arguments).arg(file).output().expect("promtool runs")
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The metrics of the manual, each with its labels.
fn manual() -> BTreeMap<String, BTreeSet<String>> {
    let words =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = text("docs/operations.md");
    let rows = rows.lines().filter(|line| line.starts_with("| `grantkeep_"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        assert!(cells.len() >= 5 && !cells[3].trim().is_empty(), "{line}");
        (words(cells[1]).remove(0), words(cells[2]).into_iter().collect())
    })
    .collect()
}

/// Every expression of the rules and of the board.
fn expressions() -> Vec<String> {
    let rules = yaml("deploy/prometheus/alerts.yaml").remove(0);
    let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
    let mut all: Vec<String> =
        rules.iter().map(|rule| rule["expr"].as_str().expect("an expression").to_owned()).collect();
    for panel in panels() {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        all.extend(targets.iter().map(|target| target["expr"].as_str().expect("an expression").to_owned()));
    }
    assert!(all.len() > 30, "{all:?}");
    all
}

fn panels() -> Vec<Value> {
    let board: Value = serde_json::from_str(&text("deploy/grafana/grantkeep.json")).expect("JSON");
    board["panels"].as_array().expect("panels").clone()
}

/// What an expression names that is not there: metrics, and labels of a metric.
fn strangers(expression: &str) -> BTreeSet<String> {
    // Of every target, or made by Prometheus of a histogram.
    const EVERYWHERE: [&str; 3] = ["instance", "job", "le"];
    let known = manual();
    let metric = Regex::new(r"grantkeep_[a-z_]+").expect("a pattern");
    let base = |name: &str| {
        let base =
            name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned();
        if known.contains_key(name) { name.to_owned() } else { base }
    };
    let names: BTreeSet<String> = metric.find_iter(expression).map(|found| base(found.as_str())).collect();
    let mut strangers: BTreeSet<String> =
        names.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
    let labels: BTreeSet<&String> = names.iter().filter_map(|name| known.get(name)).flatten().collect();
    let by = Regex::new(r"by \(([a-z, ]+)\)").expect("a pattern");
    let within = Regex::new(r#"([a-z_]+)(=|!=|=~|!~)""#).expect("a pattern");
    let named = by.captures_iter(expression).flat_map(|found| {
        let list = found.get(1).expect("a group").as_str();
        list.split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>()
    });
    let named = named.chain(within.captures_iter(expression).map(|found| found[1].to_owned()));
    strangers.extend(named.filter(|label| !EVERYWHERE.contains(&label.as_str()) && !labels.contains(label)));
    strangers
}

#[test]
fn the_manual_names_every_metric_and_no_other() {
    let code: BTreeSet<String> = metrics::all().map(|(name, _)| name.to_owned()).collect();
    let manual: BTreeSet<String> = manual().into_keys().collect();
    assert_eq!(manual, code);
    assert!(metrics::all().all(|(_, meaning)| meaning.ends_with('.')));
}

#[test]
fn rules_and_board_speak_of_what_is_there() {
    for expression in expressions() {
        assert_eq!(strangers(&expression), BTreeSet::new(), "{expression}");
    }
    let planted = r#"sum by (provider, tenant) (rate(grantkeep_refreshs_total[5m])) + grantkeep_alarms_total{sort="x"}"#;
    let seen: Vec<String> = strangers(planted).into_iter().collect();
    assert_eq!(seen, ["grantkeep_refreshs_total", "provider", "sort", "tenant"]);
    // Whatever is counted is on the board.
    let board = text("deploy/grafana/grantkeep.json");
    for (name, _) in metrics::all() {
        assert!(board.contains(name), "{name} is not on the board");
    }
}

#[test]
fn the_rules_fire_when_they_should() {
    let file = path("deploy/prometheus/alerts.test.yaml");
    let tested = promtool(&["test", "rules"], &file);
    assert!(tested.status.success(), "{}", said(&tested));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    std::fs::copy(&file, folder.path().join("alerts.test.yaml")).expect("a copy");
    // A rule that never fires is seen.
    let rules = text("deploy/prometheus/alerts.yaml");
    let dull = rules
        .replace("increase(grantkeep_alarms_total[10m])) > 0", "increase(grantkeep_alarms_total[10m])) > 9");
    assert_ne!(dull, rules);
    std::fs::write(folder.path().join("alerts.yaml"), dull).expect("a file");
    assert!(!promtool(&["test", "rules"], &folder.path().join("alerts.test.yaml")).status.success());
    for rule in
        yaml("deploy/prometheus/alerts.yaml").remove(0)["groups"][0]["rules"].as_array().expect("rules")
    {
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["page", "ticket"].contains(&severity), "{rule}");
        let runbook = rule["annotations"]["runbook"].as_str().expect("a runbook");
        assert!(path(runbook).exists(), "{runbook}");
        assert!(
            rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(),
            "{rule}"
        );
    }
}

/// Prometheus itself reads every expression of the board.
#[test]
fn the_board_can_be_drawn() {
    let panels = panels();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in &panels {
        let place = &panel["gridPos"];
        let (x, w) = (place["x"].as_u64().expect("a number"), place["w"].as_u64().expect("a number"));
        assert!(x + w <= 24 && panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        assert_eq!(panel["targets"].is_null(), panel["type"] == "row", "{panel}");
    }
    let check = |expressions: &[String]| {
        let rule = |(number, expression): (usize, &String)| {
            let expression = expression.replace("$__rate_interval", "5m").replace("$__range", "6h");
            let expression = expression.replace("$instance", ".*").replace("$provider", ".*");
            assert!(!expression.contains('$'), "{expression}");
            serde_json::json!({ "record": format!("board:{number}"), "expr": expression })
        };
        let rules: Vec<Value> = expressions.iter().enumerate().map(rule).collect();
        // JSON is YAML.
        let file = tempfile::Builder::new()
            .suffix(".yaml")
            .tempfile_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a file");
        let text = serde_json::json!({ "groups": [{ "name": "board", "rules": rules }] }).to_string();
        std::fs::write(file.path(), text).expect("a file");
        promtool(&["check", "rules", "--lint=none"], file.path())
    };
    let mut expressions = expressions();
    let read = check(&expressions);
    assert!(read.status.success(), "{}", said(&read));
    expressions.push("sum by (status (rate(grantkeep_requests_total[5m]))".to_owned());
    assert!(!check(&expressions).status.success(), "a bracket is missing");
}
