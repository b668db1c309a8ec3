//! One provider that is slow or down takes nothing away from another.

use super::*;
use futures_util::future::join_all;

fn forced(tenant: &Tenant, user: usize) -> impl Future<Output = Answer> {
    let (tenant, user) = (tenant.clone(), format!("user-{user}"));
    async move { ask(&tenant, &user, &json!({ "force_refresh": true })).await }
}

/// Another tenant with a provider of its own.
async fn neighbour(stage: &Stage) -> (Sandbox, Tenant) {
    let (sandbox, tenant) = (sandbox(LONG).await, Tenant::new(&stage.app).await);
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("user-0").await;
    (sandbox, tenant)
}

#[tokio::test]
async fn a_slow_host_keeps_only_its_own_waiting() {
    const USERS: usize = 30;
    let stage = Stage::new(Stores::redis(), STRICT, &[("upstream.at_once", "4")]).await;
    let (_other, neighbour) = neighbour(&stage).await;
    for number in 0..USERS {
        stage.tenant.connect(&format!("user-{number}")).await;
    }
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(500)));
    let clock = SystemClock::new();
    let slow = async {
        let answers = join_all((0..USERS).map(|number| forced(&stage.tenant, number))).await;
        (answers, clock.monotonic())
    };
    let quick = async {
        until("the slow host is busy", async || stage.counts().refresh_requests >= 4).await;
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(forced(&neighbour, 0).await);
        }
        (answers, clock.monotonic())
    };
    let ((slow, slow_at), (quick, quick_at)) = tokio::join!(slow, quick);
    assert!(quick_at < slow_at, "ten refreshes elsewhere were done before: {quick_at:?}, {slow_at:?}");
    for answer in slow.iter().chain(&quick) {
        assert_eq!(
            (answer.status, &answer.body["refresh"]["state"]),
            (200, &"refreshed".into()),
            "{answer:?}"
        );
    }
    // 30 in fours of half a second.
    assert!(slow_at > Duration::from_secs(3), "four at once: {slow_at:?}");
    let families = stage.counts().families;
    assert!(families.values().all(|family| family.most_requests_of_one_token <= 1), "{families:?}");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_left_alone() {
    let settings = [("upstream.failures", "3"), ("upstream.pause", "2s")];
    let stage = Stage::new(Stores::redis(), NONE, &settings).await;
    let (_other, neighbour) = neighbour(&stage).await;
    for number in 0..6 {
        stage.tenant.connect(&format!("user-{number}")).await;
    }
    stage.rule(Rule::new(Endpoint::Token, Fault::ServerError));
    for number in 0..3 {
        assert_eq!(forced(&stage.tenant, number).await.expect(200).body["refresh"]["error"], "http_500");
    }
    for number in 3..6 {
        let answer = forced(&stage.tenant, number).await.expect(200);
        assert_eq!(
            (&answer.body["refresh"]["state"], &answer.body["refresh"]["error"]),
            (&"failing".into(), &"provider_unavailable".into())
        );
    }
    assert_eq!(stage.counts().refresh_requests, 3, "nothing more was sent");
    // Who was not asked about is not failing either.
    let seen = stage.tenant.get("/v1/connections?end_user=user-5").await.expect(200).body;
    assert_eq!(seen["items"][0]["status"], "active");
    forced(&neighbour, 0).await.expect(200);
    stage.sandbox.control().reset();
    until("it is tried again", async || {
        forced(&stage.tenant, 5).await.expect(200).body["refresh"]["state"] == "refreshed"
    })
    .await;
    assert_eq!(forced(&stage.tenant, 4).await.expect(200).body["refresh"]["state"], "refreshed");
}

/// A 429 is an answer: it stops the one who asked, and nobody else.
#[tokio::test]
async fn too_many_requests_are_one_clients_own_affair() {
    let stage = Stage::new(Stores::redis(), NONE, &[("upstream.failures", "2")]).await;
    for number in 0..6 {
        stage.tenant.connect(&format!("user-{number}")).await;
    }
    stage.rule(Rule::new(Endpoint::Token, Fault::TooManyRequests("1".to_owned())).times(5));
    for number in 0..5 {
        assert_eq!(forced(&stage.tenant, number).await.expect(200).body["refresh"]["error"], "http_429");
    }
    assert_eq!(forced(&stage.tenant, 5).await.expect(200).body["refresh"]["state"], "refreshed");
}
