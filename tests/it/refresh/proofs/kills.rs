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

/// Servers that are killed and started again, and one that is not, to see by.
struct Scene {
    stage: Stage,
    redis: Arc<RedisServer>,
    settings: Vec<(String, String)>,
    victims: Vec<App>,
    shared: Arc<Shared>,
}

/// What callers and killer share.
#[derive(Default)]
struct Shared {
    /// The tenant at each of the servers, wherever it is now.
    doors: Mutex<Vec<Tenant>>,
    /// Users whose grant is lost, until they have connected again.
    lost: Mutex<BTreeSet<usize>>,
    /// How many were told that the outcome is unknown.
    told: AtomicUsize,
    over: AtomicBool,
}

/// What became of a mode.
struct Toll {
    refreshes: u64,
    /// Connections whose tenant was told that the outcome is unknown.
    told: usize,
}

fn dice(most: usize) -> usize {
    usize::from(u16::from_be_bytes(SystemChance.bytes::<2>())) % most
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

impl Shared {
    /// Asks for new tokens again and again, at whichever server.
    async fn call(&self, number: usize) {
        while !self.over.load(Ordering::Relaxed) {
            if self.lost.lock().expect("no panic").contains(&number) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let tenant = self.doors.lock().expect("no panic")[dice(SERVERS)].clone();
            let answer = tried(&tenant, &user(number)).await;
            let Some(answer) = answer.filter(|answer| answer.status == 409) else { continue };
            assert_eq!(answer.body["reason"], "refresh_outcome_unknown", "no other end: {answer:?}");
            self.told.fetch_add(1, Ordering::Relaxed);
            self.lost.lock().expect("no panic").insert(number);
        }
    }
}

impl Scene {
    async fn new(mode: Mode) -> Self {
        let (files, redis) = (mode.folder(), Arc::new(RedisServer::start(&[])));
        let mut settings = vec![
            ("providers.dirs".to_owned(), files.path().display().to_string()),
            ("vault.master_keys".to_owned(), new_master_key(Some("test"))),
        ];
        let further = [QUICK, SCALED].concat();
        settings.extend(further.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let stage = Stage::on(spawn(&redis, &settings), mode, files).await;
        stage.behave(LONG);
        for number in 0..USERS {
            stage.tenant.connect(&user(number)).await;
        }
        stage.rule(Rule::new(Endpoint::Token, Fault::Delay(20)));
        let victims: Vec<App> = (0..SERVERS).map(|_| spawn(&redis, &settings)).collect();
        let doors = victims.iter().map(|app| stage.tenant.at(app)).collect();
        let shared = Arc::new(Shared { doors: Mutex::new(doors), ..Shared::default() });
        Self { stage, redis, settings, victims, shared }
    }

    async fn kill_one(&mut self) {
        tokio::time::sleep(Duration::from_millis(20 + u64::try_from(dice(120)).expect("small"))).await;
        let place = dice(SERVERS);
        self.victims[place].process().signal("KILL");
        self.victims[place] = spawn(&self.redis, &self.settings);
        self.shared.doors.lock().expect("no panic")[place] = self.stage.tenant.at(&self.victims[place]);
    }

    /// Whoever lost a grant connects again.
    async fn reconnect(&self) {
        let gone = self.shared.lost.lock().expect("no panic").clone();
        for number in gone {
            self.stage.tenant.connect(&user(number)).await;
            self.shared.lost.lock().expect("no panic").remove(&number);
        }
    }

    /// All is quiet: each connection gives a token that works, or says why not. How many did not.
    async fn count_the_lost(&self) -> usize {
        let mut lost = 0;
        for number in 0..USERS {
            let mut answer = self.stage.forced(&user(number)).await;
            for _ in 0..200 {
                if answer.status == 409 || answer.body["refresh"]["state"] == "refreshed" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                answer = self.stage.forced(&user(number)).await;
            }
            if answer.status == 409 {
                assert_eq!(answer.body["reason"], "refresh_outcome_unknown", "{answer:?}");
                lost += 1;
            } else {
                let token = answer.expect(200).text("access_token");
                assert!(self.stage.works(&token).await, "user {number}: a token that works");
            }
        }
        lost
    }
}

fn spawn(redis: &Arc<RedisServer>, settings: &[(String, String)]) -> App {
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    App::spawn(Stores::Redis(Arc::clone(redis)), &settings)
}

async fn killed(mode: Mode, kills: usize) -> Toll {
    let mut scene = Scene::new(mode).await;
    let callers: Vec<_> = (0..USERS)
        .map(|number| {
            let shared = Arc::clone(&scene.shared);
            tokio::spawn(async move { shared.call(number).await })
        })
        .collect();
    for _ in 0..kills {
        scene.reconnect().await;
        scene.kill_one().await;
    }
    scene.shared.over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no panic");
    }
    scene.reconnect().await;
    let after = scene.count_the_lost().await;
    Toll {
        refreshes: scene.stage.counts().refreshes,
        told: scene.shared.told.load(Ordering::Relaxed) + after,
    }
}

#[tokio::test]
async fn r4_kills_at_random_moments_lose_nothing_in_silence() {
    let kills = if soak() { 200 } else { 67 };
    for (name, mode) in [("none", NONE), ("grace", GRACE), ("strict", STRICT)] {
        let toll = killed(mode, kills).await;
        assert!(name == "strict" || toll.told == 0, "{name}: nothing is lost");
        let lost = match toll.told {
            0 => "no connection lost".to_owned(),
            told => format!("{told} connections lost, each told as refresh_outcome_unknown"),
        };
        figures::note(&format!("R4: {name}: {kills} kills -9 during {} refreshes: {lost}", toll.refreshes));
    }
}
