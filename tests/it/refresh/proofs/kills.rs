//! R4: servers killed at random moments while they refresh.

use super::*;
use crate::support::redis::RedisServer;
use grantkeep::adapters::system::SystemChance;
use grantkeep::app::new_master_key;
use grantkeep::ports::ChanceExt;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SERVERS: usize = 3;
const USERS: usize = 12;

/// A server that is killed and started again under another port, and where it is to be found now.
struct Victim {
    app: App,
    door: Arc<Mutex<Tenant>>,
}

/// What became of a mode.
struct Toll {
    kills: usize,
    refreshes: u64,
    /// Connections whose tenant was told that the outcome is unknown.
    told: usize,
}

fn dice(most: u64) -> u64 {
    u64::from_be_bytes(SystemChance.bytes::<8>()) % most
}

async fn killed(mode: Mode, kills: usize) -> Toll {
    let (files, key, redis) =
        (mode.folder(), new_master_key(Some("test")), Arc::new(RedisServer::start(&[])));
    let folder = files.path().display().to_string();
    let settings =
        [&[("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())], QUICK, SCALED].concat();
    let spawn = || App::spawn(Stores::Redis(Arc::clone(&redis)), &settings);
    let stage = Stage::on(spawn(), mode, files).await;
    stage.behave(LONG);
    for number in 0..USERS {
        stage.tenant.connect(&format!("user-{number}")).await;
    }
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(20)));
    let mut victims: Vec<Victim> = (0..SERVERS)
        .map(|_| {
            let app = spawn();
            let door = Arc::new(Mutex::new(stage.tenant.at(&app)));
            Victim { app, door }
        })
        .collect();
    let (over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let lost: Arc<Mutex<BTreeSet<usize>>> = Arc::default();
    let doors: Vec<_> = victims.iter().map(|victim| Arc::clone(&victim.door)).collect();
    let callers: Vec<_> = (0..USERS)
        .map(|number| {
            let (over, told, doors) = (Arc::clone(&over), Arc::clone(&told), doors.clone());
            let lost = Arc::clone(&lost);
            tokio::spawn(async move {
                let user = format!("user-{number}");
                while !over.load(Ordering::Relaxed) {
                    if lost.lock().expect("no panic").contains(&number) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                    let door = usize::try_from(dice(SERVERS as u64)).expect("small");
                    let tenant = doors[door].lock().expect("no panic").clone();
                    if let Some(answer) = tried(&tenant, &user).await
                        && answer.status == 409
                    {
                        assert_eq!(
                            answer.body["reason"], "refresh_outcome_unknown",
                            "no other end: {answer:?}"
                        );
                        told.fetch_add(1, Ordering::Relaxed);
                        lost.lock().expect("no panic").insert(number);
                    }
                }
            })
        })
        .collect();
    // Whoever lost a grant connects again.
    let reconnect = async || {
        let gone = lost.lock().expect("no panic").clone();
        for number in gone {
            stage.tenant.connect(&format!("user-{number}")).await;
            lost.lock().expect("no panic").remove(&number);
        }
    };
    for _ in 0..kills {
        reconnect().await;
        tokio::time::sleep(Duration::from_millis(20 + dice(120))).await;
        let place = usize::try_from(dice(SERVERS as u64)).expect("small");
        let victim = &mut victims[place];
        victim.app.process().signal("KILL");
        victim.app = spawn();
        *victim.door.lock().expect("no panic") = stage.tenant.at(&victim.app);
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no panic");
    }
    reconnect().await;
    stage.sandbox.control().behave(Behaviour {
        rotation: mode.rotation,
        access_lifetime: LONG,
        ..Behaviour::default()
    });
    // All is quiet: each connection gives a token that works, or says why not.
    let mut after = 0;
    for number in 0..USERS {
        let user = format!("user-{number}");
        let mut answer = stage.forced(&user).await;
        for _ in 0..200 {
            if answer.status == 409
                || (answer.status == 200 && answer.body["refresh"]["state"] == "refreshed")
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = stage.forced(&user).await;
        }
        if answer.status == 409 {
            assert_eq!(answer.body["reason"], "refresh_outcome_unknown", "{answer:?}");
            after += 1;
        } else {
            assert!(
                stage.works(&answer.expect(200).text("access_token")).await,
                "{user}: a token that works"
            );
        }
    }
    Toll { kills, refreshes: stage.counts().refreshes, told: told.load(Ordering::Relaxed) + after }
}

/// A forced refresh at a server that may be dying.
async fn tried(tenant: &Tenant, user: &str) -> Option<Answer> {
    let body = json!({ "provider": "sandbox", "end_user": user, "force_refresh": true });
    let response = with_json(tenant.request(Method::POST, "/get-access-token"), &body).send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.ok()?;
    Some(Answer { status, headers, body: serde_json::from_slice(&bytes).ok()? })
}

#[tokio::test]
async fn r4_kills_at_random_moments_lose_nothing_in_silence() {
    let kills = if soak() { 200 } else { 67 };
    let mut total = 0;
    for (name, mode) in [("none", NONE), ("grace", GRACE), ("strict", STRICT)] {
        let toll = killed(mode, kills).await;
        total += toll.kills;
        if name != "strict" {
            assert_eq!(toll.told, 0, "{name}: nothing is lost");
        }
        let lost = match toll.told {
            0 => "no connection lost".to_owned(),
            told => format!("{told} connections lost, each told as refresh_outcome_unknown"),
        };
        figures::note(&format!(
            "R4: {name}: {} kills -9 during {} refreshes: {lost}",
            toll.kills, toll.refreshes
        ));
    }
    assert!(total >= 200, "{total} kills");
}
