//! Numbers for Prometheus: every metric of Grantkeep, its meaning, and the one function that records it.
//!
//! Labels take static words and the ids of providers, which the operator's files bound: nothing that a caller can invent,
//! and no tenant, end user or secret.

mod refresh;
mod requests;
mod seen;

pub use refresh::*;
pub use requests::request;

use crate::domain::ProviderId;
use metrics::{Gauge, Unit, counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use seen::Seen;
use std::sync::OnceLock;
use std::time::Duration;

const REQUESTS: &str = "grantkeep_requests_total";
const REQUEST_SECONDS: &str = "grantkeep_request_seconds";
const PREVIOUS_SECRETS: &str = "grantkeep_previous_secrets_total";
const SESSIONS: &str = "grantkeep_sessions_total";
const STORE_ERRORS: &str = "grantkeep_store_errors_total";
const MAILS: &str = "grantkeep_mails_total";
const MAILS_WAITING: &str = "grantkeep_mails_waiting";
const MAILS_OLDEST: &str = "grantkeep_mails_oldest_age_seconds";
const NOT_ADMITTED: &str = "grantkeep_admission_refusals_total";
const PASSWORD_RESETS: &str = "grantkeep_password_resets_total";
const SIGN_UPS: &str = "grantkeep_sign_ups_total";
const LOGINS: &str = "grantkeep_logins_total";
const PASSWORD_HASHES: &str = "grantkeep_password_hashes_total";
const PASSWORD_WAITERS: &str = "grantkeep_password_waiters";
const OLD_MASTER_KEYS: &str = "grantkeep_old_master_keys_total";
const TRACE_SPANS: &str = "grantkeep_trace_spans_total";
const TENANTS_DELETED: &str = "grantkeep_tenants_deleted_total";
const AUDIT_RECORDS: &str = "grantkeep_audit_records_total";
const AUDIT_WAITING: &str = "grantkeep_audit_records_waiting";
const ALARMS: &str = "grantkeep_alarms_total";

enum Kind {
    Counter,
    Gauge,
    Seconds,
}

use Kind::{Counter, Gauge as Level, Seconds};

/// Name, kind and meaning.
type Row = (&'static str, Kind, &'static str);

/// All of them.
const TABLES: [&[Row]; 2] = [GENERAL, refresh::TABLE];

const GENERAL: &[Row] = &[
    (REQUESTS, Counter, "Requests answered, by route pattern, method and status."),
    (REQUEST_SECONDS, Seconds, "Time to the answer of a request, by route pattern."),
    (
        PREVIOUS_SECRETS,
        Counter,
        "Requests whose client secret the provider refused, and which it took with the one before, by provider.",
    ),
    (SESSIONS, Counter, "Steps of authorization sessions, by step and outcome."),
    (STORE_ERRORS, Counter, "Work that was refused because the store did not answer."),
    (MAILS, Counter, "Tries to hand a mail over, by outcome."),
    (
        MAILS_WAITING,
        Level,
        "Mails in the queue, those on their way included; the same on every server of a store.",
    ),
    (MAILS_OLDEST, Level, "How long ago the oldest mail in the queue was asked for; 0 where there is none."),
    (NOT_ADMITTED, Counter, "Requests that were not admitted, by limit."),
    (PASSWORD_RESETS, Counter, "Forgotten passwords and new ones, by outcome."),
    (SIGN_UPS, Counter, "Sign-ups, by outcome: kept, unsent (too many mails to one address) or limited."),
    (
        LOGINS,
        Counter,
        "Credentials looked at, by kind and outcome: ok (of passwords only), or the code of the refusal.",
    ),
    (PASSWORD_HASHES, Counter, "Passwords hashed or compared: the dear part of a login or sign-up."),
    (PASSWORD_WAITERS, Level, "Callers that wait for their turn to have a password hashed now."),
    (OLD_MASTER_KEYS, Counter, "Data keys opened that lie under another master key than the first."),
    (
        TRACE_SPANS,
        Counter,
        "Spans of traces, by outcome: sent, failed (the collector did not take them) or dropped.",
    ),
    (TENANTS_DELETED, Counter, "Tenants deleted, to the last record."),
    (
        AUDIT_RECORDS,
        Counter,
        "Audit records, by outcome: stored, refused (no token left), gone (with their tenant) or lost (what it tells happened).",
    ),
    (AUDIT_WAITING, Level, "Audit records that wait to be stored now."),
    (
        ALARMS,
        Counter,
        "Things that must never happen, by kind: does_not_open is a sealed value that was changed or moved, audit_broken an audit trail, generation_went_back tokens that the store lost, store_went_back its last moments.",
    ),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.into_iter().flatten()
}

/// Every metric by name, and what it means: what the manual, the board and the alert rules are held against.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    rows().map(|(name, _, meaning)| (*name, *meaning))
}

/// Upper bounds in seconds: a read from memory is below the first, a slow provider near the last.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Histograms keep every sample until somebody drains them.
const DRAIN: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts recording for the whole process. Called again it does nothing.
pub fn init() {
    HANDLE.get_or_init(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("metrics are recorded elsewhere already: /metrics will be empty");
        }
        describe();
        let draining = handle.clone();
        let drain = move || {
            loop {
                std::thread::sleep(DRAIN);
                draining.run_upkeep();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("metrics".to_owned()).spawn(drain) {
            tracing::error!(%error, "no thread to drain the histograms: they will grow");
        }
        handle
    });
}

/// What `/metrics` answers, in the Prometheus text format 0.0.4; empty before [`init`].
pub fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new();
    // Refused only where there are no buckets.
    let with_buckets =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS);
    with_buckets.unwrap_or(builder).build_recorder()
}

fn describe() {
    for (name, kind, meaning) in rows() {
        match kind {
            Counter => metrics::describe_counter!(*name, *meaning),
            Level => metrics::describe_gauge!(*name, *meaning),
            Seconds => metrics::describe_histogram!(*name, Unit::Seconds, *meaning),
        }
    }
    // There from the start: what rises from nothing to one is no rise to an alerting rule.
    counter!(OLD_MASTER_KEYS).increment(0);
    for kind in [Alarm::DoesNotOpen, Alarm::AuditBroken, Alarm::WentBack, Alarm::StoreWentBack] {
        counter!(ALARMS, "kind" => kind.word()).increment(0);
    }
    counter!(AUDIT_RECORDS, "outcome" => "lost").increment(0);
}

/// The provider refused a client secret and took the one before.
pub fn previous_secret(provider: &ProviderId) {
    counter!(PREVIOUS_SECRETS, "provider" => provider.to_string()).increment(1);
}

/// A session took a step (`created`, `shown`, `opened`, `returned`, `completed`); `outcome` is `ok` or the code of the refusal.
pub fn session(step: &'static str, outcome: &'static str) {
    counter!(SESSIONS, "step" => step, "outcome" => outcome).increment(1);
}

/// The store did not answer and work was refused for it; `operation` says where that was.
pub fn store_error(operation: &'static str) {
    counter!(STORE_ERRORS, "operation" => operation).increment(1);
}

/// A mail was handed over or not; `outcome` is `sent`, `temporary`, `unknown`, `setup`, `permanent` or `given_up`.
pub fn mail(outcome: &'static str) {
    counter!(MAILS, "outcome" => outcome).increment(1);
}

/// How many mails wait in the queue, and how long the oldest has.
pub fn mails_waiting(count: usize, oldest: Duration) {
    gauge!(MAILS_WAITING).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    gauge!(MAILS_OLDEST).set(oldest.as_secs_f64());
}

/// A password was said to be forgotten (`asked`, `unsent`, `limited`), or a new one was set (`done`, or the code of the
/// refusal).
pub fn password_reset(outcome: &'static str) {
    counter!(PASSWORD_RESETS, "outcome" => outcome).increment(1);
}

/// A request was not admitted: `address`, `key` or `tenant` had come too often, `places` or the tenant's `share` of them were
/// taken.
pub fn not_admitted(limit: &'static str) {
    counter!(NOT_ADMITTED, "limit" => limit).increment(1);
}

/// Somebody signed up; `outcome` is `kept`, `unsent` or `limited`.
pub fn sign_up(outcome: &'static str) {
    counter!(SIGN_UPS, "outcome" => outcome).increment(1);
}

/// A credential was looked at; `by` is `key` or `password`, `outcome` is `ok` or the code of the refusal.
pub fn login(by: &'static str, outcome: &'static str) {
    counter!(LOGINS, "by" => by, "outcome" => outcome).increment(1);
}

/// A password is hashed.
pub fn password_hash() {
    counter!(PASSWORD_HASHES).increment(1);
}

/// A data key was opened that lies under another master key than the first: that key is still needed.
pub fn old_master_key() {
    counter!(OLD_MASTER_KEYS).increment(1);
}

/// Spans of traces came to their end; `outcome` is `sent`, `failed` or `dropped`.
pub fn trace_spans(outcome: &'static str, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    counter!(TRACE_SPANS, "outcome" => outcome).increment(count);
}

/// A tenant is gone with all that it had.
pub fn tenant_deleted() {
    counter!(TENANTS_DELETED).increment(1);
}

/// Audit records came to an end; `outcome` is `stored`, `refused`, `gone` or `lost`.
pub fn audit_records(outcome: &'static str, count: usize) {
    counter!(AUDIT_RECORDS, "outcome" => outcome).increment(u64::try_from(count).unwrap_or(u64::MAX));
}

/// So many audit records wait to be stored.
pub fn audit_waiting(count: usize) {
    gauge!(AUDIT_WAITING).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// What must never happen.
#[derive(Clone, Copy, Debug)]
pub enum Alarm {
    /// A sealed value did not open: changed, moved, or sealed under another key.
    DoesNotOpen,
    /// An audit trail is not as it was written.
    AuditBroken,
    /// The store lost a generation of tokens that it had taken.
    WentBack,
    /// The store lost its last moments.
    StoreWentBack,
}

impl Alarm {
    fn word(self) -> &'static str {
        match self {
            Self::DoesNotOpen => "does_not_open",
            Self::AuditBroken => "audit_broken",
            Self::WentBack => "generation_went_back",
            Self::StoreWentBack => "store_went_back",
        }
    }
}

/// Something happened that must never happen.
pub fn alarm(kind: Alarm) {
    counter!(ALARMS, "kind" => kind.word()).increment(1);
}

/// Somebody waits for as long as this lives, also where the waiting is given up in the middle.
#[must_use = "the wait ends when this is dropped"]
pub struct Waiting(Gauge);

impl Waiting {
    fn on(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A caller begins to wait for its turn to have a password hashed.
pub fn waiting_for_password() -> Waiting {
    Waiting::on(gauge!(PASSWORD_WAITERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(work: impl FnOnce()) -> String {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            work();
        });
        recorder.handle().render()
    }

    #[test]
    fn every_metric_of_the_table_is_recorded_and_no_other() {
        let slack = ProviderId::parse("slack").unwrap();
        let text = recorded(|| {
            request("/get-access-token", "POST", 200, Duration::from_millis(3));
            request("/get-access-token", "BREW", 405, Duration::from_millis(3));
            handout(&slack, "fresh");
            handout_read(true);
            refresh(&slack, "busy", "failing", Duration::from_secs(2));
            attempt_lost(&slack);
            host_left_alone(true);
            refresh_held(false);
            outcomes_waiting(0);
            outcome_kept("spilled");
            due(0, Duration::ZERO);
            stored(Duration::from_millis(2));
            previous_secret(&slack);
            session("created", "ok");
            store_error("apply");
            mail("sent");
            mails_waiting(3, Duration::from_secs(90));
            password_reset("asked");
            not_admitted("key");
            sign_up("kept");
            login("key", "ok");
            password_hash();
            old_master_key();
            trace_spans("sent", 3);
            tenant_deleted();
            audit_records("stored", 1);
            audit_waiting(0);
            alarm(Alarm::DoesNotOpen);
            drop((waiting_for_refresh(), waiting_for_password()));
        });
        let mut seen: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let mut expected: Vec<&str> = rows().map(|(name, ..)| *name).collect();
        expected.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, expected, "{text}");
        for name in expected {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}\n{text}");
        }
        for line in [
            r#"grantkeep_requests_total{route="/get-access-token",method="POST",status="200"} 1"#,
            r#"grantkeep_requests_total{route="/get-access-token",method="other",status="405"} 1"#,
            r#"grantkeep_request_seconds_bucket{route="/get-access-token",le="0.0025"} 0"#,
            r#"grantkeep_request_seconds_bucket{route="/get-access-token",le="0.005"} 2"#,
            r#"grantkeep_refreshes_total{provider="slack",class="busy",outcome="failing"} 1"#,
            r#"grantkeep_alarms_total{kind="does_not_open"} 1"#,
            "grantkeep_mails_oldest_age_seconds 90",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn an_alarm_is_there_before_it_rings() {
        let text = recorded(|| ());
        assert!(text.contains(r#"grantkeep_alarms_total{kind="does_not_open"} 0"#), "{text}");
    }

    #[test]
    fn waiting_ends_when_it_is_given_up() {
        let during = recorded(|| std::mem::forget(waiting_for_refresh()));
        assert!(during.contains("grantkeep_refresh_waiters 1"), "{during}");
        let after = recorded(|| drop(waiting_for_refresh()));
        assert!(after.contains("grantkeep_refresh_waiters 0"), "{after}");
    }

    #[test]
    fn starting_twice_is_harmless() {
        init();
        init();
        mail("temporary");
        assert!(render().contains(r#"grantkeep_mails_total{outcome="temporary"}"#), "{}", render());
    }
}
