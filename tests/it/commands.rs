//! The binary on the command line: what it says, and the code it ends with.

use base64::prelude::{BASE64_STANDARD, Engine};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs the binary in `folder` with these variables and no others.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeep"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(folder);
    // The demo makes its own folder where temporary ones go.
    command.env("TMPDIR", folder);
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn written(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn key() -> String {
    format!("test:{}", BASE64_STANDARD.encode([7; 32]))
}

/// A start that fails says these words, ends with 1, and leaves nothing behind but what was there.
#[track_caller]
fn refuses(folder: &TempDir, arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let names = || {
        let entries = std::fs::read_dir(folder.path()).expect("a folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let said = run(folder.path(), arguments, variables);
    assert_eq!(said.code, 1, "{} {}", said.out, said.err);
    for word in words {
        assert!(said.err.contains(word), "no `{word}` in: {}", said.err);
    }
    assert!(!said.err.contains("panicked") && !said.err.contains("RUST_BACKTRACE"), "{}", said.err);
    assert_eq!(names(), before, "nothing half-written stays");
}

#[test]
fn a_start_without_a_master_key_says_how_to_make_one() {
    let (place, words) =
        (folder(), ["vault.master_keys", "grantkeep keys generate", "GRANTKEEP_VAULT__MASTER_KEYS"]);
    for command in ["serve", "check"] {
        refuses(&place, &[command], &[], &words);
    }
    let short = format!("old:{}", BASE64_STANDARD.encode([1; 31]));
    refuses(
        &place,
        &["serve"],
        &[("GRANTKEEP_VAULT__MASTER_KEYS", &short)],
        &["vault.master_keys", "31 bytes, not 32"],
    );
    let said = run(place.path(), &["serve"], &[("GRANTKEEP_VAULT__MASTER_KEYS", &short)]);
    assert!(!said.err.contains(short.split_once(':').expect("a key").1), "the key is not told: {}", said.err);
}

#[test]
fn a_bad_file_is_named_with_its_line() {
    let (place, key) = (folder(), key());
    let key = ("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str());
    let broken = written(&place, "broken.toml", "[server]\nport = 80\nhost = \n");
    refuses(&place, &["serve", "--config", &broken], &[key], &["broken.toml", "line 3"]);
    refuses(&place, &["serve", "--config", "none.toml"], &[key], &["none.toml", "cannot be read"]);
    let many = written(
        &place,
        "many.toml",
        "[server]\nprot = 80\nhost = \"here\"\n[stroe]\nurl = \"x\"\n[upstream]\ntimeout = \"soon\"\n",
    );
    refuses(
        &place,
        &["serve", "--config", &many],
        &[key, ("GRANTKEEP_LIMITS__PASSWORD_HASHES", "many")],
        &[
            "server.prot",
            "did you mean server.port",
            "server.host",
            "stroe.url",
            "upstream.timeout",
            "limits.password_hashes",
            "GRANTKEEP_LIMITS__PASSWORD_HASHES",
            "many.toml",
        ],
    );
    refuses(
        &place,
        &["serve"],
        &[key, ("GRANTKEEP_SERVER__PROT", "1")],
        &["GRANTKEEP_SERVER__PROT", "GRANTKEEP_SERVER__PORT"],
    );
    refuses(
        &place,
        &["serve"],
        &[key, ("GRANTKEEP_SERVER__PUBLIC_URL", "http://vault.example.com")],
        &["server.public_url", "https"],
    );
}

#[test]
fn a_port_that_is_taken_is_said() {
    let (place, key) = (folder(), key());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let key = ("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str());
    for (busy, free, words) in [
        ("GRANTKEEP_SERVER__PORT", "GRANTKEEP_ADMIN__PORT", "server.port"),
        ("GRANTKEEP_ADMIN__PORT", "GRANTKEEP_SERVER__PORT", "admin.port"),
    ] {
        refuses(&place, &["serve"], &[key, (busy, &port), (free, "0")], &[words, &port, "free port"]);
    }
}

#[test]
fn a_store_that_does_not_answer_is_said() {
    let (place, key) = (folder(), key());
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://:s3cret-pass@{}/", nobody.local_addr().expect("an address"));
    drop(nobody);
    let variables = [
        ("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str()),
        ("GRANTKEEP_STORE__URL", &url),
        ("GRANTKEEP_STORE__CONNECT_TIMEOUT", "300ms"),
        ("GRANTKEEP_MAIL__URL", "smtp://127.0.0.1"),
        ("GRANTKEEP_MAIL__FROM", "a@example.com"),
        ("GRANTKEEP_SERVER__PORT", "0"),
        ("GRANTKEEP_ADMIN__PORT", "0"),
    ];
    for command in ["serve", "check"] {
        refuses(&place, &[command], &variables, &["store.url"]);
        assert!(!run(place.path(), &[command], &variables).err.contains("s3cret-pass"));
    }
}

#[test]
fn a_bad_provider_file_is_named_with_its_line() {
    let (place, key) = (folder(), key());
    let dir = place.path().join("providers");
    std::fs::create_dir(&dir).expect("a folder");
    let good = include_str!("../../providers/google.toml");
    std::fs::write(dir.join("acme.toml"), good.replace("[token]", "[token]\nmehtod = \"POST\""))
        .expect("a file");
    let line = good.lines().position(|line| line == "[token]").expect("a table") + 2;
    let dirs = dir.display().to_string();
    let variables = [
        ("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str()),
        ("GRANTKEEP_PROVIDERS__DIRS", &dirs),
        ("GRANTKEEP_SERVER__PORT", "0"),
        ("GRANTKEEP_ADMIN__PORT", "0"),
    ];
    let place_in_file = format!("acme.toml:{line}");
    refuses(&place, &["serve"], &variables, &[&place_in_file, "mehtod"]);
    refuses(&place, &["check"], &variables, &[&place_in_file, "mehtod"]);
    let file = dir.join("acme.toml").display().to_string();
    let linted = run(place.path(), &["providers", "lint", &file], &[]);
    assert_eq!(linted.code, 1);
    assert!(linted.out.contains(&place_in_file) && linted.out.contains("mehtod"), "{}", linted.out);
    assert!(linted.err.contains("1 faults") || linted.err.contains("1 fault"), "{}", linted.err);
}

#[test]
fn check_reads_what_a_start_would() {
    let place = folder();
    let made = run(place.path(), &["keys", "generate"], &[]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let (id, bytes) = made.out.trim_end().split_once(':').expect("id and key");
    assert!(
        id.starts_with("mk-") && BASE64_STANDARD.decode(bytes).expect("base64").len() == 32,
        "{}",
        made.out
    );
    assert_ne!(run(place.path(), &["keys", "generate"], &[]).out, made.out);
    let named = run(place.path(), &["keys", "generate", "--id", "2026-11"], &[]);
    assert!(named.out.starts_with("2026-11:"), "{}", named.out);
    refuses(&place, &["keys", "generate", "--id", "a:b"], &[], &["--id"]);
    let file = written(&place, "keys", &format!("{}{}", made.out, named.out));
    let checked = run(place.path(), &["check"], &[("GRANTKEEP_VAULT__MASTER_KEYS_FILE", &file)]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked.out.contains("10 providers") && checked.out.contains("the store answers"),
        "{}",
        checked.out
    );
}

#[test]
fn providers_are_listed_and_shown() {
    let place = folder();
    let list = run(place.path(), &["providers", "list"], &[]);
    assert_eq!(list.code, 0);
    for id in ["atlassian", "github", "google", "sandbox", "shopify", "slack", "twitter"] {
        assert!(list.out.lines().any(|line| line.starts_with(id)), "{}", list.out);
        let shown = run(place.path(), &["providers", "show", id], &[]);
        let shown: serde_json::Value = serde_json::from_str(&shown.out).expect("JSON");
        assert!(shown["token"]["url"].as_str().is_some_and(|url| url.starts_with("http")), "{shown}");
    }
    refuses(&place, &["providers", "show", "none"], &[], &["none", "grantkeep providers list"]);
    let good = concat!(env!("CARGO_MANIFEST_DIR"), "/providers/slack.toml");
    let linted = run(place.path(), &["providers", "lint", good], &[]);
    assert_eq!((linted.code, linted.err.as_str()), (0, ""), "{}", linted.out);
    refuses(&place, &["providers", "lint", "none.toml"], &[], &["fault"]);
}

#[test]
fn wrong_arguments_end_with_two() {
    let place = folder();
    for arguments in
        [&["fly"][..], &[], &["serve", "--prot"], &["sandbox", "--port", "x"], &["providers", "lint"]]
    {
        let said = run(place.path(), arguments, &[]);
        assert_eq!(said.code, 2, "{arguments:?}");
        assert!(said.err.contains("Usage") || said.err.contains("--help"), "{}", said.err);
    }
    let version = run(place.path(), &["--version"], &[]);
    assert_eq!((version.code, version.out.trim()), (0, concat!("grantkeep ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_demo_gets_two_tokens() {
    let place = folder();
    // Its port is taken, and it goes around.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let said = run(place.path(), &["demo", "--port", &port], &[]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    assert!(said.out.contains("The tokens differ; the provider counted 1 refresh."), "{}", said.out);
    let told =
        said.out.lines().rev().find_map(|line| line.strip_prefix("Done. First token ")).expect("a summary");
    let (first, second) = told.trim_end_matches('.').split_once(", second token ").expect("two tokens");
    assert_ne!(first, second);
    let long = |word: &&str| {
        word.len() > 40
            && ["gk_", "sandbox-access-", "sandbox-refresh-"].iter().any(|start| word.contains(start))
    };
    let unmasked = said.out.split([' ', '"', '\n', '=', '&']).find(long);
    assert_eq!(unmasked, None, "secrets are masked");
    assert_eq!(std::fs::read_dir(place.path()).expect("a folder").count(), 0, "it cleans up");
}

#[tokio::test]
async fn health_says_what_the_admin_port_says() {
    use crate::support::app::{App, Stores};
    use crate::support::redis::RedisServer;
    let redis = std::sync::Arc::new(RedisServer::start(&[]));
    let url = redis.url();
    let server = App::spawn(Stores::At(url), &[]);
    let port = server.admin.rsplit_once(':').expect("a port").1.to_owned();
    let (key, place) = (key(), folder());
    // Whoever listens everywhere is asked on loopback.
    let variables = [
        ("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str()),
        ("GRANTKEEP_ADMIN__HOST", "0.0.0.0"),
        ("GRANTKEEP_ADMIN__PORT", port.as_str()),
    ];
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let said = run(place.path(), arguments, &variables);
        assert_eq!((said.code, said.out.as_str()), (0, "ok\n"), "{}", said.err);
    }
    drop(redis);
    assert_eq!(run(place.path(), &["health"], &variables).code, 0, "the process is up");
    let said = run(place.path(), &["health", "--ready"], &variables);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("/readyz: answered `HTTP/1.1 503 Service Unavailable`"), "{}", said.err);
    server.process().signal("KILL");
    let mut said = run(place.path(), &["health"], &variables);
    while said.code == 0 {
        said = run(place.path(), &["health"], &variables);
    }
    assert!(said.err.contains("/healthz: ") && said.err.contains("refused"), "{}", said.err);
}
