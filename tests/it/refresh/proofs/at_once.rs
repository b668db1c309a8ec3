//! R1 and R2: many callers at once, and a provider that takes its time.

use super::*;
use crate::oidc_flow::{self, Flow};
use crate::support::oidc::OidcProvider;
use crate::support::redis::RedisServer;
use futures_util::future::join_all;
use grantkeep::app::new_master_key;
use std::sync::Arc;

/// Callers at once over all servers; their answers.
async fn all_at_once(fleet: &Fleet, callers: usize) -> Vec<Answer> {
    let doors = fleet.doors();
    join_all((0..callers).map(|number| doors[number % doors.len()].token("ada"))).await
}

#[tokio::test]
async fn r1_three_servers_and_three_hundred_callers_cost_one_refresh_each_time() {
    const ROUNDS: u64 = 30;
    const CALLERS: usize = 300;
    let fleet = Fleet::new(STRICT, 3, &[UNKEPT]).await;
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
        if soak() { ([15_000, 35_000], &[("refresh.wait", "90s"), UNKEPT]) } else { ([1_600, 2_600], HASTY) };
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

/// R1 once more with a provider that nobody here wrote: it takes the second use of a refresh token for theft and ends the grant.
#[tokio::test]
async fn r1_a_certified_provider_sees_no_refresh_token_twice() {
    const ROUNDS: u64 = 8;
    const CALLERS: usize = 90;
    let provider = OidcProvider::start(3600);
    let file = oidc_flow::described(provider.issuer(), provider.issuer());
    let (folder, key) = (file.path().display().to_string(), new_master_key(Some("test")));
    let settings = [("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str()), UNKEPT];
    let redis = Arc::new(RedisServer::start(&[]));
    let mut apps: Vec<App> =
        (0..3).map(|_| App::spawn(Stores::Redis(Arc::clone(&redis)), &settings)).collect();
    let flow = Flow::on(apps.remove(0), provider, file).await;
    flow.connect().await;
    let doors = [flow.tenant.clone(), flow.tenant.at(&apps[0]), flow.tenant.at(&apps[1])];
    let mut tokens = Vec::new();
    for round in 1..=ROUNDS {
        let record = format!("gk:{{{}}}:connection:certified:user%201:", flow.tenant.id());
        assert_eq!(redis.say::<i64>(&["HSET", &record, "expires_at", "1000"]), 0, "it was there");
        let answers = join_all((0..CALLERS).map(|number| oidc_flow::token(&doors[number % 3]))).await;
        let token = answers[0].text("access_token");
        for answer in &answers {
            assert_eq!((answer.status, answer.text("access_token")), (200, token.clone()), "{answer:?}");
            assert_eq!(answer.body["generation"], round + 1);
        }
        assert_eq!(flow.me(&token).await.expect(200).body["sub"], "ada", "the grant is well");
        assert!(!tokens.contains(&token));
        tokens.push(token);
    }
    figures::note(&format!(
        "R1: 3 servers and oidc-provider, which ends a grant whose refresh token is used twice: {} answers, {ROUNDS} refreshes",
        ROUNDS * CALLERS as u64
    ));
}
