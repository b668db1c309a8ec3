//! Refreshes and hand-outs in numbers.

use super::Kind::{Counter, Gauge as Level, Seconds};
use super::{Row, Seen, Waiting};
use crate::domain::ProviderId;
use metrics::{counter, gauge, histogram};
use std::time::Duration;

const HANDOUTS: &str = "grantkeep_handouts_total";
const HANDOUT_READS: &str = "grantkeep_handout_reads_total";
const REFRESHES: &str = "grantkeep_refreshes_total";
const ATTEMPTS_LOST: &str = "grantkeep_refresh_attempts_lost_total";
const HOSTS_LEFT_ALONE: &str = "grantkeep_hosts_left_alone";
const REFRESH_SECONDS: &str = "grantkeep_refresh_seconds";
const STORE_SECONDS: &str = "grantkeep_refresh_store_seconds";
const REFRESH_WAITERS: &str = "grantkeep_refresh_waiters";
const DUE: &str = "grantkeep_refresh_due";
const DUE_LAG: &str = "grantkeep_refresh_due_lag_seconds";
const OUTCOMES_WAITING: &str = "grantkeep_refresh_outcomes_waiting";
const OUTCOMES_KEPT: &str = "grantkeep_refresh_outcomes_kept_total";
const REFRESH_HELD: &str = "grantkeep_refresh_held";

pub(super) const TABLE: &[Row] = &[
    (HANDOUTS, Counter, "Access tokens handed out, by provider and refresh state."),
    (
        HANDOUT_READS,
        Counter,
        "What hand-outs went by, by where it was: kept (in memory, nothing was asked) or store.",
    ),
    (
        REFRESHES,
        Counter,
        "Refreshes that ended, by provider, class (what the provider's answer was) and outcome (what became of the connection).",
    ),
    (ATTEMPTS_LOST, Counter, "Attempts found past their deadline, whose outcome nobody saw, by provider."),
    (
        HOSTS_LEFT_ALONE,
        Level,
        "Providers' hosts that this server leaves alone now, because they do not answer.",
    ),
    (REFRESH_SECONDS, Seconds, "Time of a refresh from the claim to the provider's answer."),
    (STORE_SECONDS, Seconds, "Time from a provider's answer with new tokens to their being stored."),
    (REFRESH_WAITERS, Level, "Callers that wait for a refresh now."),
    (
        REFRESH_HELD,
        Level,
        "1 while refreshes that spend a refresh token are held: by refresh.hold, or because the store was put back.",
    ),
    (DUE, Level, "Connections that were due in this server's last round, and nobody had refreshed yet."),
    (DUE_LAG, Level, "How long the oldest of them had been due; 0 where there was none."),
    (OUTCOMES_WAITING, Level, "New tokens that wait for the store to take them now."),
    (
        OUTCOMES_KEPT,
        Counter,
        "New tokens that the store did not take at once, by what happened: spilled (to disk), not_spilled, taken_up (after a start), superseded, set_aside.",
    ),
];

/// A token was handed out; `state` is the `refresh.state` of the answer.
pub fn handout(provider: &ProviderId, state: &'static str) {
    thread_local! {
        static SEEN: Seen<(ProviderId, &'static str), metrics::Counter> = const { Seen::new() };
    }
    let find = || {
        let count = counter!(HANDOUTS, "provider" => provider.to_string(), "state" => state);
        ((provider.clone(), state), count)
    };
    SEEN.with(|seen| seen.with(|known| known.0 == *provider && known.1 == state, find, |c| c.increment(1)));
}

/// What a hand-out goes by was read; `kept` where nothing of it was asked of the store.
pub fn handout_read(kept: bool) {
    thread_local! {
        static SEEN: Seen<bool, metrics::Counter> = const { Seen::new() };
    }
    let find = || (kept, counter!(HANDOUT_READS, "from" => if kept { "kept" } else { "store" }));
    SEEN.with(|seen| seen.with(|known| *known == kept, find, |count| count.increment(1)));
}

/// A refresh ended. `class` is what the provider's answer was: `granted`, `busy`, `not_sent`, `unknown`, `invalid_grant`,
/// `client_fault`, `refused`, or why nothing was sent; `outcome` what became of the connection: `refreshed`, `failing`,
/// `reauthorization_required`, `not_stored`.
pub fn refresh(provider: &ProviderId, class: &'static str, outcome: &'static str, took: Duration) {
    let labels =
        [("provider", provider.to_string()), ("class", class.to_owned()), ("outcome", outcome.to_owned())];
    counter!(REFRESHES, &labels).increment(1);
    histogram!(REFRESH_SECONDS, "provider" => provider.to_string()).record(took);
}

/// An attempt was found past its deadline: nobody saw its outcome.
pub fn attempt_lost(provider: &ProviderId) {
    counter!(ATTEMPTS_LOST, "provider" => provider.to_string()).increment(1);
}

/// A provider's host is left alone from now on, or no more.
pub fn host_left_alone(begins: bool) {
    if begins {
        gauge!(HOSTS_LEFT_ALONE).increment(1.0);
    } else {
        gauge!(HOSTS_LEFT_ALONE).decrement(1.0);
    }
}

/// Whether refreshes that spend a refresh token are held.
pub fn refresh_held(held: bool) {
    gauge!(REFRESH_HELD).set(f64::from(u8::from(held)));
}

/// A caller begins to wait for a refresh, its own or somebody else's.
pub fn waiting_for_refresh() -> Waiting {
    Waiting::on(gauge!(REFRESH_WAITERS))
}

/// So many new tokens wait for the store.
pub fn outcomes_waiting(count: usize) {
    gauge!(OUTCOMES_WAITING).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Something happened to new tokens that the store did not take at once.
pub fn outcome_kept(what: &'static str) {
    counter!(OUTCOMES_KEPT, "what" => what).increment(1);
}

/// So many connections were due in a round, the oldest for so long.
pub fn due(backlog: usize, lag: Duration) {
    gauge!(DUE).set(f64::from(u32::try_from(backlog).unwrap_or(u32::MAX)));
    gauge!(DUE_LAG).set(lag.as_secs_f64());
}

/// New tokens were stored so long after the provider's answer.
pub fn stored(took: Duration) {
    histogram!(STORE_SECONDS).record(took);
}
