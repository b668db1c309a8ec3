//! R8: servers restarted one after the other under load.

use super::*;
use crate::oidc_flow::{self, Flow};
use crate::support::oidc::OidcProvider;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const USERS: usize = 8;
/// Of three servers in turns.
const RESTARTS: usize = 6;

/// What a load balancer does: whoever is not reached, or says before anything else that it is going, is not the one.
async fn balanced(doors: &[Arc<Mutex<Tenant>>], first: usize, body: &Value) -> Answer {
    for next in 0..200 {
        let tenant = doors[(first + next) % doors.len()].lock().expect("no panic").clone();
        match with_json(tenant.request(Method::POST, "/get-access-token"), body).send().await {
            Ok(response) => {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                let bytes = response.bytes().await.expect("a whole answer");
                return Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() };
            }
            Err(error) => assert!(error.is_connect() || error.is_request(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody is there")
}

/// Callers ask all the time while three servers are restarted one after the other; how many answers there were, all of them good.
async fn restart_in_turns(
    tenant: &Tenant,
    spawn: &impl Fn() -> App,
    asked: &impl Fn(usize) -> Value,
) -> usize {
    let mut apps: Vec<App> = (0..3).map(|_| spawn()).collect();
    let doors: Vec<_> = apps.iter().map(|app| Arc::new(Mutex::new(tenant.at(app)))).collect();
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..USERS * 2)
        .map(|number| {
            let (over, answers, doors) = (Arc::clone(&over), Arc::clone(&answers), doors.clone());
            let body = asked(number);
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let answer = balanced(&doors, number, &body).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answers.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        })
        .collect();
    for turn in 0..RESTARTS {
        let place = turn % apps.len();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut old = std::mem::replace(&mut apps[place], spawn());
        *doors[place].lock().expect("no panic") = tenant.at(&apps[place]);
        old.process().signal("TERM");
        assert_eq!(old.ended().await, 0, "{}", old.log());
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no answer failed");
    }
    answers.load(Ordering::Relaxed)
}

#[tokio::test]
async fn r8_a_rolling_restart_fails_nobody() {
    let (files, key, redis) =
        (STRICT.folder(), new_master_key(Some("test")), Arc::new(RedisServer::start(&[])));
    let folder = files.path().display().to_string();
    let settings =
        [&[("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())], QUICK].concat();
    let spawn = || App::spawn(Stores::Redis(Arc::clone(&redis)), &settings);
    let stage = Stage::on(spawn(), STRICT, files).await;
    // They expire again and again: there is always a refresh under way.
    stage.behave(Duration::from_secs(2));
    for number in 0..USERS {
        stage.tenant.connect(&format!("user-{number}")).await;
    }
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(150)));
    let asked = |number| json!({ "provider": "sandbox", "end_user": format!("user-{}", number % USERS) });
    let answers = restart_in_turns(&stage.tenant, &spawn, &asked).await;
    let counts = stage.counts();
    let twice = counts.families.values().filter(|family| family.most_requests_of_one_token > 1).count();
    assert_eq!((twice, counts.families.values().map(|family| family.reuses).sum::<u64>()), (0, 0));
    figures::note(&format!(
        "R8: {RESTARTS} restarts of 3 servers: {answers} answers, none failed; {} refreshes, none twice",
        counts.refreshes
    ));
}

/// The same with a provider that takes the second use of a refresh token for theft and ends the grant.
#[tokio::test]
async fn r8_a_certified_provider_notices_nothing_of_a_restart() {
    // A second before its end each token is refreshed.
    let provider = OidcProvider::start(2);
    let file = oidc_flow::described(provider.issuer(), provider.issuer());
    let (folder, key) = (file.path().display().to_string(), new_master_key(Some("test")));
    let redis = Arc::new(RedisServer::start(&[]));
    let settings =
        [&[("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())], QUICK].concat();
    let spawn = || App::spawn(Stores::Redis(Arc::clone(&redis)), &settings);
    let flow = Flow::on(spawn(), provider, file).await;
    flow.connect().await;
    let asked = |_| json!({ "provider": "certified", "end_user": "user 1" });
    let answers = restart_in_turns(&flow.tenant, &spawn, &asked).await;
    let last = oidc_flow::token(&flow.tenant).await.expect(200);
    let refreshes = last.body["generation"].as_u64().expect("a number") - 1;
    assert!(refreshes >= 2, "{last:?}");
    assert_eq!(flow.me(&last.text("access_token")).await.expect(200).body["sub"], "ada", "the grant is well");
    figures::note(&format!(
        "R8: {RESTARTS} restarts of 3 servers with oidc-provider: {answers} answers, none failed; {refreshes} refreshes"
    ));
}
