//! Master keys come and go beside servers that serve: the runbook of docs/operations.md, step by step, through the binary.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::process::Leashed;
use crate::support::redis::RedisServer;
use crate::support::tenant::Tenant;
use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::{StreamExt, stream};
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::adapters::system::{SystemChance, SystemClock};
use grantkeep::domain::{EmailAddress, Timestamp};
use grantkeep::ports::ChanceExt;
use grantkeep::vault::{Activation, Keyring, PendingSignUp, Vault};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_hours(1);
const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// As it stands in `vault.master_keys`.
fn ring(keys: &[(&str, [u8; 32])]) -> String {
    let texts = keys.iter().map(|(id, bytes)| format!("{id}:{}", BASE64_STANDARD.encode(bytes)));
    texts.collect::<Vec<_>>().join(",")
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

/// The variables of a command on this store with these master keys.
fn variables(store: &str, keys: &str) -> [(&'static str, String); 2] {
    [("GRANTKEEP_STORE__URL", store.to_owned()), ("GRANTKEEP_VAULT__MASTER_KEYS", keys.to_owned())]
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// `grantkeep keys …`, to its end.
fn keys(store: &str, keys: &str, arguments: &[&str]) -> Said {
    let place = folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeep"));
    command.arg("keys").args(arguments).env_clear().envs(variables(store, keys)).current_dir(place.path());
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

impl Said {
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        for secret in [OLD, NEW].map(|key| BASE64_STANDARD.encode(key)) {
            assert!(!self.out.contains(&secret) && !self.err.contains(&secret), "no key is told");
        }
        self
    }

    /// How many tenants lie under a master key, and the words beside it.
    #[track_caller]
    fn line(&self, id: &str) -> (usize, &str) {
        let line = self.out.lines().find_map(|line| line.strip_prefix(&format!("{id} ")));
        let line = line.unwrap_or_else(|| panic!("no line of `{id}` in\n{}", self.out)).trim_start();
        let (count, words) = line.split_once("  ").expect("a count and words");
        (count.parse().expect("a number"), words)
    }
}

/// Signs up so many tenants under the master key `old`, without mails.
async fn fill(redis: &RedisServer, count: usize) {
    let store = RedisStore::connect(&redis.url(), RedisOptions::default()).unwrap();
    let keyring = Keyring::new([("old", &OLD)]).unwrap();
    let vault = Vault::new(Arc::new(store), Arc::new(SystemClock::new()), Arc::new(SystemChance), keyring);
    let sign_up = |number: usize| {
        let vault = &vault;
        async move {
            let token = SystemChance.ticket();
            let sign_up = PendingSignUp {
                email: EmailAddress::parse(&format!("filler-{number}@example.com")).unwrap(),
                password_hash: "$argon2id$none".to_owned(),
                product: "Filler".to_owned(),
                created_at: Timestamp::from_millis(0),
            };
            vault.sign_ups().keep(&token, &sign_up, HOUR).await.unwrap();
            let activation = vault.sign_ups().activate(&token).await.unwrap();
            assert!(matches!(activation, Activation::Activated(_)));
        }
    };
    stream::iter(0..count).map(sign_up).buffer_unordered(64).collect::<Vec<()>>().await;
}

/// A way to Redis that lets so many writes of data keys through and then nothing more, for good.
struct Narrow {
    port: u16,
    let_through: Arc<AtomicUsize>,
    limit: usize,
}

impl Narrow {
    fn before(redis: &RedisServer, limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (let_through, behind) = (Arc::new(AtomicUsize::new(0)), redis.port());
        let count = Arc::clone(&let_through);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", behind)) else { return };
                let (back, to) =
                    (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
                std::thread::spawn(move || pass(back, to, |_| true));
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    pass(client, server, |bytes| {
                        let writes = bytes.windows(8).filter(|part| part == b"data_key").count();
                        count.fetch_add(writes, Ordering::SeqCst) + writes < limit
                    });
                });
            }
        });
        Self { port, let_through, limit }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn is_shut(&self) -> bool {
        self.let_through.load(Ordering::SeqCst) >= self.limit
    }
}

/// Passes on while `open` says so of what it just passed on; then holds the connection until the client goes away.
fn pass(mut from: TcpStream, mut to: TcpStream, open: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 4096];
    let mut passing = true;
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if passing && to.write_all(&bytes[..length]).is_err() {
            return;
        }
        passing = passing && open(&bytes[..length]);
    }
}

/// Starts a rotation that comes to a halt in the middle, and kills it there.
fn rotate_and_kill(redis: &RedisServer, ring: &str, writes: usize) {
    let way = Narrow::before(redis, writes);
    let variables = variables(&way.url(), ring).map(|(name, value)| format!("{name}={value}"));
    let program = [env!("CARGO_BIN_EXE_grantkeep"), "keys", "rotate"].map(str::to_owned);
    let arguments: Vec<String> = variables.into_iter().chain(program).collect();
    let ready = |_: &Leashed| way.is_shut().then_some(());
    let (rotation, ()) = Leashed::start(Path::new("/usr/bin/env"), arguments, ready).expect("it starts");
    rotation.signal("KILL");
}

/// Where the data keys lie, as Redis has it.
fn wrapped(redis: &RedisServer) -> Vec<String> {
    let tenants: Vec<String> = redis.say(&["KEYS", "gk:{*}:tenant"]);
    tenants.iter().map(|tenant| redis.say(&["HGET", tenant, "data_key"])).collect()
}

async fn metric(app: &App, name: &str) -> u64 {
    let text = app.metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn spawn(redis: &Arc<RedisServer>, keys: &str) -> App {
    App::spawn(Stores::Redis(Arc::clone(redis)), &[("vault.master_keys", keys)])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_with_a_kill_in_the_middle_loses_nothing() {
    const FILL: usize = 400;
    let redis = Arc::new(RedisServer::start(&[]));
    let sandbox = sandbox(HOUR).await;
    let (old, new) = (("old", OLD), ("new", NEW));
    fill(&redis, FILL).await;
    // Step 1: the new key is known everywhere, and seals nowhere.
    let behind = spawn(&redis, &ring(&[old, new]));
    let tenant = Tenant::new(&behind).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("alice").await;
    // Step 2: in front, one server after the other. One of the old kind still runs.
    let front = spawn(&redis, &ring(&[new, old]));
    tenant.at(&front).token("alice").await.expect(200);
    assert!(metric(&front, "grantkeep_old_master_keys_total").await > 0, "the old key is still needed");
    let status = keys(&redis.url(), &ring(&[new, old]), &["status"]).ends(0);
    assert_eq!(status.line("old"), (FILL + 1, "still needed: run `grantkeep keys rotate`"));
    assert_eq!(status.line("new"), (0, "wraps new data keys; must stay"));

    // Step 3: the rotation, killed in the middle.
    rotate_and_kill(&redis, &ring(&[new, old]), 150);
    let status = keys(&redis.url(), &ring(&[new, old]), &["status"]).ends(0);
    let (left, done) = (status.line("old").0, status.line("new").0);
    assert!(done >= 100 && left >= 100 && done + left == FILL + 1, "{}", status.out);
    let fresh = spawn(&redis, &ring(&[old, new]));
    for app in [&behind, &front, &fresh] {
        tenant.at(app).token("alice").await.expect(200);
    }
    // Two at once go on where it was, and turn each tenant once.
    let rotate = || keys(&redis.url(), &ring(&[new, old]), &["rotate"]);
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(rotate);
        let two = rotate();
        (one.join().expect("it ran"), two)
    });
    let (one, two) = (one.ends(0), two.ends(0));
    let turned = |said: &Said| -> usize {
        let line = said.out.lines().find_map(|line| line.strip_prefix("wrapped ")).expect("a line");
        line.split(' ').next().and_then(|count| count.parse().ok()).expect("a number")
    };
    assert_eq!(turned(&one) + turned(&two), left, "{}\n{}", one.out, two.out);
    let lines = |said: &Said| said.out.contains(" tenants wrapped anew\n");
    assert!(lines(&one) || lines(&two), "without a terminal there are lines: {}\n{}", one.out, two.out);
    assert!(wrapped(&redis).iter().all(|key| key.contains(".new.")));

    // A server with the old key in front makes a tenant: step 4 sees it.
    let late = Tenant::new(&behind).await;
    let status = keys(&redis.url(), &ring(&[new, old]), &["status"]).ends(0);
    assert_eq!(status.line("old").0, 1);
    rotate().ends(0);
    let status = keys(&redis.url(), &ring(&[new, old]), &["status"]).ends(0);
    assert_eq!(
        status.line("old"),
        (0, "not needed: may be removed once every server has the first one in front")
    );
    // Step 4: without the old key.
    let without = spawn(&redis, &ring(&[new]));
    tenant.at(&without).token("alice").await.expect(200);
    tenant.at(&without).connect("bob").await;
    late.at(&without).enable(&sandbox).await.expect(201);
    keys(&redis.url(), &ring(&[new]), &["status"]).ends(0);
    assert_eq!(metric(&without, "grantkeep_old_master_keys_total").await, 0);
}

#[tokio::test]
async fn what_is_missing_or_does_not_open_is_named_and_left_alone() {
    let redis = RedisServer::start(&[]);
    fill(&redis, 3).await;
    let before = wrapped(&redis);
    for command in ["status", "rotate"] {
        let said = keys(&redis.url(), &ring(&[("new", NEW)]), &[command]).ends(1);
        assert_eq!(said.line("old"), (3, "IS NOT CONFIGURED: put it back into vault.master_keys"));
        assert!(said.err.contains("`old`") && said.err.contains("vault.master_keys"), "{}", said.err);
        // Another key under the same id.
        let said = keys(&redis.url(), &ring(&[("new", NEW), ("old", [3; 32])]), &[command]).ends(1);
        assert!(said.err.contains("3 tenants do not open"), "{}", said.err);
        assert!(said.err.contains("configured under the same id"), "{}", said.err);
    }
    let mut after = wrapped(&redis);
    after.sort();
    let mut before = before;
    before.sort();
    assert_eq!(after, before);
    // One of them spoilt: the others are turned all the same.
    let tenants: Vec<String> = redis.say(&["KEYS", "gk:{*}:tenant"]);
    redis.say::<()>(&["HSET", &tenants[0], "data_key", "abcdefgh.old.spoilt"]);
    let both = ring(&[("new", NEW), ("old", OLD)]);
    let said = keys(&redis.url(), &both, &["rotate"]).ends(1);
    assert_eq!((said.line("new").0, said.line("old").0), (2, 1));
    let id = tenants[0].trim_start_matches("gk:{").trim_end_matches("}:tenant");
    assert!(said.err.contains(id), "{}", said.err);
}

#[tokio::test]
async fn several_data_keys_of_a_tenant_are_all_turned() {
    let redis = RedisServer::start(&[]);
    fill(&redis, 1).await;
    let tenants: Vec<String> = redis.say(&["KEYS", "gk:{*}:tenant"]);
    let one: String = redis.say(&["HGET", &tenants[0], "data_key"]);
    redis.say::<()>(&["HSET", &tenants[0], "data_key", &format!("{one},{one}")]);
    let rev: u64 = redis.say(&["HGET", &tenants[0], "rev"]);
    let both = ring(&[("new", NEW), ("old", OLD)]);
    keys(&redis.url(), &both, &["rotate"]).ends(0);
    let (id, _) = one.split_once('.').unwrap();
    let turned: String = redis.say(&["HGET", &tenants[0], "data_key"]);
    let ids: Vec<_> = turned.split(',').map(|key| key.split('.').take(2).collect::<Vec<_>>()).collect();
    assert_eq!(ids, [[id, "new"], [id, "new"]], "{turned}");
    assert_eq!(redis.say::<u64>(&["HGET", &tenants[0], "rev"]), rev + 1);
    keys(&redis.url(), &both, &["rotate"]).ends(0);
    assert_eq!(redis.say::<String>(&["HGET", &tenants[0], "data_key"]), turned, "nothing is written twice");
}

#[tokio::test]
async fn a_tenant_that_the_index_lost_is_seen_by_the_server_and_put_back_by_name() {
    let redis = Arc::new(RedisServer::start(&[]));
    let sandbox = sandbox(HOUR).await;
    let both = ring(&[("new", NEW), ("old", OLD)]);
    let before = spawn(&redis, &ring(&[("old", OLD)]));
    let tenant = Tenant::new(&before).await;
    tenant.enable(&sandbox).await.expect(201);
    let shards: Vec<String> = redis.say(&["KEYS", "gk:tenants:*"]);
    redis.say::<()>(&["ZREM", &shards[0], tenant.id()]);
    // A sign-up given up halfway leaves an entry without a record.
    redis.say::<()>(&["ZADD", "gk:tenants:0", "0", &"z".repeat(22)]);
    let said = keys(&redis.url(), &both, &["rotate"]).ends(0);
    assert_eq!(said.line("old").0, 0, "it cannot know");
    assert!(said.out.contains("1 entries of the index have no record"), "{}", said.out);
    let front = spawn(&redis, &both);
    tenant.at(&front).enable(&sandbox).await.expect(200);
    assert_eq!(metric(&front, "grantkeep_old_master_keys_total").await, 1, "the server says so");

    for unknown in ["nobody", &"n".repeat(22)] {
        let said = keys(&redis.url(), &both, &["rotate", "--tenant", unknown]).ends(1);
        assert!(said.err.contains(unknown) && said.err.contains("no such tenant"), "{}", said.err);
    }
    let said = keys(&redis.url(), &both, &["rotate", "--tenant", tenant.id()]).ends(0);
    assert_eq!((said.line("old").0, said.line("new").0), (0, 1));
    let said = keys(&redis.url(), &both, &["status"]).ends(0);
    assert_eq!(said.line("new").0, 1, "it is in the index again");
}

#[tokio::test]
async fn on_the_embedded_store_between_stop_and_start() {
    let place = folder();
    let url = format!("embedded:{}", place.path().join("data").display());
    let sandbox = sandbox(HOUR).await;
    let start = |keys: &str| App::spawn(Stores::At(url.clone()), &[("vault.master_keys", keys)]);
    let mut app = start(&ring(&[("old", OLD)]));
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("alice").await;
    let both = ring(&[("new", NEW), ("old", OLD)]);
    for command in ["status", "rotate"] {
        let said = keys(&url, &both, &[command]).ends(1);
        assert!(said.err.contains("stop the server, run this, and start it again"), "{}", said.err);
    }
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0);
    keys(&url, &both, &["rotate"]).ends(0);
    let app = start(&ring(&[("new", NEW)]));
    tenant.at(&app).token("alice").await.expect(200);
}

#[test]
fn nothing_to_rotate_is_said_and_a_store_that_is_silent_too() {
    let place = folder();
    let url = format!("embedded:{}", place.path().join("data").display());
    let said = keys(&url, &ring(&[("new", NEW)]), &["rotate"]).ends(0);
    assert!(said.out.contains("0 of 0 tenants lie under another master key than `new`"), "{}", said.out);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let said = keys(&format!("redis://{nobody}/"), &ring(&[("new", NEW)]), &["status"]).ends(1);
    assert!(said.err.contains("store.url"), "{}", said.err);
}
