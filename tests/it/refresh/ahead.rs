//! Refreshes that nobody asks for: in time for whoever uses a connection, in time for a refresh token that would die unused, and
//! each once, whichever server comes first.

use super::fleet::Fleet;
use super::*;
use crate::support::clock::Ahead;
use crate::support::figures;
use crate::support::redis::RedisServer;
use std::sync::Arc;

/// Rounds follow each other quickly.
const BRISK: &[(&str, &str)] = &[("refresh.pace", "100ms")];
const DAY: Duration = Duration::from_hours(24);

impl Mode {
    /// The same with further lines.
    fn with(self, further: &'static str) -> Self {
        let file = Box::leak(format!("{}\n{further}", self.file).into_boxed_str());
        Self { file, ..self }
    }
}

/// A server whose time can be moved.
async fn staged(mode: Mode, further: &[(&str, &str)]) -> (Stage, Arc<Ahead>) {
    let (files, clock) = (mode.folder(), Arc::new(Ahead::default()));
    let folder = files.path().display().to_string();
    let settings = [&[("providers.dirs", folder.as_str())], QUICK, BRISK, further].concat();
    let app = App::start_by(Stores::Embedded, &settings, clock.clone()).await;
    (Stage::on(app, mode, files).await, clock)
}

on_both_stores!(what_is_used_is_refreshed_before_it_expires, |stores: Stores| async move {
    let stage = Stage::new(stores, STRICT, BRISK).await;
    // Half of its life is two seconds, and the margin too.
    let who = stage.connect("ada", Duration::from_secs(4)).await;
    let due = stage.seen(&who).await["next_refresh_at"].clone();
    assert!(due.is_string());
    until("it was refreshed", async || stage.seen(&who).await["generation"] == 2).await;
    assert_eq!(stage.counts().refreshes, 1);
    let answer = stage.token("ada").await.expect(200);
    assert_eq!((&answer.body["generation"], &answer.body["refresh"]["state"]), (&2.into(), &"fresh".into()));
    assert_ne!(stage.seen(&who).await["next_refresh_at"], due);
    let audit = stage.tenant.get("/v1/audit?action=connection.refreshed").await.expect(200).body;
    assert_eq!(audit["items"][0]["actor"]["type"], "grantkeep", "{audit}");
});

/// A tenant has a turn after the other in a round: however much of it is due, it does not wait for the next one.
#[tokio::test]
async fn a_round_goes_on_until_nothing_is_due() {
    /// More than have a turn together.
    const USERS: u64 = 40;
    // Half of it lies between two rounds at least.
    let (stage, clock) = staged(STRICT, &[("refresh.pace", "20s")]).await;
    for number in 0..USERS {
        stage.tenant.connect(&format!("user-{number}")).await;
    }
    clock.pass(Duration::from_mins(56));
    for _ in 0..6000 {
        if stage.counts().refreshes > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = SystemClock::new();
    until("all are refreshed", async || stage.counts().refreshes == USERS).await;
    assert!(began.monotonic() < Duration::from_secs(9), "in one round");
}

#[tokio::test]
async fn what_nobody_uses_is_only_kept_alive() {
    let (stage, clock) = staged(STRICT.with("idle_limit = \"30d\""), &[]).await;
    let who = stage.connect("ada", LONG).await;
    // In use for a week, and refreshed each hour of it, if time passed by the hour.
    clock.pass(DAY * 8);
    let recorded = "/v1/audit?action=connection.refreshed";
    until("the last one of its use, to its end", async || {
        stage.tenant.get(recorded).await.expect(200).body["items"].as_array().expect("items").len() == 1
    })
    .await;
    assert_eq!(stage.counts().refreshes, 1);
    clock.pass(DAY * 10);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.counts().refreshes, 1, "ten days of thirty: nothing yet");
    clock.pass(DAY * 15);
    until("it was kept alive", async || stage.counts().refreshes == 2).await;
    assert_eq!(stage.seen(&who).await["status"], "active");
    // Whoever comes back has it refreshed as before.
    stage.token("ada").await.expect(200);
    clock.pass(LONG);
    until("it is in use again", async || stage.counts().refreshes == 3).await;
}

#[tokio::test]
async fn nothing_is_refreshed_where_that_is_not_wanted() {
    let stage =
        Stage::new(Stores::Embedded, STRICT, &[BRISK, &[("refresh.background", "false")]].concat()).await;
    let who = stage.connect("ada", SHORT).await;
    assert_eq!(stage.seen(&who).await["next_refresh_at"], Value::Null);
    stage.expire(&who).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.counts().refresh_requests, 0);
    assert_eq!(stage.token("ada").await.expect(200).body["refresh"]["state"], "refreshed");
}

#[tokio::test]
async fn a_grant_that_ends_is_told_once_and_in_time() {
    let mode = STRICT.with("absolute_limit = \"60d\"");
    let (stage, clock) = staged(mode, &[("refresh.background", "false")]).await;
    let who = stage.connect("ada", LONG).await;
    let seen = stage.seen(&who).await;
    let by = Timestamp::parse(seen["reauthorize_by"].as_str().expect("a time")).expect("a time");
    let connected = Timestamp::parse(seen["connected_at"].as_str().expect("a time")).expect("a time");
    // Reckoned a moment before the grant is stored.
    let limit = by.since(connected);
    assert!(limit <= DAY * 60 && limit + Duration::from_mins(1) > DAY * 60, "{limit:?}");
    assert!(seen["summary"].as_str().expect("words").contains("has to connect again by"), "{seen}");
    clock.pass(DAY * 45);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = async || {
        let page = stage.tenant.get("/v1/events?type=connection.expiring").await.expect(200).body;
        page["items"].as_array().expect("items").clone()
    };
    assert!(told().await.is_empty());
    clock.pass(DAY * 2);
    until("it is told", async || told().await.len() == 1).await;
    assert_eq!(told().await[0]["data"]["reauthorize_by"], seen["reauthorize_by"]);
    clock.pass(DAY * 5);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(told().await.len(), 1);
    // A new grant begins anew.
    stage.tenant.connect("ada").await;
    clock.pass(DAY * 47);
    until("it is told of the new one", async || told().await.len() == 2).await;
}

/// Many at once over three servers: each once, and no server does it all.
#[tokio::test]
async fn three_servers_share_what_is_due() {
    const USERS: usize = 300;
    let fleet = Fleet::new(STRICT, 3, BRISK).await;
    let stage = &fleet.stage;
    let others = [Tenant::new(&stage.app).await, Tenant::new(&stage.app).await];
    for tenant in &others {
        tenant.enable(&stage.sandbox).await.expect(201);
    }
    // Alive until all are there, and then due.
    stage.behave(Duration::from_mins(1));
    let clock = SystemClock::new();
    let began = clock.monotonic();
    for number in 0..USERS {
        let tenant = [&stage.tenant, &others[0], &others[1]][number % 3];
        tenant.connect(&format!("user-{number}")).await;
    }
    stage.behave(LONG);
    let connected = clock.monotonic().saturating_sub(began);
    // On a machine with other things to do some are refreshed before all are there, into a short life once more.
    let early = stage.counts().refreshes;
    let all = USERS as u64..=USERS as u64 + early;
    for _ in 0..3000 {
        if stage.counts().refreshes >= *all.end() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counts = stage.counts();
    assert_eq!(counts.refresh_requests, counts.refreshes);
    assert!(all.contains(&counts.refreshes), "{} of {all:?}", counts.refreshes);
    assert_eq!(counts.families.len(), USERS);
    let twice = counts.families.values().filter(|family| family.most_requests_of_one_token > 1).count();
    assert_eq!(twice, 0);
    let mut shares = Vec::new();
    for app in std::iter::once(&stage.app).chain(&fleet.others) {
        let text = app.metrics().await;
        let lines = text.lines().filter(|line| line.starts_with("grantkeep_refreshes_total"));
        shares.push(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>());
    }
    assert!(shares.iter().filter(|share| **share > 0.0).count() > 1, "{shares:?}");
    figures::note(&format!(
        "ahead: {USERS} connections made in {connected:.0?}, refreshed once each by 3 servers: {shares:?}"
    ));
}

/// The end of a provider is no reason for a storm.
#[tokio::test]
async fn a_provider_that_fails_is_asked_with_pauses() {
    let pauses = [("refresh.backoff_min", "500ms"), ("refresh.backoff_max", "4s")];
    let stage = Stage::new(Stores::Embedded, STRICT, &[BRISK, &pauses].concat()).await;
    let who = stage.connect("ada", SHORT).await;
    stage.rule(Rule::new(Endpoint::Token, Fault::ServerError));
    stage.expire(&who).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = stage.counts().refresh_requests;
    assert!((1..=6).contains(&asked), "{asked} in five seconds");
    stage.sandbox.control().reset();
    until("it is well again", async || stage.counts().refreshes == 1).await;
    until("it is told", async || stage.seen(&who).await["status"] == "active").await;
}

/// Which part of the hints a tenant's are in.
fn shard(tenant: &str) -> u16 {
    tenant.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(byte))) % 16
}

/// Whatever becomes of index and hints, the record is what counts.
#[tokio::test]
async fn the_index_is_only_a_hint() {
    let redis = Arc::new(RedisServer::start(&[]));
    let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, BRISK).await;
    let who = stage.connect("ada", LONG).await;
    let index = format!("gk:{{{}}}:index:due", stage.tenant.id());
    let member: Vec<String> = redis.say(&["ZRANGE", &index, "0", "-1"]);
    assert_eq!(member.len(), 1, "{member:?}");
    assert!(member[0].ends_with(":sandbox:ada:"), "{member:?}");
    // Members that no record stands for: of a time that is past, and of nobody.
    redis.say::<u64>(&[
        "ZADD",
        &index,
        "0",
        "000000000000001:sandbox:ada:",
        "0",
        "000000000000002:sandbox:nobody:",
    ]);
    let hints = format!("gk:due:{}", shard(stage.tenant.id()));
    redis.say::<u64>(&["ZADD", &hints, "0", &format!("000000000000000:{}", stage.tenant.id())]);
    until("they are swept", async || redis.say::<Vec<String>>(&["ZRANGE", &index, "0", "-1"]) == member)
        .await;
    assert_eq!(stage.counts().refresh_requests, 0);
    until("the old hint is gone, and the new one there", async || {
        redis.say::<Vec<String>>(&["ZRANGE", &hints, "0", "-1"]).len() == 1
    })
    .await;
    stage.tenant.delete(&format!("/v1/connections/{}", who.id)).await.expect(200);
    assert_eq!(redis.say::<u64>(&["EXISTS", &index]), 0);
}

/// Many tenants have something due in the same span of time: whoever stands behind them among the hints has its turn too.
#[tokio::test]
async fn a_tenant_behind_many_others_is_not_forgotten() {
    let redis = Arc::new(RedisServer::start(&[]));
    let stage = Stage::new(Stores::Redis(Arc::clone(&redis)), STRICT, BRISK).await;
    let span = SystemClock::new().now().as_millis() / 600_000 * 600_000;
    let hints = format!("gk:due:{}", shard(stage.tenant.id()));
    // Of an earlier moment than its own, and not so long ago that they are swept.
    for number in 0..450 {
        redis.say::<u64>(&["ZADD", &hints, "0", &format!("{:015}:{number:022}", span - 1)]);
    }
    let who = stage.connect("ada", Duration::from_secs(4)).await;
    until("it was refreshed", async || stage.seen(&who).await["generation"] == 2).await;
}
