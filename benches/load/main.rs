//! The load script: how fast `POST /get-access-token` is answered while the token is fresh, on both stores, next to a bare
//! actix handler that answers as many bytes. `docs/performance.md` says how to run and how to read it.
//!
//! Absolute figures drift with the machine, so all take turns within one run, and what counts is their ratio in the
//! same round. Every server is a process of its own; the load comes from this one, which also plays the provider.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "it measures real time, rounds for people, and ends at the first fault"
)]

mod asked;
mod bare;
mod drive;
mod fill;
mod http;
mod journey;
mod paced;
mod process;
mod report;

use asked::Asked;
use clap::Parser;
use drive::{Load, Measured};
use fill::Sizes;
use journey::Connected;
use paced::Paced;
use process::{Bare, Grantkeep, Redis};
use report::Start;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(about = "Load on POST /get-access-token, beside a bare handler")]
struct Options {
    /// Rounds; each measures all.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Connections, kept open.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// End users, asked for in turn.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Connections laid down beside them, of which each is asked for as likely as any other. 0: none.
    #[arg(long, default_value_t = 1_000_000)]
    crowd: usize,
    /// Characters of their access tokens.
    #[arg(long, default_value_t = 220)]
    access: usize,
    /// Characters of their refresh tokens.
    #[arg(long, default_value_t = 64)]
    refresh: usize,
    /// Seconds of each measurement at a fixed rate of arrival. 0: none.
    #[arg(long, default_value_t = 3.0)]
    paced: f64,
    /// Threads that serve, of each server.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// What the servers log. As they are shipped it is `info`: no line for a token that was handed out.
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Only those whose name contains this, beside the bare handler.
    #[arg(long, default_value = "")]
    only: String,
    /// Measured starts on each store.
    #[arg(long, default_value_t = 7)]
    starts: usize,
    /// The Redis to start; by default what the variable `GRANTKEEP_TEST_REDIS_SERVER` names, else what `make bench` installed.
    #[arg(long)]
    redis_server: Option<PathBuf>,
    /// Serves the bare handler and nothing else: how this program calls itself.
    #[arg(long, hide = true)]
    bare: Option<usize>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way to run the server.
struct Variant {
    name: &'static str,
    on_redis: bool,
    /// The name of the same with a crowd, where it is measured so too.
    crowd: Option<&'static str>,
    settings: &'static [(&'static str, &'static str)],
}

const UNKEPT: (&str, &str) = ("GRANTKEEP_CACHE__TTL", "0");
const BEHIND: (&str, &str) = ("GRANTKEEP_AUDIT__HANDOUTS", "behind");
const UNRECORDED: (&str, &str) = ("GRANTKEEP_AUDIT__HANDOUTS", "off");

/// As it is shipped, and without what costs: what is kept, and the record of each hand-out.
const VARIANTS: &[Variant] = &[
    Variant { name: "embedded", on_redis: false, crowd: Some("embedded, crowd"), settings: &[] },
    Variant { name: "embedded, behind", on_redis: false, crowd: None, settings: &[BEHIND] },
    Variant {
        name: "embedded, off",
        on_redis: false,
        crowd: Some("embedded, crowd, off"),
        settings: &[UNRECORDED],
    },
    Variant { name: "redis", on_redis: true, crowd: Some("redis, crowd"), settings: &[] },
    Variant { name: "redis, behind", on_redis: true, crowd: None, settings: &[BEHIND] },
    Variant { name: "redis, off", on_redis: true, crowd: Some("redis, crowd, off"), settings: &[UNRECORDED] },
    Variant { name: "redis, unkept", on_redis: true, crowd: None, settings: &[UNKEPT] },
    Variant { name: "redis, unkept, off", on_redis: true, crowd: None, settings: &[UNKEPT, UNRECORDED] },
];

/// One that is measured.
struct Contestant {
    name: &'static str,
    at: SocketAddr,
    server: u32,
    redis: Option<u32>,
    asked: Asked,
    rounds: Vec<Measured>,
    /// At fixed rates, and the bare handler at the same.
    paced: Vec<(Paced, Paced)>,
}

impl Contestant {
    fn load(&self, options: &Options, span: Duration) -> Load {
        Load { at: self.at, asked: self.asked.clone(), connections: options.connections, span }
    }
}

fn main() {
    let options = Options::parse();
    if let Some(bytes) = options.bare {
        bare::serve(bytes, options.workers).expect("the bare handler serves");
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let redis = Redis::start(&redis_server(&options), folder.path());
    let mut starts = Vec::new();
    let mut servers = Vec::new();
    let mut contestants = Vec::new();
    let wanted = VARIANTS.iter().filter(|variant| variant.name.contains(&options.only));
    for (number, variant) in wanted.enumerate() {
        let home = folder.path().join(number.to_string());
        let embedded = || format!("embedded:{}", home.join("store").display());
        let url = if variant.on_redis { redis.url(number) } else { embedded() };
        let mut server = Grantkeep::new(&home, &url, &options, variant.settings);
        server.start();
        let connected = journey::connected(&server, options.users);
        if options.crowd > 0 && variant.crowd.is_some() {
            lay_down(&mut server, &redis, &connected.key, (variant, &options));
        }
        if variant.settings.is_empty() {
            starts.push((variant.name, measure_starts(&mut server, &connected.requests[0], options.starts)));
        }
        contestants.extend(contestants_of(&server, &redis, connected, (variant, &options)));
        servers.push(server);
    }
    assert!(!contestants.is_empty(), "there is no variant `{}`", options.only);
    let asked = contestants[0].asked.clone();
    let answer = http::ask(contestants[0].at, asked.by(0, 1).next()).expect("it answers");
    let bare = Bare::start(answer.body.len(), options.workers);
    let (at, server) = (bare.at, bare.pid());
    let (rounds, paced) = (vec![], vec![]);
    contestants.insert(0, Contestant { name: "bare handler", at, server, redis: None, asked, rounds, paced });
    report::heading(&options, answer.body.len());
    report::starts(&starts);
    measure(&mut contestants, &options);
    if options.paced > 0.0 {
        measure_paced(&mut contestants, &options);
    }
    report::figures(&contestants);
    for server in &servers {
        assert!(!server.log().contains("ERROR"), "a server complained:\n{}", server.log());
        assert!(server.refreshes() == 0, "a token was refreshed: those were no reads of fresh tokens");
    }
}

/// A crowd in the server's store.
fn lay_down(server: &mut Grantkeep, redis: &Redis, key: &str, (variant, options): (&Variant, &Options)) {
    let before = redis.used();
    // The embedded store is one process's alone.
    server.stop();
    let sizes = Sizes { access: options.access, refresh: options.refresh };
    fill::fill(server, key, &journey::name(0), options.crowd, sizes);
    server.start();
    if variant.on_redis {
        let each = redis.used().saturating_sub(before) / options.crowd;
        eprintln!("{}: {each} bytes of Redis a connection", variant.name);
    }
}

/// The server asked for its crowd, where it has one, and for those who are really connected.
fn contestants_of(
    server: &Grantkeep,
    redis: &Redis,
    connected: Connected,
    (variant, options): (&Variant, &Options),
) -> Vec<Contestant> {
    let contestant = |name, asked| Contestant {
        name,
        at: server.public,
        server: server.pid(),
        redis: variant.on_redis.then(|| redis.pid()),
        asked,
        rounds: vec![],
        paced: vec![],
    };
    let crowd = variant.crowd.filter(|_| options.crowd > 0).map(|name| {
        let request = journey::token_request(&connected.key, &fill::name(0));
        contestant(name, Asked::crowd(request, options.crowd))
    });
    let few = contestant(variant.name, Asked::These(Arc::new(connected.requests)));
    crowd.into_iter().chain([few]).collect()
}

/// Every other round goes backwards, so that none is always measured after the same other.
fn measure(contestants: &mut [Contestant], options: &Options) {
    let span = Duration::from_secs_f64(options.seconds);
    for round in 0..options.rounds {
        let mut turn: Vec<&mut Contestant> = contestants.iter_mut().collect();
        if round % 2 == 1 {
            turn.reverse();
        }
        for contestant in turn {
            let measured =
                drive::measure(&contestant.load(options, span), contestant.server, contestant.redis);
            eprintln!("round {}: {:<19} {:>7.0} requests/s", round + 1, contestant.name, measured.rate);
            contestant.rounds.push(measured);
        }
    }
}

/// Each at parts of its own peak, and the bare handler at the same rate right after.
fn measure_paced(contestants: &mut [Contestant], options: &Options) {
    let Some((bare, others)) = contestants.split_first_mut() else { return };
    let span = Duration::from_secs_f64(options.paced);
    for contestant in others {
        for part in [0.25, 0.5, 0.75] {
            let rate = report::median(&contestant.rounds, |round| round.rate) * part;
            let ours = paced::measure(&contestant.load(options, span), rate);
            let bare = paced::measure(&bare.load(options, span), rate);
            eprintln!(
                "{:<20} at {rate:>7.0}/s: p99 {:.2} ms, bare {:.2} ms",
                contestant.name, ours.p99_ms, bare.p99_ms
            );
            contestant.paced.push((ours, bare));
        }
    }
}

/// Starts the server again and again on the store it has; the last one stays.
fn measure_starts(server: &mut Grantkeep, request: &[u8], times: usize) -> Vec<Start> {
    let mut starts = Vec::new();
    for _ in 0..times {
        server.stop();
        let begun = std::time::Instant::now();
        server.spawn();
        server.await_health();
        let health = begun.elapsed();
        let answer = http::until_answered(server.public, request);
        let token = begun.elapsed();
        assert_eq!(answer.status, 200, "{}", answer.body);
        starts.push(Start { health, token, idle_kib: process::resident_kib(server.pid()) });
    }
    starts
}

fn redis_server(options: &Options) -> PathBuf {
    let named = options.redis_server.clone();
    let named = named.or_else(|| std::env::var_os("GRANTKEEP_TEST_REDIS_SERVER").map(PathBuf::from));
    // CARGO_TARGET_TMPDIR is `<target>/tmp`.
    let installed =
        || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("bin/redis-server");
    let path = named.unwrap_or_else(installed);
    assert!(path.exists(), "there is no {}: run `make bench`, which installs it", path.display());
    path
}
