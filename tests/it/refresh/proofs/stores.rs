//! R6 and R7: the store dies and comes back in the middle of refreshes, with all that it had or without its last moments.

use super::*;
use crate::support::redis::RedisServer;
use crate::support::redis_forms::Watched;
use futures_util::future::join_all;
use grantkeep::app::new_master_key;
use std::cell::RefCell;
use std::path::PathBuf;

const IMPATIENT: &[(&str, &str)] = &[("store.timeout", "1s"), ("store.connect_timeout", "500ms")];

/// Servers on a store that somebody else keeps, which may die.
struct Servers {
    stage: Stage,
    others: Vec<App>,
}

impl Servers {
    async fn new(size: usize, store: &[(&str, String)]) -> Self {
        let (files, key) = (STRICT.folder(), new_master_key(Some("test")));
        let folder = files.path().display().to_string();
        let own = store.iter().map(|(key, value)| (*key, value.as_str()));
        let mut settings = vec![("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())];
        settings.extend(own.chain([QUICK, IMPATIENT].concat()));
        let mut apps: Vec<App> =
            (0..size).map(|_| App::spawn(Stores::At(String::new()), &settings)).collect();
        let first = apps.remove(0);
        Self { stage: Stage::on(first, STRICT, files).await, others: apps }
    }

    fn doors(&self) -> Vec<Tenant> {
        let tenant = &self.stage.tenant;
        std::iter::once(tenant.clone()).chain(self.others.iter().map(|app| tenant.at(app))).collect()
    }

    /// Which servers rang that alarm.
    async fn rang(&self, kind: &str) -> usize {
        let mut count = 0;
        for app in std::iter::once(&self.stage.app).chain(&self.others) {
            let rang = app.metric(&format!("grantkeep_alarms_total{{kind=\"{kind}\"}}")).await;
            count += usize::from(rang > Some(0.0));
        }
        count
    }
}

#[tokio::test]
async fn r6_a_redis_that_keeps_everything_loses_nothing_by_dying() {
    const ROUNDS: u64 = 6;
    let kept = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let place = kept.path().display().to_string();
    let durable = ["--appendonly", "yes", "--appendfsync", "always", "--dir", &place];
    let redis = RefCell::new(Some(RedisServer::start(&durable)));
    let port = redis.borrow().as_ref().expect("it runs").port();
    let servers = Servers::new(3, &[("store.url", format!("redis://127.0.0.1:{port}/"))]).await;
    let stage = &servers.stage;
    let who = stage.connect("ada", LONG).await;
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(200)));
    for round in 0..ROUNDS {
        let doors = servers.doors();
        let callers = join_all((0..60).map(|number| tried(&doors[number % doors.len()], "ada")));
        let death = async {
            // At another moment each time: before the claim, while the provider works, after its answer.
            tokio::time::sleep(Duration::from_millis(30 + round * 60)).await;
            drop(redis.take());
            tokio::time::sleep(Duration::from_millis(300)).await;
            *redis.borrow_mut() =
                Some(RedisServer::start_on(port, &durable).expect("the port is still free"));
        };
        let (answers, ()) = tokio::join!(callers, death);
        for answer in answers.iter().flatten() {
            assert!([200, 503].contains(&answer.status), "{answer:?}");
        }
        until("it is well again", async || {
            let answer = stage.token("ada").await;
            answer.status == 200 && answer.body["refresh"]["state"] == "fresh"
        })
        .await;
    }
    let last = stage.forced("ada").await.expect(200);
    assert!(stage.works(&last.text("access_token")).await);
    let family = stage.family(&who);
    assert_eq!((family.most_requests_of_one_token, family.reuses, family.alive), (1, 0, true), "{family:?}");
    assert_eq!(servers.rang("generation_went_back").await, 0);
    figures::note(&format!(
        "R6: always: Redis killed {ROUNDS} times while 180 callers wait: {} refreshes, none twice, nothing lost",
        family.refreshes
    ));
}

/// As a power cut does to a Redis that writes its file each second: the end of it is not there.
#[tokio::test]
async fn r6_what_a_redis_loses_in_a_crash_is_told_and_written_again() {
    let kept = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let place = kept.path().display().to_string();
    let durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--dir", &place];
    let redis = RedisServer::start(&durable);
    let port = redis.port();
    let servers = Servers::new(2, &[("store.url", format!("redis://127.0.0.1:{port}/"))]).await;
    let stage = &servers.stage;
    let who = stage.connect("ada", LONG).await;
    let file: PathBuf = std::fs::read_dir(kept.path().join("appendonlydir"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .expect("a file");
    let long = std::fs::metadata(&file).expect("a file").len();
    let token = stage.forced("ada").await.expect(200).text("access_token");
    drop(redis);
    let cut = std::fs::OpenOptions::new().write(true).open(&file).expect("a file");
    cut.set_len(long).expect("it is cut");
    let _again = RedisServer::start_on(port, &durable).expect("the port is still free");
    until("it answers", async || stage.token("ada").await.status == 200).await;
    until("it is told", async || servers.rang("generation_went_back").await == 1).await;
    let other = &servers.doors()[1];
    until("the other server has it, too", async || {
        let answer = other.token("ada").await;
        answer.status == 200 && answer.text("access_token") == token
    })
    .await;
    let after = ask(other, "ada", &json!({ "force_refresh": true })).await.expect(200);
    assert_eq!(after.body["generation"], 3);
    let family = stage.family(&who);
    assert_eq!((family.refreshes, family.most_requests_of_one_token, family.reuses), (2, 1, 0), "{family:?}");
    figures::note(
        "R6: everysec: a generation that went back was told by 1 alarm and written again; no token sent twice",
    );
}

/// The replica that takes over has not got the last refresh.
#[tokio::test]
async fn r7_a_failover_that_loses_a_refresh_is_told_and_goes_on_by_itself() {
    let watched = Watched::start(&[]);
    let [master, replica] = &watched.servers;
    let servers = Servers::new(2, &watched.settings()).await;
    let stage = &servers.stage;
    let who = stage.connect("ada", LONG).await;
    // From here on the replica gets nothing: it has a word that the master does not know.
    replica.say::<()>(&["CONFIG", "SET", "masterauth", "wrong"]);
    master.say::<u64>(&["CLIENT", "KILL", "TYPE", "replica"]);
    until("the replica is cut off", async || {
        replica.say::<String>(&["INFO", "replication"]).contains("master_link_status:down")
    })
    .await;
    let token = stage.forced("ada").await.expect(200).text("access_token");
    master.signal("KILL");
    until("the replica is the master", async || watched.master() == replica.port()).await;
    until("it answers", async || stage.token("ada").await.status == 200).await;
    until("it is told", async || servers.rang("generation_went_back").await >= 1).await;
    let other = &servers.doors()[1];
    until("the other server has it, too", async || {
        let answer = other.token("ada").await;
        answer.status == 200 && answer.text("access_token") == token
    })
    .await;
    // Nobody had to do anything.
    let after = ask(other, "ada", &json!({ "force_refresh": true })).await.expect(200);
    assert_eq!(
        (&after.body["generation"], &after.body["refresh"]["state"]),
        (&3.into(), &"refreshed".into())
    );
    let family = stage.family(&who);
    assert_eq!((family.refreshes, family.most_requests_of_one_token, family.reuses), (2, 1, 0), "{family:?}");
    figures::note(
        "R7: a failover that lost a refresh: told, written again, no stale overwrite, no token sent twice",
    );
}
