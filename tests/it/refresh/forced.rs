//! Many callers at once in one process: who shares a refresh, and who is owed one of their own.

use super::*;
use futures_util::future::join_all;

on_both_stores!(a_hundred_callers_at_once_cost_one_refresh, |stores: Stores| async move {
    let stage = Stage::new(stores, STRICT, &[]).await;
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    stage.strike(Fault::Delay(700));
    let answers = join_all((0..100).map(|_| stage.token("ada"))).await;
    let family = stage.family(&who);
    assert_eq!((family.refresh_requests, family.most_requests_of_one_token), (1, 1));
    let token = answers[0].text("access_token");
    for answer in answers {
        assert_eq!((answer.status, answer.text("access_token")), (200, token.clone()), "{answer:?}");
    }
});

#[tokio::test]
async fn who_insists_twice_gets_two_refreshes() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    let (first, second) = (stage.forced("ada").await.expect(200), stage.forced("ada").await.expect(200));
    assert_eq!((&first.body["generation"], &second.body["generation"]), (&2.into(), &3.into()));
    assert_ne!(first.text("access_token"), second.text("access_token"));
    assert_eq!(stage.family(&who).refreshes, 2);
    // Who does not insist takes what is there.
    assert_eq!(stage.token("ada").await.expect(200).text("access_token"), second.text("access_token"));
}

on_both_stores!(who_insists_is_answered_by_a_refresh_that_began_later, |stores: Stores| async move {
    let stage = Stage::new(stores, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike(Fault::Delay(500));
    let early = join_all((0..25).map(|_| stage.forced("ada")));
    let late = async {
        until("the first refresh is at the provider", async || stage.counts().refresh_requests == 1).await;
        join_all((0..25).map(|_| stage.forced("ada"))).await
    };
    let (early, late) = tokio::join!(early, late);
    for answer in early.iter().chain(&late) {
        assert_eq!(
            (answer.status, &answer.body["refresh"]["state"]),
            (200, &"refreshed".into()),
            "{answer:?}"
        );
    }
    for answer in &late {
        let generation = answer.body["generation"].as_u64().expect("a number");
        assert!(generation >= 3, "the refresh that gave generation 2 had begun before: {answer:?}");
    }
    let family = stage.family(&who);
    assert!((2..=4).contains(&family.refreshes), "few for all: {family:?}");
    assert_eq!((family.most_requests_of_one_token, family.peak_refreshes), (1, 1));
});

#[tokio::test]
async fn who_wants_a_longer_life_than_there_is_gets_a_refresh_that_began_later() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    let wish = json!({ "min_ttl": 2 * LONG.as_secs() });
    for generation in 2..5 {
        let answer = ask(&stage.tenant, "ada", &wish).await.expect(200);
        assert_eq!(
            (&answer.body["generation"], &answer.body["refresh"]["state"]),
            (&generation.into(), &"refreshed".into())
        );
    }
    assert_eq!(stage.family(&who).refreshes, 3, "one for each request");
    stage.strike(Fault::Delay(300));
    let all = join_all((0..50).map(|_| ask(&stage.tenant, "ada", &wish))).await;
    assert!(all.iter().all(|answer| answer.status == 200 && answer.body["refresh"]["state"] == "refreshed"));
    let few = stage.family(&who).refreshes;
    assert!((4..=6).contains(&few), "{few}");
    let endless = ask(&stage.tenant, "ada", &json!({ "min_ttl": u64::MAX })).await.expect(200);
    assert_eq!(endless.body["refresh"]["state"], "refreshed");
    // One that lives long enough is no reason.
    let short = ask(&stage.tenant, "ada", &json!({ "min_ttl": 60 })).await.expect(200);
    assert_eq!(short.body["refresh"]["state"], "fresh");
}

/// Who wants more than those who came before takes no refresh that was made for less.
#[tokio::test]
async fn a_refresh_that_brought_too_little_is_not_the_answer() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike(Fault::Delay(300));
    stage.strike(Fault::Change(json!({ "expires_in": 100 }).as_object().expect("an object").clone()));
    let (first, second) = tokio::join!(stage.forced("ada"), async {
        until("the refresh is at the provider", async || stage.counts().refresh_requests == 1).await;
        ask(&stage.tenant, "ada", &json!({ "min_ttl": 2 * LONG.as_secs() })).await
    });
    assert_eq!((first.status, &first.body["generation"]), (200, &2.into()));
    assert_eq!((second.status, &second.body["generation"]), (200, &3.into()), "{second:?}");
    assert_eq!(stage.family(&who).refreshes, 2);
}

#[tokio::test]
async fn a_provider_that_wants_tokens_to_be_older_is_not_asked_earlier() {
    let mode = Mode { file: "rotation = \"strict\"\nmin_age = \"10m\"", ..STRICT };
    let stage = Stage::new(Stores::Embedded, mode, &[]).await;
    let who = stage.connect("ada", LONG).await;
    let all = join_all((0..20).map(|_| stage.forced("ada"))).await;
    for answer in &all {
        assert_eq!((answer.status, answer.text("access_token")), (200, who.token.clone()), "{answer:?}");
        assert_eq!(answer.body["refresh"]["state"], "fresh", "no refresh is claimed");
    }
    assert_eq!(stage.family(&who).refresh_requests, 0);
    // One that has expired is of no use to anybody, however young.
    let other = stage.connect("bob", SHORT).await;
    stage.expire(&other).await;
    stage.token("bob").await.expect(200);
    assert_eq!(stage.family(&other).refreshes, 1);
}

#[tokio::test]
async fn a_hundred_callers_at_once_cost_a_provider_in_trouble_one_request() {
    let pause = [("refresh.backoff_min", "5m"), ("refresh.backoff_max", "5m")];
    let stage = Stage::new(Stores::Embedded, STRICT, &pause).await;
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    stage.strike(Fault::Delay(300));
    stage.strike(Fault::ServerError);
    let answers = join_all((0..100).map(|_| stage.token("ada"))).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.code()), (503, "provider_unavailable"), "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(stage.family(&who).refresh_requests, 1);
}
