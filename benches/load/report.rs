//! What a run has measured, told as tables for people.

use super::drive::Measured;
use super::held::Held;
use super::page::Table;
use super::process::{BINARY, Program};
use super::{Contestant, Options};
use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

/// One start on a store that holds connections.
pub struct Start {
    /// Until `/healthz` answers.
    pub health: Duration,
    /// Until a token is handed out.
    pub token: Duration,
    /// Resident then.
    pub idle_kib: Option<u64>,
}

/// A store while it grows: each of its connections asked for as likely as any other.
pub struct Growth {
    pub name: &'static str,
    /// That are asked for.
    pub connections: usize,
    /// Whose they are.
    pub tenants: usize,
    pub ours: Measured,
    /// Right after.
    pub bare: Measured,
    pub resident_kib: Option<u64>,
    /// A start on a store of that size.
    pub start: Start,
}

/// A run.
#[derive(Default)]
pub struct Report {
    /// How it was measured, in sentences.
    pub how: String,
    pub starts: Vec<(&'static str, Vec<Start>)>,
    /// Bytes of Redis a connection.
    pub memory: Vec<(&'static str, usize)>,
    pub held: Vec<(&'static str, Vec<Held>)>,
    pub growth: Vec<Growth>,
    /// Tokens that were refreshed for each caller.
    pub renewed: Vec<(&'static str, Measured)>,
    /// The bare handler first.
    pub contestants: Vec<Contestant>,
}

const MIB: f64 = 1024.0 * 1024.0;

/// How it is measured, on what.
pub fn how(options: &Options, answer: usize, redis: &Program) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let size = std::fs::metadata(BINARY).map_or(f64::NAN, |file| file.len() as f64 / MIB);
    format!(
        "{cores} cores, {}, Redis {}; load, servers and Redis share them. {} connections, answers of {answer} bytes, \
         {} end users, a crowd of {}, tokens of {} and {} characters; {} threads a server, log level {}; {} rounds of \
         {} s, all in turn. The release binary has {size:.1} MiB.",
        system.trim_matches('"'),
        redis.version(),
        options.connections,
        options.users,
        options.crowd,
        options.access,
        options.refresh,
        options.workers,
        options.log_level,
        options.rounds,
        options.seconds,
    )
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "{}\n\n{}", self.how, rates(&self.contestants))?;
        let tables = [
            (
                "At fixed rates of arrival; in the last columns the bare handler at the same rate",
                paced(&self.contestants),
            ),
            ("As the store grows, each connection asked for as likely as any other", growth(&self.growth)),
            (
                "Refreshes, each for a caller of its own, of a provider that answers after 50 ms, over TLS",
                renewed(&self.renewed),
            ),
            ("Starts and memory, each the median (and both ends) of several", starts(&self.starts)),
            ("Memory of the server while so many connections are open, in MiB", held(&self.held)),
            ("Memory of Redis, all indexes with it", memory(&self.memory)),
        ];
        for (what, table) in tables.iter().filter(|(_, table)| !table.rows.is_empty()) {
            writeln!(f, "{what}:\n\n{table}")?;
        }
        Ok(())
    }
}

fn rates(contestants: &[Contestant]) -> Table {
    let mut table = Table::new(&[
        "",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p50 of 4",
        "server µs",
        "Redis µs",
        "ratio to the bare handler",
    ]);
    for contestant in contestants {
        let of = |value| median(&contestant.rounds, value);
        table.row(
            contestant.name,
            [
                format!("{:.0}", of(|round| round.rate)),
                format!("{:.2}", of(|round| round.p50_ms)),
                format!("{:.2}", of(|round| round.p99_ms)),
                format!("{:.2}", median(&contestant.calm, |round| round.p50_ms)),
                known(of(|round| round.server_cpu.unwrap_or(f64::NAN))),
                known(of(|round| round.redis_cpu.unwrap_or(f64::NAN))),
                ratio(contestant, &contestants[0]).shown(2),
            ],
        );
    }
    table
}

fn paced(contestants: &[Contestant]) -> Table {
    let mut table =
        Table::new(&["", "requests/s", "kept", "p50 ms", "p99 ms", "p99.9 ms", "bare p50", "p99", "p99.9"]);
    for contestant in contestants {
        for (ours, bare) in &contestant.paced {
            let times = [ours.p50_ms, ours.p99_ms, ours.p999_ms, bare.p50_ms, bare.p99_ms, bare.p999_ms];
            let begin = [format!("{:.0}", ours.rate), format!("{:.0}%", ours.kept * 100.0)];
            let times = times.map(|time| format!("{time:.2}"));
            table.row(contestant.name, begin.into_iter().chain(times));
        }
    }
    table
}

fn growth(growth: &[Growth]) -> Table {
    let mut table = Table::new(&[
        "",
        "connections",
        "tenants",
        "ratio",
        "p50 ms",
        "server µs",
        "start ms",
        "resident MiB",
    ]);
    for step in growth {
        table.row(
            step.name,
            [
                step.connections.to_string(),
                step.tenants.to_string(),
                format!("{:.2}", step.ours.rate / step.bare.rate),
                format!("{:.2}", step.ours.p50_ms),
                known(step.ours.server_cpu.unwrap_or(f64::NAN)),
                format!("{:.0}", step.start.health.as_secs_f64() * 1e3),
                mib(step.resident_kib),
            ],
        );
    }
    table
}

fn renewed(stores: &[(&'static str, Measured)]) -> Table {
    let mut table = Table::new(&["", "refreshes/s", "p50 ms", "p99 ms", "server µs", "Redis µs"]);
    for (name, measured) in stores {
        table.row(
            name,
            [
                format!("{:.0}", measured.rate),
                format!("{:.0}", measured.p50_ms),
                format!("{:.0}", measured.p99_ms),
                known(measured.server_cpu.unwrap_or(f64::NAN)),
                known(measured.redis_cpu.unwrap_or(f64::NAN)),
            ],
        );
    }
    table
}

fn starts(stores: &[(&'static str, Vec<Start>)]) -> Table {
    let mut table = Table::new(&["", "to /healthz, ms", "to a token, ms", "idle, MiB"]);
    for (name, starts) in stores {
        let of = |value: fn(&Start) -> f64| Spread::of(starts.iter().map(value)).shown(1);
        table.row(
            name,
            [
                of(|start| start.health.as_secs_f64() * 1e3),
                of(|start| start.token.as_secs_f64() * 1e3),
                of(|start| start.idle_kib.map_or(f64::NAN, |kib| kib as f64 / 1024.0)),
            ],
        );
    }
    table
}

fn held(stores: &[(&'static str, Vec<Held>)]) -> Table {
    let mut table = Table::new(&[""]);
    let numbers = stores.iter().take(1).flat_map(|(_, held)| held);
    table.head.extend(numbers.map(|held| held.connections.to_string()));
    for (name, held) in stores {
        table.row(name, held.iter().map(|held| mib(held.resident_kib)));
    }
    table
}

fn memory(stores: &[(&'static str, usize)]) -> Table {
    let mut table = Table::new(&["", "bytes a connection"]);
    for (name, bytes) in stores {
        table.row(name, [bytes.to_string()]);
    }
    table
}

/// Of the rounds, each to the bare handler's in the same one.
pub fn ratio(ours: &Contestant, bare: &Contestant) -> Spread {
    Spread::of(ours.rounds.iter().zip(&bare.rounds).map(|(ours, bare)| ours.rate / bare.rate))
}

/// The median of one figure of all rounds.
pub fn median(rounds: &[Measured], value: fn(&Measured) -> f64) -> f64 {
    Spread::of(rounds.iter().map(value)).median
}

fn known(value: f64) -> String {
    if value.is_nan() { String::new() } else { format!("{value:.1}") }
}

fn mib(kib: Option<u64>) -> String {
    kib.map_or_else(String::new, |kib| format!("{:.1}", kib as f64 / 1024.0))
}

/// The middle and both ends.
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values.get(part).copied().unwrap_or(f64::NAN);
        Self { low: at(0), median: at(values.len() / 2), high: at(values.len().saturating_sub(1)) }
    }

    fn shown(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.low, self.high)
    }
}
