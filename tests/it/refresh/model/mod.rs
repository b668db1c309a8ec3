//! R13: a model of a provider, a store and three workers, on which anything may befall at any step: standing still, dying, lost
//! answers, full disks, wrong clocks. The workers are real brokers over real vaults, with the real wire between; what lies around
//! them is made up, and time goes by as fast as it can. Whatever the plan, at most one use of a refresh token is live at a time,
//! and when the storm is over the grant is there, or its loss was told.

mod base;
mod fleet;
mod plan;
mod provider;
mod world;

use crate::support::figures;
use fleet::Fleet;
use grantkeep::broker::Wish;
use grantkeep::domain::{EventKind, ReauthorizationReason};
use grantkeep::vault::{EventFilter, Status};
use plan::{Act, Errand, Fate, Plan, WORKERS};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use provider::Manner;
use std::cell::Cell;
use std::time::Duration;
use world::Base;

/// How a case ended.
#[derive(Clone, Copy, Default)]
struct Ended {
    requests: usize,
    /// Of them those whose sender had stood still too long.
    late: usize,
    lost: bool,
}

/// Plays a plan to its end; what went wrong, if anything did.
fn play(manner: Manner, plan: &Plan, careless: bool) -> Result<Ended, String> {
    let base = Base::get();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::new(base, manner, plan, careless);
        (0..WORKERS).for_each(|number| fleet.start(number));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let broker = fleet.any().broker;
        base.enable(&broker).await;
        let (_, access, refresh) = fleet.provider.connect();
        base.import(&broker, access, refresh).await.expect("the slot is empty");
        tokio::time::sleep(Duration::from_secs(2)).await;
        storm(&fleet, plan).await;
        quiet(&fleet).await;
        judge(base, &fleet, manner, plan).await
    })
}

async fn storm(fleet: &std::sync::Arc<Fleet>, plan: &Plan) {
    fleet.stormy(true);
    let mut now = Duration::ZERO;
    for (at, worker, act) in &plan.acts {
        tokio::time::sleep(at.saturating_sub(now)).await;
        now = *at;
        fleet.act(*worker, *act);
    }
    // Whatever stands still goes on, and whatever travels arrives.
    tokio::time::sleep(Duration::from_mins(5)).await;
    fleet.stormy(false);
}

/// All run, and are asked now and then.
async fn quiet(fleet: &std::sync::Arc<Fleet>) {
    for turn in 0..12 {
        (0..WORKERS).for_each(|number| fleet.start(number));
        tokio::time::sleep(Duration::from_secs(40)).await;
        fleet.act(turn % WORKERS, Act::Ask);
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    // A page whose writing seemed to fail is for the next process to look at.
    (0..WORKERS).for_each(|number| fleet.act(number, Act::Kill));
    (0..WORKERS).for_each(|number| fleet.start(number));
    tokio::time::sleep(Duration::from_secs(10)).await;
}

async fn judge(base: &Base, fleet: &Fleet, manner: Manner, plan: &Plan) -> Result<Ended, String> {
    let wrong = fleet.wrong();
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let running = fleet.any();
    let connections = running.vault.connections(&base.by);
    let found = match connections.find(&Base::slot()).await.unwrap() {
        Some(found) if found.status != Status::Deleting => found,
        _ if fleet.was_replaced() => {
            return Ok(Ended { requests: fleet.provider.requests(), ..Ended::default() });
        }
        gone => return Err(format!("the connection is gone: {gone:?}")),
    };
    let tokens = connections.open(&found).await.unwrap();
    let refresh = tokens.refresh.expect("a refresh token");
    let mut ended = Ended { requests: fleet.provider.requests(), late: fleet.provider.late(), lost: false };
    let says = |what: &str| Err(format!("{what}: {found:?}"));
    match found.status {
        Status::Active => {
            let wish = Wish { force_refresh: true, ..Wish::default() };
            let newer = running.broker.access_token(&base.by, &Base::slot(), wish, None).await;
            if let Err(refusal) = newer {
                return says(&format!("looks well and is not: {refusal:?}"));
            }
        }
        Status::ReauthorizationRequired(ReauthorizationReason::RefreshOutcomeUnknown) => {
            ended.lost = true;
            let quiet = plan.steps.is_empty() && plan.errands.is_empty();
            let killed = plan.acts.iter().any(|(.., act)| matches!(act, Act::Kill | Act::Stop));
            if !manner.spends() || (quiet && !killed) {
                return says("lost without need");
            }
            if manner == Manner::Retried && !fleet.provider.is_spent(refresh.expose()) {
                return says("given up, and the provider would have refreshed it");
            }
        }
        _ => return says("does not end well"),
    }
    let told =
        EventFilter { kind: Some(EventKind::ConnectionReauthorizationRequired), ..EventFilter::default() };
    let (told, _) = running.vault.events(&base.by).list(&told, None, 1000).await.unwrap().expect("a page");
    if ended.lost && told.is_empty() {
        return says("a loss that nobody was told of");
    }
    if fleet.spilled() > 0 {
        return says("an outcome lies on a disk");
    }
    let asked = (
        fleet.asked.load(std::sync::atomic::Ordering::SeqCst),
        fleet.answered.load(std::sync::atomic::Ordering::SeqCst),
    );
    if asked.0 != asked.1 {
        return says(&format!("{} asked and {} heard", asked.0, asked.1));
    }
    Ok(ended)
}

/// Plays many plans; where one goes wrong, a smallest such one is shown.
fn prove(manner: Manner) {
    let cases = if std::env::var_os("GRANTKEEP_TEST_SOAK").is_some() { 2_000 } else { 200 };
    let (requests, lost) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&plan::plans(), |plan| {
        let ended = play(manner, &plan, false).map_err(TestCaseError::fail)?;
        requests.set(requests.get() + ended.requests);
        lost.set(lost.get() + usize::from(ended.lost));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(requests.get() > 0, "nothing was refreshed");
    let (requests, lost) = (requests.get(), lost.get());
    figures::note(&format!(
        "R13 {manner:?}: {cases} plans, {requests} refreshes, never two uses of a token at once; {lost} grants lost and told"
    ));
}

#[test]
fn a_token_that_is_kept() {
    prove(Manner::Kept);
}

#[test]
fn a_grace_with_the_same_successor() {
    prove(Manner::Grace { same: true });
}

#[test]
fn a_grace_with_one_more_successor() {
    prove(Manner::Grace { same: false });
}

#[test]
fn a_token_that_is_spent_and_tried_again() {
    prove(Manner::Retried);
}

#[test]
fn a_token_that_must_not_be_used_twice() {
    prove(Manner::Careful);
}

/// Found by the model: an owner that stands still before it sends is overtaken, and then hears that its token is spent. That
/// is no news of the grant, which is well, and nobody may be told that it is lost.
#[test]
fn what_a_late_owner_hears_is_not_told() {
    let at = Duration::from_millis;
    let acts = [(0, 0), (15_004, 1), (63_624, 1), (75_011, 0)];
    let plan = Plan {
        seed: 0,
        clocks: [0; WORKERS],
        acts: acts.map(|(millis, worker)| (at(millis), worker, Act::Ask)).to_vec(),
        steps: Vec::new(),
        errands: vec![(1, 1, Errand::Stands { before: 40_232, after: 5_162 })],
    };
    let ended = play(Manner::Retried, &plan, false).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!((ended.late, ended.lost), (1, false));
}

/// Found by the model: a flight that had read the old grant and stood still was joined by somebody who came after the grant had
/// been replaced, and the old grant's token was handed out.
#[test]
fn a_flight_of_a_grant_that_was_replaced_serves_nobody_who_came_later() {
    let at = Duration::from_millis;
    let plan = Plan {
        seed: 0,
        clocks: [0; WORKERS],
        acts: vec![
            (at(0), 1, Act::Ask),
            (at(5_000), 0, Act::Replace),
            (at(5_000), 0, Act::Force),
            (at(5_518), 0, Act::Ask),
        ],
        steps: vec![(0, 5, Fate::Stands { before: 0, after: 4_996 })],
        errands: Vec::new(),
    };
    play(Manner::Grace { same: false }, &plan, false).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Without its guards the store lets two go at once: a model that does not see that sees nothing.
#[test]
fn a_store_that_does_not_look_is_noticed() {
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&plan::plans(), |plan| match play(Manner::Careful, &plan, true) {
        Err(why) if why.contains("live uses") => Err(TestCaseError::fail(why)),
        _ => Ok(()),
    });
    assert!(matches!(outcome, Err(TestError::Fail(..))), "it was not noticed");
}
