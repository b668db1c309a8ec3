//! Several processes of the real binary on one Redis.

use super::*;
use crate::support::redis::RedisServer;
use futures_util::future::join_all;
use grantkeep::app::new_master_key;
use std::sync::Arc;

/// Three processes that share everything, and a tenant with a sandbox.
pub(super) struct Fleet {
    pub stage: Stage,
    pub others: Vec<App>,
    pub redis: Arc<RedisServer>,
}

impl Fleet {
    pub async fn new(mode: Mode, size: usize, further: &[(&str, &str)]) -> Self {
        let (files, key) = (mode.folder(), new_master_key(Some("test")));
        let folder = files.path().display().to_string();
        let mut settings = vec![("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())];
        settings.extend(QUICK.iter().filter(|(key, _)| further.iter().all(|(other, _)| other != key)));
        settings.extend(further);
        let redis = Arc::new(RedisServer::start(&[]));
        let spawn = |_| App::spawn(Stores::Redis(Arc::clone(&redis)), &settings);
        let mut apps: Vec<App> = (0..size).map(spawn).collect();
        let first = apps.remove(0);
        Self { stage: Stage::on(first, mode, files).await, others: apps, redis }
    }

    /// The tenant at each of the processes.
    pub fn doors(&self) -> Vec<Tenant> {
        let tenant = &self.stage.tenant;
        std::iter::once(tenant.clone()).chain(self.others.iter().map(|app| tenant.at(app))).collect()
    }

    /// The tenant at a process that is not the first.
    pub fn survivor(&self) -> Tenant {
        self.stage.tenant.at(&self.others[0])
    }

    /// The first process asks for a refresh and is killed before the answer comes; it took effect at the provider.
    async fn lose_the_owner(&self, wish: &Value) {
        let before = self.stage.counts().refreshes;
        self.stage.strike(Fault::Delay(60_000));
        let tenant = self.stage.tenant.clone();
        let wish = wish.clone();
        let asked = tokio::spawn(async move {
            let body = json!({ "provider": "sandbox", "end_user": "ada" });
            let mut body = body.as_object().expect("an object").clone();
            body.extend(wish.as_object().expect("an object").clone());
            let request = tenant.request(Method::POST, "/get-access-token");
            with_json(request, &Value::Object(body)).send().await.is_err()
        });
        until("the refresh took effect", async || self.stage.counts().refreshes > before).await;
        self.stage.app.process().signal("KILL");
        assert!(asked.await.expect("no panic"), "it died with the question unanswered");
    }
}

#[tokio::test]
async fn three_processes_and_a_hundred_callers_cost_one_refresh() {
    let fleet = Fleet::new(STRICT, 3, &[]).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    stage.strike(Fault::Delay(700));
    let doors = fleet.doors();
    let answers = join_all((0..100).map(|number| doors[number % doors.len()].token("ada"))).await;
    let family = stage.family(&who);
    assert_eq!(
        (family.refresh_requests, family.most_requests_of_one_token, family.reuses),
        (1, 1, 0),
        "{family:?}"
    );
    assert_eq!(stage.counts().refresh_requests, 1);
    let token = answers[0].text("access_token");
    for answer in &answers {
        assert_eq!((answer.status, answer.text("access_token")), (200, token.clone()), "{answer:?}");
    }
    assert!(stage.works(&token).await);
}

#[tokio::test]
async fn three_processes_that_are_all_told_to_refresh_take_turns() {
    let fleet = Fleet::new(STRICT, 3, &[]).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", LONG).await;
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(50)));
    let doors = fleet.doors();
    let wish = json!({ "force_refresh": true });
    let answers = join_all((0..30).map(|number| ask(&doors[number % doors.len()], "ada", &wish))).await;
    let family = stage.family(&who);
    assert_eq!(
        (family.most_requests_of_one_token, family.peak_refreshes, family.reuses),
        (1, 1, 0),
        "{family:?}"
    );
    assert!((1..=9).contains(&family.refreshes), "few for all: {family:?}");
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.body["refresh"]["state"]),
            (200, &"refreshed".into()),
            "{answer:?}"
        );
        assert_ne!(answer.text("access_token"), who.token);
    }
}

/// Kills the owner of a refresh of an expired token in the middle; what another process answers, and how long it waited.
async fn after_the_owner_died(mode: Mode) -> (Fleet, Connected, Answer) {
    let fleet = Fleet::new(mode, 2, HASTY).await;
    let who = fleet.stage.connect("ada", SHORT).await;
    fleet.stage.expire(&who).await;
    fleet.lose_the_owner(&json!({})).await;
    let clock = SystemClock::new();
    let asked_at = clock.monotonic();
    let answer = fleet.survivor().token("ada").await;
    let waited = clock.monotonic().saturating_sub(asked_at);
    assert!(waited < Duration::from_secs(10), "the attempt ends after 3 s, and its heir goes on: {waited:?}");
    (fleet, who, answer)
}

#[tokio::test]
async fn the_death_of_the_owner_costs_nothing_where_nothing_is_spent() {
    let (fleet, who, answer) = after_the_owner_died(NONE).await;
    assert!(fleet.stage.works(&answer.expect(200).text("access_token")).await);
    assert_eq!(fleet.stage.family(&who).refresh_requests, 2);
}

#[tokio::test]
async fn the_death_of_the_owner_is_survived_within_the_grace() {
    let (fleet, who, answer) = after_the_owner_died(GRACE).await;
    assert!(fleet.stage.works(&answer.expect(200).text("access_token")).await);
    let family = fleet.stage.family(&who);
    assert_eq!((family.most_requests_of_one_token, family.alive, family.reuses), (2, true, 0));
}

#[tokio::test]
async fn the_death_of_the_owner_is_told_where_the_token_was_spent() {
    let (fleet, who, answer) = after_the_owner_died(STRICT).await;
    let answer = answer.expect(409);
    assert_eq!(
        (answer.code(), &answer.body["reason"]),
        ("reauthorization_required", &"refresh_outcome_unknown".into())
    );
    assert_eq!(fleet.stage.family(&who).refresh_requests, 2, "it was tried");
    let connection = fleet.survivor().get(&format!("/v1/connections/{}", who.id)).await.expect(200);
    assert_eq!(connection.body["reason"], "refresh_outcome_unknown");
}

#[tokio::test]
async fn the_death_of_the_owner_is_told_without_a_try_where_that_is_wanted() {
    let (fleet, who, answer) = after_the_owner_died(CAREFUL).await;
    assert_eq!(answer.expect(409).body["reason"], "refresh_outcome_unknown");
    let family = fleet.stage.family(&who);
    assert_eq!((family.refresh_requests, family.reuses), (1, 0), "the provider was not asked again");
}

/// While the attempt of the dead is within its time, a token that lives is not withheld.
#[tokio::test]
async fn a_token_that_lives_is_handed_out_whatever_became_of_the_owner() {
    let fleet = Fleet::new(STRICT, 2, HASTY).await;
    let who = fleet.stage.connect("ada", LONG).await;
    fleet.lose_the_owner(&json!({ "force_refresh": true })).await;
    let answer = fleet.survivor().token("ada").await.expect(200);
    assert_eq!(answer.text("access_token"), who.token);
}

/// Who waits for another server's refresh is told of its end: it does not look every few milliseconds, and it waits no longer
/// than it must.
#[tokio::test]
async fn who_waits_is_told() {
    let fleet = Fleet::new(STRICT, 2, &[]).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    let other = fleet.survivor();
    stage.strike(Fault::Delay(4000));
    let (first, second) = tokio::join!(stage.token("ada"), async {
        until("the refresh is under way", async || stage.counts().refresh_requests == 1).await;
        // The first who waits makes the connection on which it is told.
        fleet.redis.say::<()>(&["CONFIG", "RESETSTAT"]);
        let answer = other.token("ada").await;
        (answer, fleet.redis.calls())
    });
    let (second, calls) = second;
    assert_eq!(first.expect(200).text("access_token"), second.expect(200).text("access_token"));
    // By looking alone, from ten milliseconds to a quarter of a second apart, it would be some twenty looks in this time.
    let looks = calls.get("evalsha").copied().unwrap_or_default();
    assert!(looks <= 14, "claims that were tried, among a few others: {calls:?}");
    assert_eq!(calls.get("publish").copied(), Some(1), "{calls:?}");
}

/// Nobody depends on being told.
#[tokio::test]
async fn who_is_told_nothing_looks_by_itself() {
    let fleet = Fleet::new(STRICT, 2, &[]).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", SHORT).await;
    stage.expire(&who).await;
    stage.strike(Fault::Delay(1000));
    let (first, second) = tokio::join!(stage.token("ada"), async {
        until("the refresh is under way", async || stage.counts().refresh_requests == 1).await;
        let survivor = fleet.survivor();
        let asked = survivor.token("ada");
        let cut = async {
            let heard = || fleet.redis.say::<String>(&["CLIENT", "LIST", "TYPE", "pubsub"]).contains("sub=1");
            until("it listens", async || heard()).await;
            // Whatever is told in the next moments is heard by nobody.
            fleet.redis.say::<()>(&["ACL", "SETUSER", "default", "-subscribe"]);
            fleet.redis.say::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        };
        tokio::join!(asked, cut).0
    });
    assert_eq!(first.expect(200).text("access_token"), second.expect(200).text("access_token"));
    assert_eq!(stage.family(&who).refresh_requests, 1);
}
