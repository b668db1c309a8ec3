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
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "it measures real time, rounds for people, and ends at the first fault"
)]

mod accounts;
mod asked;
mod bare;
mod drive;
mod fill;
mod held;
mod http;
mod journey;
mod paced;
mod page;
mod plot;
mod process;
mod renewed;
mod report;
mod tenants;

use asked::Asked;
use clap::Parser;
use drive::{Load, Measured};
use fill::Sizes;
use journey::Connected;
use paced::Paced;
use process::{Bare, Grantkeep, Program, Redis};
use report::{Growth, Report, Start};
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
    /// Sizes of the crowd on the way to its last, at which the store is measured while it grows.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    growth: Vec<usize>,
    /// Tenants of one connection each that are laid down besides, where there is a crowd. 0: none.
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// Connections that are held open without a request, to see what each costs.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    held: Vec<usize>,
    /// The page that the figures are written into, and plots of them beside it.
    #[arg(long)]
    write: Option<PathBuf>,
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

/// Connections that leave the machine time to spare.
const FEW: usize = 4;

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

/// A variant that runs, and whom it knows.
struct Running {
    variant: &'static Variant,
    server: Grantkeep,
    connected: Connected,
}

impl Running {
    /// As it is shipped, without a setting of the bench's.
    fn is_shipped(&self) -> bool {
        self.variant.settings.is_empty()
    }
}

/// One that is measured.
struct Contestant {
    name: &'static str,
    at: SocketAddr,
    server: u32,
    redis: Option<u32>,
    asked: Asked,
    rounds: Vec<Measured>,
    /// With [`FEW`] connections.
    calm: Vec<Measured>,
    /// At fixed rates, and the bare handler at the same.
    paced: Vec<(Paced, Paced)>,
}

impl Contestant {
    fn new(name: &'static str, at: SocketAddr, (server, redis): (u32, Option<u32>), asked: Asked) -> Self {
        Self { name, at, server, redis, asked, rounds: vec![], calm: vec![], paced: vec![] }
    }

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
    let program = redis_server(&options);
    let redis = Redis::start(&program, folder.path());
    let (mut report, mut all, bare) = set_up(&options, &redis, folder.path());
    report.how = report::how(&options, bare.bytes, &program);
    measure(&mut report.contestants, &options);
    if options.paced > 0.0 {
        measure_paced(&mut report.contestants, &options);
    }
    for Running { server, .. } in &all {
        assert!(!server.log().contains("ERROR"), "a server complained:\n{}", server.log());
        assert!(server.refreshes() == 0, "a token was refreshed: those were no reads of fresh tokens");
    }
    // One Redis tells all its servers of every write, whoever's database it is in.
    all.retain(Running::is_shipped);
    for Running { variant, server, connected } in &mut all {
        if options.crowd > 0 {
            let redis = variant.on_redis.then_some(&redis);
            report.renewed.push((variant.name, renewed::measured(server, redis, connected, &options)));
        }
    }
    println!("{report}");
    if let Some(page) = &options.write {
        page::write(page, &report);
    }
}

/// Everything that runs: of each variant a server whose end users are connected, and the bare handler. What does not take
/// turns with others is measured on the way.
fn set_up(options: &Options, redis: &Redis, folder: &Path) -> (Report, Vec<Running>, Bare) {
    let (mut report, mut all) = (Report::default(), Vec::new());
    let mut bare = None;
    let wanted = VARIANTS.iter().filter(|variant| variant.name.contains(&options.only));
    for (number, variant) in wanted.enumerate() {
        let home = folder.join(number.to_string());
        let embedded = || format!("embedded:{}", home.join("store").display());
        let url = if variant.on_redis { redis.url(number) } else { embedded() };
        let mut server = Grantkeep::new(&home, &url, options, variant.settings);
        server.start();
        let connected = journey::connected(&server, options.users);
        let mut one = Running { variant, server, connected };
        let bare = &*bare.get_or_insert_with(|| bare_handler(&one, options));
        if options.crowd > 0 && variant.crowd.is_some() {
            lay_down(&mut one, (redis, bare), options, &mut report);
        }
        if one.is_shipped() {
            let asked = &one.connected.requests[0];
            report.starts.push((variant.name, measure_starts(&mut one.server, asked, options.starts)));
            report.held.push((variant.name, held::measure(&one.server, asked, &options.held)));
        }
        report.contestants.extend(contestants_of(&one, redis, options));
        all.push(one);
    }
    let bare = bare.unwrap_or_else(|| panic!("there is no variant `{}`", options.only));
    let asked = report.contestants[0].asked.clone();
    let contestant = Contestant::new("bare handler", bare.at, (bare.pid(), None), asked);
    report.contestants.insert(0, contestant);
    (report, all, bare)
}

/// One that answers as many bytes as that server does.
fn bare_handler(like: &Running, options: &Options) -> Bare {
    let answer = http::ask(like.server.public, &like.connected.requests[0]).expect("it answers");
    Bare::start(answer.body.len(), options.workers)
}

/// A crowd in the server's store, looked at while it grows where the server is as it is shipped.
fn lay_down(one: &mut Running, (redis, bare): (&Redis, &Bare), options: &Options, report: &mut Report) {
    let (shipped, name) = (one.is_shipped(), one.variant.name);
    let Running { variant, server, connected } = one;
    let sizes = Sizes { access: options.access, refresh: options.refresh };
    let steps = options.growth.iter().copied().filter(|size| shipped && *size < options.crowd);
    let (mut laid, mut used) = (0, 0);
    for size in steps.chain([options.crowd]) {
        // The embedded store is one process's alone.
        server.stop();
        let before = redis.used();
        fill::fill(server, &connected.key, &journey::name(0), laid..size, sizes);
        used += redis.used().saturating_sub(before);
        laid = size;
        let start = measure_starts(server, &connected.requests[0], 1).remove(0);
        if !shipped {
            continue;
        }
        let asked = Asked::crowd(journey::token_request(&connected.key, &fill::name(0)), size);
        report.growth.push(grown(name, (size, 1), (server, bare), &asked, start, options));
    }
    if shipped && options.tenants > 0 {
        server.stop();
        let (key, model, count) = (&connected.key, journey::name(0), options.tenants);
        let asked = Asked::These(Arc::new(tenants::lay_down(server, key, &model, count, sizes)));
        let start = measure_starts(server, &connected.requests[0], 1).remove(0);
        report.growth.push(grown(name, (count, count), (server, bare), &asked, start, options));
    }
    if variant.on_redis {
        let each = used / options.crowd;
        eprintln!("{name}: {each} bytes of Redis a connection");
        report.memory.push((name, each));
    }
}

/// The server asked for so many connections of so many tenants, and the bare handler right after.
fn grown(
    name: &'static str,
    (connections, tenants): (usize, usize),
    (server, bare): (&Grantkeep, &Bare),
    asked: &Asked,
    start: Start,
    options: &Options,
) -> Growth {
    let span = Duration::from_secs_f64(options.seconds);
    let load = |at| Load { at, asked: asked.clone(), connections: options.connections, span };
    let ours = drive::measure(&load(server.public), server.pid(), None);
    let bare = drive::measure(&load(bare.at), bare.pid(), None);
    let resident_kib = process::resident_kib(server.pid());
    let ratio = ours.rate / bare.rate;
    eprintln!("{name}, {connections} connections of {tenants} tenants: {ratio:.2} of the bare handler");
    Growth { name, connections, tenants, ours, bare, resident_kib, start }
}

/// The server asked for its crowd, where it has one, and for those who are really connected.
fn contestants_of(one: &Running, redis: &Redis, options: &Options) -> Vec<Contestant> {
    let Running { variant, server, connected } = one;
    let processes = (server.pid(), variant.on_redis.then(|| redis.pid()));
    let contestant = |name, asked| Contestant::new(name, server.public, processes, asked);
    let crowd = variant.crowd.filter(|_| options.crowd > 0).map(|name| {
        let request = journey::token_request(&connected.key, &fill::name(0));
        contestant(name, Asked::crowd(request, options.crowd))
    });
    let few = contestant(variant.name, Asked::These(Arc::new(connected.requests.clone())));
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
            let load = contestant.load(options, span);
            let measured = drive::measure(&load, contestant.server, contestant.redis);
            eprintln!("round {}: {:<19} {:>7.0} requests/s", round + 1, contestant.name, measured.rate);
            contestant.rounds.push(measured);
            let load = Load { connections: FEW, span: span / 2, ..load };
            contestant.calm.push(drive::measure(&load, contestant.server, contestant.redis));
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

fn redis_server(options: &Options) -> Program {
    let named = options.redis_server.clone();
    let named = named.or_else(|| std::env::var_os("GRANTKEEP_TEST_REDIS_SERVER").map(PathBuf::from));
    // CARGO_TARGET_TMPDIR is `<target>/tmp`.
    let installed =
        || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("bin/redis-server");
    let path = named.unwrap_or_else(installed);
    assert!(path.exists(), "there is no {}: run `make bench`, which installs it", path.display());
    Program(path)
}
