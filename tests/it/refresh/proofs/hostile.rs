//! R10: whatever a provider answers with, time and memory stay within bounds.

use super::*;
use crate::refresh::faults::cases;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::sync::Arc;

/// Resident memory of a process, in kilobytes.
fn resident(app: &App) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.process().pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn r10_hostile_answers_are_bounded_in_time_and_memory() {
    /// Each is struck so often at once.
    const AT_ONCE: usize = 8;
    /// Of all those answers together a few are held at once, 256 KiB each at most.
    const MAY_GROW: u64 = 48 * 1024;
    let (files, key) = (STRICT.folder(), new_master_key(Some("test")));
    let folder = files.path().display().to_string();
    let settings = [
        &[("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())],
        QUICK,
        HASTY,
        &[("upstream.failures", "1000000")],
    ]
    .concat();
    let app = App::spawn(Stores::Redis(Arc::new(RedisServer::start(&[]))), &settings);
    let stage = Stage::on(app, STRICT, files).await;
    let clock = SystemClock::new();
    let cases = cases();
    // All beforehand: the provider itself is busy for a while with ten megabytes that nobody takes.
    let mut users = Vec::new();
    for number in 0..cases.len() * AT_ONCE {
        users.push(stage.connect(&format!("user-{number}"), LONG).await);
    }
    let (mut longest, mut most, before) = (Duration::ZERO, 0, resident(&stage.app));
    for (case, users) in cases.iter().zip(users.chunks(AT_ONCE)) {
        for _ in users {
            case.strikes(&stage);
        }
        let began = clock.monotonic();
        let asked = users.iter().map(|who| stage.forced(&who.user));
        for answer in futures_util::future::join_all(asked).await {
            assert!([200, 409, 422, 502, 503].contains(&answer.status), "{answer:?}");
        }
        longest = longest.max(clock.monotonic().saturating_sub(began));
        most = most.max(resident(&stage.app));
    }
    // The time-out is two seconds, and the slack one.
    assert!(longest < Duration::from_secs(6), "{longest:?}");
    let grown = most.saturating_sub(before);
    assert!(grown < MAY_GROW, "{grown} kB");
    figures::note(&format!(
        "R10: {} faults, {AT_ONCE} at once each: the longest took {longest:.1?} of 3 s, memory grew by {} MiB at most",
        cases.len(),
        grown / 1024
    ));
}
