//! R8: servers restarted one after the other under load.

use super::*;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const USERS: usize = 8;
/// Of each server.
const TURNS: usize = 2;

/// What a load balancer does: whoever is not reached, or says before anything else that it is going, is not the one.
async fn balanced(doors: &[Arc<Mutex<Tenant>>], first: usize, user: &str) -> Answer {
    for next in 0..200 {
        let tenant = doors[(first + next) % doors.len()].lock().expect("no panic").clone();
        let body = json!({ "provider": "sandbox", "end_user": user });
        match with_json(tenant.request(Method::POST, "/get-access-token"), &body).send().await {
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
    let mut apps: Vec<App> = (0..3).map(|_| spawn()).collect();
    let doors: Vec<_> = apps.iter().map(|app| Arc::new(Mutex::new(stage.tenant.at(app)))).collect();
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..USERS * 2)
        .map(|number| {
            let (over, answers, doors) = (Arc::clone(&over), Arc::clone(&answers), doors.clone());
            tokio::spawn(async move {
                let user = format!("user-{}", number % USERS);
                while !over.load(Ordering::Relaxed) {
                    let answer = balanced(&doors, number, &user).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answers.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        })
        .collect();
    for turn in 0..TURNS * apps.len() {
        let place = turn % apps.len();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut old = std::mem::replace(&mut apps[place], spawn());
        *doors[place].lock().expect("no panic") = stage.tenant.at(&apps[place]);
        old.process().signal("TERM");
        assert_eq!(old.ended().await, 0, "{}", old.log());
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no answer failed");
    }
    let counts = stage.counts();
    let twice = counts.families.values().filter(|family| family.most_requests_of_one_token > 1).count();
    assert_eq!((twice, counts.families.values().map(|family| family.reuses).sum::<u64>()), (0, 0));
    figures::note(&format!(
        "R8: {} restarts of 3 servers: {} answers, none failed; {} refreshes, none twice",
        TURNS * apps.len(),
        answers.load(Ordering::Relaxed),
        counts.refreshes
    ));
}
