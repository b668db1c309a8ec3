//! Clocks of instances and of the provider that are ten minutes apart: no storm of refreshes, and no token that is handed out
//! past its life.

use super::*;
use crate::support::clock::Wrong;
use crate::support::figures;
use crate::support::redis::RedisServer;
use futures_util::future::join_all;
use grantkeep::adapters::system::SystemChance;
use grantkeep::app::new_master_key;
use grantkeep::sandbox::SandboxOptions;
use std::sync::Arc;

/// Minutes that the clocks of the instances are wrong by; and the provider's.
const WRONG: [i64; 3] = [-10, 0, 10];
const PROVIDER_WRONG: i64 = 7;

/// Instances with wrong clocks on one Redis, and a tenant at each of them.
async fn fleet() -> (Vec<App>, Sandbox, Vec<Tenant>) {
    let (redis, key) = (Stores::Redis(Arc::new(RedisServer::start(&[]))), new_master_key(Some("test")));
    let further = [&[("vault.master_keys", key.as_str())], QUICK].concat();
    let start = |minutes| App::start_by(redis.clone(), &further, Arc::new(Wrong::by_minutes(minutes)));
    let apps = join_all(WRONG.map(start)).await;
    let clock = Arc::new(Wrong::by_minutes(PROVIDER_WRONG));
    let sandbox =
        Sandbox::start(SandboxOptions::default(), clock, Arc::new(SystemChance)).await.expect("it starts");
    let tenant = Tenant::new(&apps[0]).await;
    tenant.enable(&sandbox).await.expect(201);
    let doors = apps.iter().map(|app| tenant.at(app)).collect();
    (apps, sandbox, doors)
}

fn behave(sandbox: &Sandbox, access_lifetime: Duration) {
    sandbox.control().behave(Behaviour { access_lifetime, ..Behaviour::default() });
}

#[tokio::test]
async fn wrong_clocks_make_no_storm() {
    const ROUNDS: usize = 20;
    let (_apps, sandbox, doors) = fleet().await;
    // Shorter than the clocks are apart: by its own clock one instance would find each token expired, and another one that had
    // expired alive.
    behave(&sandbox, Duration::from_mins(5));
    let users = ["ada", "bob", "cy"];
    for (door, user) in doors.iter().zip(users) {
        door.connect(user).await;
    }
    let mut answers = Vec::new();
    for round in 0..ROUNDS {
        let asked = (0..9).map(|n| doors[n % 3].token(users[(n / 3 + round) % 3]));
        answers.extend(join_all(asked).await);
    }
    for answer in &answers {
        assert_eq!((answer.status, &answer.body["refresh"]["state"]), (200, &"fresh".into()), "{answer:?}");
        let left = answer.body["expires_in"].as_u64().expect("seconds");
        assert!((240..=300).contains(&left), "{answer:?}");
    }
    assert_eq!(sandbox.control().counts().refresh_requests, 0);
    figures::note(&format!(
        "R12: clocks {WRONG:?} minutes wrong, {} hand-outs, 0 refreshes of tokens that lived",
        answers.len()
    ));
}

/// Each instance refreshes once, and then the others are asked beyond the end of what it stored.
#[tokio::test]
async fn wrong_clocks_hand_out_no_dead_token() {
    let (_apps, sandbox, doors) = fleet().await;
    behave(&sandbox, Duration::from_secs(2));
    doors[0].connect("ada").await;
    let (clock, mut handed_out) = (SystemClock::new(), 0);
    for last in 0..doors.len() {
        ask(&doors[last], "ada", &json!({ "force_refresh": true })).await.expect(200);
        let began = clock.monotonic();
        while clock.monotonic().saturating_sub(began) < Duration::from_secs(3) {
            for other in [last + 1, last + 2] {
                let asked_at = clock.monotonic();
                let answer = doors[other % doors.len()].token("ada").await.expect(200);
                let left = Duration::from_secs(answer.body["expires_in"].as_u64().expect("seconds"));
                assert!(left <= Duration::from_secs(2), "{answer:?}");
                let works = works(&sandbox, &answer.text("access_token")).await;
                // A machine that is busy elsewhere may need longer than the token had left.
                let took = clock.monotonic().saturating_sub(asked_at);
                assert!(works || took > left, "{answer:?}");
                handed_out += 1;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let refreshes = sandbox.control().counts().refresh_requests;
    let lives = clock.monotonic().as_secs() / 2 + 1;
    assert!((6..=3 + lives * 3).contains(&refreshes), "{refreshes} refreshes in {lives} lives");
    figures::note(&format!(
        "R12: {handed_out} hand-outs of tokens that live 2 s, {refreshes} refreshes, none past its life"
    ));
}

/// Nobody but the store knows what time it is, and a server that has only just started has asked it.
#[tokio::test]
async fn a_server_with_a_wrong_clock_knows_the_time_before_it_is_asked() {
    let (redis, key) = (Arc::new(RedisServer::start(&[])), new_master_key(Some("test")));
    let further = [&[("vault.master_keys", key.as_str())], QUICK].concat();
    let stores = Stores::Redis(Arc::clone(&redis));
    let first = App::start_with(stores.clone(), &further).await;
    let sandbox = sandbox(LONG).await;
    let tenant = Tenant::new(&first).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("ada").await;
    let ended = SystemClock::new().now().minus(Duration::from_mins(5)).as_millis().to_string();
    let record = format!("gk:{{{}}}:connection:sandbox:ada:", tenant.id());
    redis.say::<i64>(&["HSET", &record, "expires_at", &ended]);
    let second = App::start_by(stores, &further, Arc::new(Wrong::by_minutes(-10))).await;
    let answer = tenant.at(&second).token("ada").await.expect(200);
    assert_eq!(
        answer.body["generation"], 2,
        "by its own clock the token lives for five minutes more: {answer:?}"
    );
}
