//! What is told at the end, for people.

use super::drive::Measured;
use super::process::BINARY;
use super::{Contestant, Options};
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

const MIB: f64 = 1024.0 * 1024.0;

pub fn heading(options: &Options, answer: usize) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let size = std::fs::metadata(BINARY).map_or(f64::NAN, |file| file.len() as f64 / MIB);
    println!("POST /get-access-token with an API key, fresh tokens, answers of {answer} bytes");
    println!(
        "{cores} cores; {} connections, {} end users, {} threads a server, log level {}",
        options.connections, options.users, options.workers, options.log_level
    );
    println!("{} rounds of {} s, all in turn\n", options.rounds, options.seconds);
    println!("release binary              {size:>7.1} MiB   (claim: under 15)");
}

pub fn starts(stores: &[(&str, Vec<Start>)]) {
    for (name, starts) in stores {
        let of = |value: fn(&Start) -> f64| Spread::of(starts.iter().map(value));
        let line = |what: &str, spread: Spread, unit: &str, claim: u32| {
            println!("{name:<9}{what:<19}{} {unit:<5} (claim: under {claim})", spread.shown(1));
        };
        line("start to /healthz", of(|start| start.health.as_secs_f64() * 1e3), "ms", 300);
        line("start to a token", of(|start| start.token.as_secs_f64() * 1e3), "ms", 300);
        let idle = of(|start| start.idle_kib.map_or(f64::NAN, |kib| kib as f64 / 1024.0));
        line("idle", idle, "MiB", 20);
    }
    println!();
}

pub fn figures(contestants: &[Contestant]) {
    println!(
        "\n{:<20}{:>11}{:>9}{:>9}{:>11}{:>11}   ratio to bare",
        "medians", "requests/s", "p50 ms", "p99 ms", "server µs", "Redis µs"
    );
    for contestant in contestants {
        let of = |value: fn(&Measured) -> f64| Spread::of(contestant.rounds.iter().map(value)).median;
        let rates = contestant.rounds.iter().zip(&contestants[0].rounds);
        let ratio = Spread::of(rates.map(|(ours, bare)| ours.rate / bare.rate));
        println!(
            "{:<20}{:>11.0}{:>9.2}{:>9.2}{:>11}{:>11}   {}",
            contestant.name,
            of(|round| round.rate),
            of(|round| round.p50_ms),
            of(|round| round.p99_ms),
            known(of(|round| round.server_cpu.unwrap_or(f64::NAN))),
            known(of(|round| round.redis_cpu.unwrap_or(f64::NAN))),
            ratio.shown(2),
        );
    }
    println!(
        "\n{:<20}{:>11}{:>8}{:>9}{:>9}{:>10}   bare at the same rate: p50, p99, p99.9",
        "at fixed rates", "requests/s", "kept", "p50 ms", "p99 ms", "p99.9 ms"
    );
    for contestant in contestants {
        for (ours, bare) in &contestant.paced {
            println!(
                "{:<20}{:>11.0}{:>7.0}%{:>9.2}{:>9.2}{:>10.2}   {:.2}, {:.2}, {:.2}",
                contestant.name,
                ours.rate,
                ours.kept * 100.0,
                ours.p50_ms,
                ours.p99_ms,
                ours.p999_ms,
                bare.p50_ms,
                bare.p99_ms,
                bare.p999_ms
            );
        }
    }
}

/// The median of one figure of all rounds.
pub fn median(rounds: &[Measured], value: fn(&Measured) -> f64) -> f64 {
    Spread::of(rounds.iter().map(value)).median
}

fn known(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.1}") }
}

/// The middle and both ends.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values.get(part).copied().unwrap_or(f64::NAN);
        Self { low: at(0), median: at(values.len() / 2), high: at(values.len().saturating_sub(1)) }
    }

    fn shown(&self, digits: usize) -> String {
        format!("{:>7.digits$} ({:.digits$} to {:.digits$})", self.median, self.low, self.high)
    }
}
