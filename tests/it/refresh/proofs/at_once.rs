//! R1 and R2: many callers at once, and a provider that takes its time.

use super::*;
use futures_util::future::join_all;

/// Callers at once over all servers; their answers.
async fn all_at_once(fleet: &Fleet, callers: usize) -> Vec<Answer> {
    let doors = fleet.doors();
    join_all((0..callers).map(|number| doors[number % doors.len()].token("ada"))).await
}

#[tokio::test]
async fn r1_three_servers_and_three_hundred_callers_cost_one_refresh_each_time() {
    const ROUNDS: u64 = 30;
    const CALLERS: usize = 300;
    let fleet = Fleet::new(STRICT, 3, &[]).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", LONG).await;
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(200)));
    for round in 1..=ROUNDS {
        expire_now(&fleet.redis, stage, "ada");
        let answers = all_at_once(&fleet, CALLERS).await;
        let token = answers[0].text("access_token");
        for answer in &answers {
            assert_eq!((answer.status, answer.text("access_token")), (200, token.clone()), "{answer:?}");
            assert_eq!(answer.body["generation"], round + 1);
        }
    }
    let family = stage.family(&who);
    assert_eq!(
        (family.refreshes, family.refresh_requests, family.most_requests_of_one_token, family.reuses),
        (ROUNDS, ROUNDS, 1, 0)
    );
    let log: String = std::iter::once(&stage.app).chain(&fleet.others).map(App::log).collect();
    assert!(
        !log.contains("the store lost a generation"),
        "who read before a write takes it for no loss: {log}"
    );
    let asked = ROUNDS * CALLERS as u64;
    figures::note(&format!(
        "R1: 3 servers, {ROUNDS} rounds of {CALLERS} callers: {asked} answers, {} refreshes",
        family.refreshes
    ));
}

/// Most of the time-out, and longer than it; what came of it is known in the first case and not in the second.
#[tokio::test]
async fn r2_a_provider_as_slow_as_the_time_out_is_asked_by_one_at_a_time() {
    const ROUNDS: u64 = 3;
    let (times, further): ([u64; 2], &[(&str, &str)]) =
        if soak() { ([15_000, 35_000], &[("refresh.wait", "90s")]) } else { ([1_600, 2_600], HASTY) };
    let fleet = Fleet::new(NONE, 3, further).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", LONG).await;
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(times[0])).times(3));
    for _ in 0..ROUNDS {
        expire_now(&fleet.redis, stage, "ada");
        let answers = all_at_once(&fleet, 60).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    }
    let family = stage.family(&who);
    assert_eq!((family.refresh_requests, family.peak_refreshes), (ROUNDS, 1), "{family:?}");
    stage.sandbox.control().reset();
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(times[1])).times(1));
    expire_now(&fleet.redis, stage, "ada");
    let answers = all_at_once(&fleet, 60).await;
    // Who waited for the one that was lost hears so, or has its turn after it.
    assert!(answers.iter().all(|answer| [200, 503].contains(&answer.status)), "{answers:?}");
    until("it goes on", async || stage.token("ada").await.status == 200).await;
    let family = stage.family(&who);
    assert_eq!(family.peak_refreshes, 1, "{family:?}");
    figures::note(&format!(
        "R2: the provider takes {} and {} ms of {}: never two refreshes of one connection in flight",
        times[0],
        times[1],
        if soak() { "20 s" } else { "2 s" }
    ));
}
