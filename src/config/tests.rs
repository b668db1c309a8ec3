use super::*;
use std::collections::BTreeSet;
use std::io::Write;

/// 32 bytes of 0x07, and of 0x08.
const KEY: &str = "k1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const OTHER: &str = "k2:CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    owned.into_iter()
}

fn load(pairs: &[(&str, &str)]) -> Result<Settings, ConfigFaults> {
    Settings::load(None, variables(pairs), &[("vault.master_keys", KEY.to_owned())])
}

/// The fault of each key, as `key: problem`.
fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
    let faults = load(pairs).expect_err("there are faults").0;
    faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
}

fn fault(name: &str, value: &str) -> String {
    let mut all = faults(&[(name, value)]);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn the_defaults_are_complete_but_for_the_master_key() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.server.public_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(settings.server.body_limit, 65_536);
    assert!(settings.server.workers >= 1 && settings.limits.password_hashes >= 1);
    assert_eq!(settings.upstream.timeout, Duration::from_secs(20));
    assert_eq!(settings.upstream.connect_timeout, Duration::from_secs(3));
    assert!(matches!(&settings.store.url, StoreUrl::Embedded(path) if path == Path::new("./data")));
    assert!(matches!(&settings.mail.route, MailRoute::Outbox(path) if path == Path::new("./data/outbox")));
    assert_eq!(settings.mail.from, "Grantkeep <no-reply@grantkeep.invalid>");

    let none = Settings::load(None, std::iter::empty(), &[]).expect_err("no master key");
    assert_eq!(none.0.len(), 1);
    assert!(none.to_string().contains("`grantkeep keys generate`"), "{none}");
    assert!(none.to_string().contains("GRANTKEEP_VAULT__MASTER_KEYS"), "{none}");
}

#[test]
fn no_key_is_dead_and_none_is_missing_from_the_manual() {
    let mut faults = Vec::new();
    let leaves = layers::merge(None, std::iter::empty(), &[], &mut faults);
    let manual: BTreeSet<String> = leaves.keys().cloned().collect();
    let mut reader = reader::Reader::new(leaves, faults);
    sections::settings(&mut reader);
    assert_eq!(reader.asked, manual);
    assert!(manual.len() > 30, "{manual:?}");
}

#[test]
fn the_example_environment_names_settings_that_exist() {
    let names: Vec<&str> = include_str!("../../.env.example")
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").strip_prefix("GRANTKEEP_")?.split('=').next())
        .collect();
    let leaves = layers::merge(None, std::iter::empty(), &[], &mut Vec::new());
    let known: Vec<String> = leaves.keys().map(|key| layers::variable_of(key)).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(known.contains(&format!("GRANTKEEP_{name}")), "{name}");
    }
}

#[test]
fn a_variable_wins_over_the_file_and_the_program_over_both() {
    let file = file(
        "[server]\nport = 81\nworkers = 3\n[providers]\ndirs = [\"a,b\", \"c\"]\n[log]\nformat = \"json\"",
    );
    let env =
        variables(&[("GRANTKEEP_SERVER__PORT", "82"), ("GRANTKEEP_LOG__FORMAT", "pretty"), ("HOME", "/")]);
    let own = [("vault.master_keys", KEY.to_owned()), ("log.format", "json".to_owned())];
    let settings = Settings::load(Some(file.path()), env, &own).unwrap();
    assert_eq!((settings.server.port, settings.server.workers, settings.log.json), (82, 3, true));
    assert_eq!(settings.providers.dirs, [PathBuf::from("a,b"), PathBuf::from("c")]);

    let listed = load(&[("GRANTKEEP_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,::1")]).unwrap();
    let proxies: Vec<String> = listed.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32", "::1/128"]);
}

#[test]
fn every_fault_comes_at_once_with_its_place() {
    let file =
        file("[server]\nprot = 1\nport = \"x\"\n[upstream]\ntimeout = \"soon\"\n[sever]\nhost = \"::1\"\n");
    let env = variables(&[
        ("GRANTKEEP_SERVER_PORT", "1"),
        ("GRANTKEEP_MAIL__URL", "ftp://user:hunter2@example.com"),
        ("GRANTKEEP_LOG", "json"),
        ("GRANTKEEP_TEST_TOOLS", "not a setting"),
        ("GRANTKEEP_LIMITS[9999999999]", "1"),
    ]);
    let faults = Settings::load(Some(file.path()), env, &[("nonsense", String::new())]).unwrap_err();
    let path = file.path().display().to_string();
    let mut lines: Vec<String> = faults.0.iter().map(|f| f.to_string().replace(&path, "FILE")).collect();
    lines.sort();
    let starts = [
        "limits_9999999999_: there is no such setting",
        "log: this is a section: set the keys in it (set in GRANTKEEP_LOG)",
        "mail.url: must be outbox:<folder>, smtp://",
        "nonsense: there is no such setting; config/default.toml lists them all (set in the command)",
        "server.port: `x` is not a whole number from 0 to 65535 (set in FILE)",
        "server.prot: there is no such setting; did you mean server.port? (set in FILE)",
        "server_port: there is no such setting; did you mean GRANTKEEP_SERVER__PORT? (set in GRANTKEEP_SERVER_PORT)",
        "sever.host: there is no such setting; did you mean server.host? (set in FILE)",
        "upstream.timeout: `soon` is not a duration such as 30s, 10m, 12h or 90d (set in FILE)",
        "vault.master_keys: a master key is needed",
    ];
    assert_eq!(lines.len(), starts.len(), "{faults}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    assert!(!faults.to_string().contains("hunter2"), "{faults}");
}

#[test]
fn a_broken_file_is_named_and_its_line_is_not_quoted() {
    let broken = file("[log]\n[vault]\nmaster_keys = \"hunter2\n");
    let faults = Settings::load(Some(broken.path()), variables(&[("GRANTKEEP_SERVER__PORT", "x")]), &[]);
    let faults = faults.unwrap_err().to_string();
    assert!(faults.contains("line 3 is not TOML"), "{faults}");
    assert!(faults.contains("server.port") && faults.contains("vault.master_keys"), "{faults}");
    assert!(!faults.contains("hunter2"), "{faults}");

    let absent = Settings::load(Some(Path::new("/no/such.toml")), std::iter::empty(), &[]).unwrap_err();
    assert!(absent.to_string().contains("/no/such.toml"), "{absent}");
}

#[test]
fn master_keys_are_checked_and_never_shown() {
    let own =
        |keys: &str| Settings::load(None, std::iter::empty(), &[("vault.master_keys", keys.to_owned())]);
    let settings = own(&format!("{KEY}, {}", OTHER.trim_end_matches('='))).unwrap();
    let ids: Vec<&str> = settings.vault.master_keys.iter().map(MasterKey::id).collect();
    assert_eq!(ids, ["k1", "k2"]);
    assert_eq!(settings.vault.master_keys[1].expose(), &[8; 32]);
    let shown = format!("{settings:?}");
    assert!(shown.contains("MasterKey(k1)") && !shown.contains("7, 7"), "{shown}");

    let body = KEY.split_once(':').unwrap().1;
    for (keys, problem) in [
        (body.to_owned(), "key 1: must be <id>:<base64 of 32 bytes>"),
        (format!("a b:{body}"), "key 1: its id must be"),
        (format!("{}:{body}", "a".repeat(33)), "key 1: its id must be"),
        (format!("{KEY},k3:aHVudGVyMg=="), "key 2: `k3` has 7 bytes, not 32"),
        (format!("k1:{}!", &body[1..]), "key 1: what follows `k1:` is not base64"),
        (format!("{KEY},{KEY}"), "key 2: the id `k1` is used twice"),
        (" , ".to_owned(), "a master key is needed"),
    ] {
        let faults = own(&keys).expect_err(&keys);
        assert!(faults.to_string().contains(problem), "{faults}");
        assert!(!faults.to_string().contains(&body[1..]), "{faults}");
    }
}

#[test]
fn a_secret_is_given_directly_or_as_a_file() {
    let keys = file(&format!("{KEY}\n{OTHER}\n"));
    let path = keys.path().display().to_string();
    let one = [("vault.master_keys_file", path.clone())];
    let settings = Settings::load(None, std::iter::empty(), &one).unwrap();
    assert_eq!(settings.vault.master_keys.len(), 2);

    let both = fault("GRANTKEEP_VAULT__MASTER_KEYS_FILE", &path);
    assert!(both.starts_with("vault.master_keys: both it and vault.master_keys_file are set"), "{both}");

    let absent = fault("GRANTKEEP_STORE__URL_FILE", "/no/such/file");
    assert!(absent.starts_with("store.url_file: `/no/such/file` cannot be read"), "{absent}");

    let url = file("redis://:hunter2@redis.example:6379/1\n");
    let settings = load(&[("GRANTKEEP_STORE__URL_FILE", url.path().to_str().unwrap())]).unwrap();
    assert!(matches!(&settings.store.url, StoreUrl::Redis { url, .. } if url.expose().ends_with("/1")));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn the_public_url_is_https_or_loopback_and_bare() {
    let url = |text| load(&[("GRANTKEEP_SERVER__PUBLIC_URL", text)]).map(|s| s.server.public_url.to_string());
    assert_eq!(url("https://vault.example.com").unwrap(), "https://vault.example.com/");
    assert_eq!(url("https://vault.example.com:8443/").unwrap(), "https://vault.example.com:8443/");
    for loopback in ["http://localhost:1/", "http://[::1]:1/", "http://127.0.0.9:1/", "http://gk.localhost/"]
    {
        assert_eq!(url(loopback).unwrap(), loopback);
    }
    for bad in [
        "http://vault.example.com",
        "http://10.0.0.1",
        "https://vault.example.com/path",
        "https://vault.example.com/?a=b",
        "https://user:hunter2@vault.example.com",
        "ftp://localhost",
        "vault.example.com",
        "https://",
    ] {
        let faults = url(bad).expect_err(bad).to_string();
        assert!(faults.contains("server.public_url") && !faults.contains("hunter2"), "{faults}");
    }
    let open = fault("GRANTKEEP_SERVER__HOST", "0.0.0.0");
    assert!(open.starts_with("server.public_url: must be set where server.host is not loopback"), "{open}");
}

#[test]
fn a_port_that_was_picked_shows_in_the_derived_url_only() {
    let mut any = load(&[("GRANTKEEP_SERVER__PORT", "0"), ("GRANTKEEP_SERVER__HOST", "::1")]).unwrap().server;
    any.bound(4711);
    assert_eq!((any.port, any.public_url.as_str()), (4711, "http://[::1]:4711/"));
    let named = [("GRANTKEEP_SERVER__PORT", "0"), ("GRANTKEEP_SERVER__PUBLIC_URL", "https://v.example")];
    let mut named = load(&named).unwrap().server;
    named.bound(4711);
    assert_eq!(named.public_url.as_str(), "https://v.example/");
}

#[test]
fn contradictions_are_faults() {
    for (name, value, key) in [
        ("GRANTKEEP_SERVER__SHUTDOWN_TIMEOUT", "10s", "server.shutdown_timeout"),
        ("GRANTKEEP_UPSTREAM__TIMEOUT", "2s", "upstream.connect_timeout"),
        ("GRANTKEEP_REFRESH__BACKOFF_MAX", "1ms", "refresh.backoff_max"),
        ("GRANTKEEP_ADMIN__PORT", "8080", "admin.port"),
        ("GRANTKEEP_MAIL__BACKOFF_MAX", "1s", "mail.backoff_max"),
        ("GRANTKEEP_MAIL__URL", "smtp://mail.example.com", "mail.from"),
    ] {
        let fault = fault(name, value);
        assert!(fault.starts_with(key), "{fault}");
    }
}

#[test]
fn what_a_value_must_be_is_said() {
    for (name, value) in [
        ("SERVER__HOST", "example.com"),
        ("SERVER__PORT", "65536"),
        ("SERVER__TRUSTED_PROXIES", "10.0.0.0/33"),
        ("SERVER__WORKERS", "-1"),
        ("SERVER__BODY_LIMIT", "64 parsecs"),
        ("SERVER__BODY_LIMIT", "0"),
        ("SERVER__SHUTDOWN_TIMEOUT", "0s"),
        ("STORE__URL", "embedded:"),
        ("STORE__URL", "redis+cluster://a"),
        ("STORE__URL", "redis-cluster://"),
        ("STORE__URL", "postgres://a"),
        ("MAIL__URL", "smtp://user@example.com"),
        ("MAIL__URL", "smtps://example.com/path"),
        ("MAIL__URL", "smtp://example.com?tls=no"),
        ("MAIL__URL", "smtps://example.com?tls=required"),
        ("MAIL__TIMEOUT", "0s"),
        ("MAIL__FROM", "nobody"),
        ("MAIL__FROM", "A\r\nBcc: b@c.example <a@b.example>"),
        ("UPSTREAM__ALLOW_INSECURE", "yes"),
        ("LIMITS__SIGN_UPS_PER_HOUR", "0"),
        ("LOG__FORMAT", "xml"),
        ("LOG__LEVEL", "grantkeep=debug"),
    ] {
        let key = name.to_lowercase().replace("__", ".");
        let fault = fault(&format!("GRANTKEEP_{name}"), value);
        assert!(fault.starts_with(&key), "{fault}");
    }
    let good = load(&[
        ("GRANTKEEP_SERVER__BODY_LIMIT", "1 MiB"),
        ("GRANTKEEP_STORE__URL", "rediss://:p%40ss@redis.example"),
        ("GRANTKEEP_MAIL__URL", "smtps://ada%40example.com:p%20w@mail.example.com:2465"),
        ("GRANTKEEP_MAIL__FROM", "Acme Ltd <no-reply@acme.example>"),
        ("GRANTKEEP_LOG__LEVEL", "debug"),
    ]);
    let good = good.unwrap();
    assert_eq!((good.server.body_limit, good.log.level), (1_048_576, tracing::Level::DEBUG));
    assert!(matches!(good.mail.route, MailRoute::Smtp(_)));
    let local = [
        ("GRANTKEEP_MAIL__URL", "smtp://localhost:25?tls=required"),
        ("GRANTKEEP_MAIL__FROM", "a@b.example"),
    ];
    assert!(matches!(load(&local).unwrap().mail.route, MailRoute::Smtp(_)));
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    assert!(load(&[]).unwrap().trace.url.is_none());
    let on = load(&[
        ("GRANTKEEP_TRACE__URL", "http://collector.internal:4318/v1/traces"),
        ("GRANTKEEP_TRACE__HEADERS", "Authorization=Bearer a=b, x-team = red"),
        ("GRANTKEEP_TRACE__SAMPLE", "0.25"),
    ]);
    let trace = on.unwrap().trace;
    let headers: Vec<(&str, &str)> = trace.headers.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
    assert_eq!(headers, [("authorization", "Bearer a=b"), ("x-team", "red")]);
    assert!((trace.sample - 0.25).abs() < f64::EPSILON && trace.follow && trace.service == "grantkeep");
    assert!(!format!("{trace:?}").contains("Bearer"));

    for wrong in ["collector:4318", "ftp://c/v1/traces", "http://c:4318", "http://user:hunter2@c/v1/traces"] {
        let said = fault("GRANTKEEP_TRACE__URL", wrong);
        assert!(
            said.contains("such as http://127.0.0.1:4318/v1/traces") && !said.contains("hunter2"),
            "{said}"
        );
    }
    for wrong in ["hunter2", "=hunter2", "a b=hunter2", "a=hunter2\u{7f}", "good=1,a="] {
        let said = fault("GRANTKEEP_TRACE__HEADERS", wrong);
        assert!(said.contains("must be <name>=<value>") && !said.contains("hunter2"), "{said}");
    }
    for wrong in ["-0.1", "1.5", "all", "NaN"] {
        assert!(fault("GRANTKEEP_TRACE__SAMPLE", wrong).contains("from 0 to 1"), "{wrong}");
    }
    assert!(fault("GRANTKEEP_TRACE__SERVICE", "").contains("1 to 64"));
}
