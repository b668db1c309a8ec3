//! Two instances behind the proxy on one Redis, all three started by what `deploy/compose.yaml` says.

use super::compose::{Compose, nginx, port, put, redis};
use crate::journey::sandbox;
use crate::support::app::App;
use crate::support::browser::http;
use crate::support::process::Leashed;
use crate::support::tenant::{PASSWORD, Tenant, answer, with_json};
use crate::support::tls::{authority, write_papers};
use grantkeep::app::new_master_key;
use grantkeep::sandbox::Sandbox;
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const WORD: &str = "f00dfeedf00dfeedf00dfeed";

struct Fleet {
    /// Seen through the proxy.
    app: App,
    other: Leashed,
    /// Where the instances listen behind it.
    ports: [u16; 2],
    plain: u16,
    redis: Option<Leashed>,
    redis_port: u16,
    compose: Compose,
    sandbox: Sandbox,
    tenant: Tenant,
    _proxy: Leashed,
    home: TempDir,
}

/// One instance by the environment of compose; where it listens, and its admin port.
fn instance(environment: &BTreeMap<String, String>, home: &Path) -> (Leashed, u16, String) {
    std::fs::create_dir_all(home).expect("a folder");
    let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
    // A clean environment, in a folder of its own, as in its container.
    let head = ["-i".to_owned(), "-C".to_owned(), home.display().to_string()];
    let tail = [env!("CARGO_BIN_EXE_grantkeep").to_owned(), "serve".to_owned()];
    let arguments: Vec<String> = head.into_iter().chain(variables).chain(tail).collect();
    let serving = |server: &Leashed| {
        server.log().lines().find_map(|line| {
            let said: Value = serde_json::from_str(line).ok()?;
            let port = |name: &str| said[name].as_str()?.rsplit(':').next()?.parse::<u16>().ok();
            port("public").zip(port("admin"))
        })
    };
    let (server, (public, admin)) =
        Leashed::start(Path::new("/usr/bin/env"), arguments, serving).expect("it starts");
    (server, public, format!("http://127.0.0.1:{admin}"))
}

impl Fleet {
    async fn start() -> Self {
        let mut said = String::new();
        // Between finding a port and its being taken somebody else may take it.
        for _ in 0..5 {
            match Self::try_start().await {
                Ok(fleet) => return fleet,
                Err(fault) => said = fault,
            }
        }
        panic!("{said}")
    }

    async fn try_start() -> Result<Self, String> {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let folder = |name: &str| -> PathBuf {
            let folder = home.path().join(name);
            std::fs::create_dir(&folder).expect("a folder");
            folder
        };
        let (papers, outbox, data) = (folder("proxy"), folder("outbox"), folder("redis"));
        write_papers(&papers);
        let (plain, tls, redis_port) = (port(), port(), port());
        let url = format!("https://localhost:{tls}");
        let compose = Compose::read(&[
            ("PUBLIC_URL", &url),
            ("MASTER_KEYS", &new_master_key(Some("first"))),
            ("REDIS_PASSWORD", WORD),
            ("MAIL_URL", &format!("outbox:{}", outbox.display())),
            ("MAIL_FROM", "Acme <no-reply@vault.example.com>"),
            ("TLS_FOLDER", &papers.display().to_string()),
        ]);
        let redis = redis(&compose, redis_port, &data)?;
        let started = ["grantkeep-1", "grantkeep-2"].map(|name| {
            let mut environment = compose.environment(name);
            let mut here = |name: &str, there: &str, here: &str| {
                let value = environment.get_mut(name).unwrap_or_else(|| panic!("{name} is set"));
                *value = put(value, there, here);
            };
            here("GRANTKEEP_SERVER__HOST", "0.0.0.0", "127.0.0.1");
            here("GRANTKEEP_SERVER__PORT", "8080", "0");
            here("GRANTKEEP_ADMIN__HOST", "0.0.0.0", "127.0.0.1");
            here("GRANTKEEP_ADMIN__PORT", "9090", "0");
            here("GRANTKEEP_SERVER__TRUSTED_PROXIES", &proxy_of(&compose), "127.0.0.1");
            here("GRANTKEEP_STORE__URL", "@redis:6379", &format!("@127.0.0.1:{redis_port}"));
            // The one thing beyond compose.yaml: the sandbox speaks http on loopback.
            environment.insert("GRANTKEEP_UPSTREAM__ALLOW_INSECURE".to_owned(), "true".to_owned());
            instance(&environment, &home.path().join(name))
        });
        let ports = [started[0].1, started[1].1];
        let proxy = nginx(plain, tls, ports, &papers)?;
        let [(one, _, admin), (other, ..)] = started;
        let app = App::reached(&url, &admin, &outbox, one);
        let sandbox = sandbox(Duration::from_hours(1)).await;
        let tenant = Tenant::new(&app).await;
        tenant.enable(&sandbox).await.expect(201);
        Ok(Self {
            app,
            other,
            ports,
            plain,
            redis: Some(redis),
            redis_port,
            compose,
            sandbox,
            tenant,
            _proxy: proxy,
            home,
        })
    }

    fn redis_says<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let url = format!("redis://:{WORD}@127.0.0.1:{}/", self.redis_port);
        let mut connection = redis::Client::open(url)?.get_connection()?;
        redis::Cmd::new().arg(words).query(&mut connection)
    }

    /// What the proxy wrote down.
    fn access_log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("proxy/access.log")).expect("a log")
    }

    async fn metrics(&self) -> String {
        http()
            .get(format!("{}/metrics", self.app.admin))
            .send()
            .await
            .expect("it")
            .text()
            .await
            .expect("a text")
    }
}

/// The address that compose gives the proxy, and which Grantkeep believes.
fn proxy_of(compose: &Compose) -> String {
    let address = &compose.service("proxy")["networks"]["front"]["ipv4_address"];
    address.as_str().expect("a fixed address").to_owned()
}

/// A client that comes from an address of its own.
fn from(address: &str) -> Client {
    let address: IpAddr = address.parse().expect("an address");
    let client = Client::builder().local_address(address).tls_certs_merge([authority()]);
    client.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

#[tokio::test]
async fn the_journey_goes_through_the_proxy_and_one_instance_may_die() {
    let fleet = Fleet::start().await;
    let tenant = &fleet.tenant;
    tenant.connect("ada").await;
    let token = tenant.token("ada").await.expect(200).text("access_token");
    let log = fleet.access_log();
    for port in fleet.ports {
        assert!(log.contains(&format!("127.0.0.1:{port}")), "both instances took part: {log}");
    }
    assert!(log.contains("/authorization-success/") && log.contains("/complete-authorization"), "{log}");
    for never in ["code=", "state=", "session=", "token=", "completion", PASSWORD, &token, &tenant.key] {
        assert!(!log.contains(never), "`{never}` in {log}");
    }
    assert_eq!(fleet.sandbox.control().counts().refreshes, 0);

    // Plain HTTP leads to TLS, and TLS says so for two years.
    let moved =
        http().get(format!("http://localhost:{}/providers?x=1", fleet.plain)).send().await.expect("it");
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (308, &"https://localhost/providers?x=1".parse().expect("it"))
    );
    let secure = http().get(format!("{}/providers", fleet.app.url)).send().await.expect("it");
    assert_eq!(secure.headers()["strict-transport-security"], "max-age=63072000");

    // One dies without a word, and whoever asks for tokens does not notice: not even where it died with the question.
    fleet.other.signal("KILL");
    for _ in 0..40 {
        assert_eq!(tenant.token("ada").await.expect(200).text("access_token"), token);
    }
    assert!(fleet.metrics().await.contains(r#"grantkeep_handouts_total{provider="sandbox",state="fresh"}"#));
}

#[tokio::test]
async fn the_clients_address_arrives_and_nobody_can_make_one_up() {
    let fleet = Fleet::start().await;
    let (url, tenant) = (&fleet.app.url, &fleet.tenant);
    let body = json!({ "name": "from one address", "ips": ["127.0.0.77"] });
    let made = tenant.post("/v1/api-keys", &body).await.expect(201);
    let key = made.text("key");
    let ask = async |from: Client, at: &str, spoofed: Option<&str>| {
        let mut request = from.get(format!("{at}/v1/connections")).bearer_auth(&key);
        if let Some(address) = spoofed {
            request =
                request.header("x-forwarded-for", address).header("forwarded", format!("for={address}"));
        }
        answer(request).await.status
    };
    assert_eq!(ask(from("127.0.0.77"), url, None).await, 200);
    assert_eq!(ask(from("127.0.0.78"), url, None).await, 403);
    assert_eq!(ask(from("127.0.0.78"), url, Some("127.0.0.77")).await, 403, "the proxy names who connected");
    assert_eq!(ask(from("127.0.0.77"), url, Some("127.0.0.78")).await, 200);
    // Who reaches an instance beside the proxy is who it is, whatever it says.
    let beside = format!("http://127.0.0.1:{}", fleet.ports[0]);
    assert_eq!(ask(from("127.0.0.78"), &beside, Some("127.0.0.77")).await, 403);
}

#[tokio::test]
async fn redis_keeps_what_it_took_and_lets_nobody_in() {
    let mut fleet = Fleet::start().await;
    fleet.tenant.connect("ada").await;
    let token = fleet.tenant.token("ada").await.expect(200).text("access_token");
    let is = |name: &str, value: &str| {
        let said: Vec<String> = fleet.redis_says(&["CONFIG", "GET", name]).expect("it answers");
        assert_eq!(said, [name, value]);
    };
    is("appendonly", "yes");
    is("appendfsync", "always");
    is("maxmemory-policy", "noeviction");
    is("maxmemory", "1073741824");
    is("hash-max-listpack-value", "2048");
    let open = redis::Client::open(format!("redis://127.0.0.1:{}/", fleet.redis_port)).expect("a URL");
    let refused = open.get_connection().and_then(|mut at| redis::cmd("PING").query::<String>(&mut at));
    assert!(refused.expect_err("no password").to_string().to_lowercase().contains("auth"));
    // A connection's record stays in the compact encoding.
    let keys: Vec<String> = fleet.redis_says(&["KEYS", "gk:*:connection:*"]).expect("it answers");
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let encoding: String = fleet.redis_says(&["OBJECT", "ENCODING", key]).expect("it answers");
    let longest: u64 = ["access_token", "refresh_token"].iter().fold(0, |longest, field| {
        fleet.redis_says::<u64>(&["HSTRLEN", key, field]).map_or(longest, |length| longest.max(length))
    });
    assert!(longest > 64, "with the default it would not: {longest}");
    assert_eq!(encoding, "listpack");

    // Killed and started again on its folder: everything is there, and nobody started the instances anew.
    fleet.redis.take().expect("it runs").signal("KILL");
    let data = fleet.home.path().join("redis");
    fleet.redis = Some(redis(&fleet.compose, fleet.redis_port, &data).expect("its port is free again"));
    for _ in 0..500 {
        let asked = fleet.tenant.token("ada").await;
        if asked.status == 200 {
            assert_eq!(asked.text("access_token"), token);
            return;
        }
        assert_eq!(asked.code(), "store_unavailable", "{asked:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the store never came back");
}

#[tokio::test]
async fn sign_ups_do_not_share_a_limit_because_they_share_a_proxy() {
    let fleet = Fleet::start().await;
    let sign_up = async |address: &str, number: u32| {
        let body = json!({ "email": format!("a{number}@example.com"), "password": PASSWORD });
        answer(with_json(from(address).post(format!("{}/signup", fleet.app.url)), &body)).await.status
    };
    // `limits.sign_ups_per_hour` is 20, counted by each instance.
    let mut refused = false;
    for number in 0..60 {
        refused |= sign_up("127.0.0.81", number).await == 429;
    }
    assert!(refused, "one address");
    assert_eq!(sign_up("127.0.0.82", 100).await, 202, "another one");
}
