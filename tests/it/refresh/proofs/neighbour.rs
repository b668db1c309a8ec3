//! R3: a thousand connections of one tenant expire at once, and another tenant goes on reading.

use super::*;
use crate::support::redis::RedisServer;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CONNECTIONS: usize = 1000;
/// The servers are built for tests and some five times slower than those that are shipped, and on one machine with the
/// provider and the callers: they have fewer turns at it than by default.
const FEW_TURNS: &[(&str, &str)] = &[("upstream.at_once", "4"), ("refresh.wait", "60s"), UNKEPT];
/// Reads before and after the storm: as many as a 99th percentile needs.
const IDLE: usize = 800;

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().build().expect("a client")
}

/// A token by a client that keeps its connections, as a backend does; without the looks that other cases take at each answer:
/// on this machine they would cost the servers their time.
async fn light(client: &reqwest::Client, door: &Tenant, user: &str) -> (u16, String) {
    let body = json!({ "provider": "sandbox", "end_user": user });
    let request =
        with_json(door.request(Method::POST, "/get-access-token"), &body).build().expect("a request");
    let response = client.execute(request).await.expect("it answers");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

/// Reads a fresh token again and again, at each server in turn, with a pause between: on a thread of its own, so that it is not
/// the callers of the others who are measured. Returns what each read took.
fn reads(doors: &[Tenant], enough: impl Fn(usize) -> bool) -> Vec<Duration> {
    let clock = SystemClock::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = client();
        let mut took = Vec::new();
        while !enough(took.len()) {
            let began = clock.monotonic();
            let (status, body) = light(&client, &doors[took.len() % doors.len()], "bob").await;
            took.push(clock.monotonic().saturating_sub(began));
            assert!(status == 200 && body.contains("\"generation\":1"), "{status} {body}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        took
    })
}

async fn beside(doors: &[Tenant], enough: impl Fn(usize) -> bool + Send + 'static) -> Vec<Duration> {
    let doors = doors.to_vec();
    tokio::task::spawn_blocking(move || reads(&doors, enough)).await.expect("no read failed")
}

/// What 99 of a hundred did not take, in milliseconds.
fn p99(mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[took.len() * 99 / 100].as_secs_f64() * 1000.0
}

fn expire_all(redis: &RedisServer, tenant: &Tenant) {
    let mut all = redis::pipe();
    for number in 0..CONNECTIONS {
        let key = format!("gk:{{{}}}:connection:sandbox:user-{number}:", tenant.id());
        all.cmd("HSET").arg(key).arg("expires_at").arg("1000").ignore();
    }
    all.query::<()>(&mut redis.connection()).expect("Redis takes it");
}

/// From a provider's answer to its being stored, in milliseconds, on average over all servers.
async fn window(fleet: &Fleet) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for app in std::iter::once(&fleet.stage.app).chain(&fleet.others) {
        sum += app.metric("grantkeep_refresh_store_seconds_sum").await.expect("it refreshed");
        count += app.metric("grantkeep_refresh_store_seconds_count").await.expect("it refreshed");
    }
    sum / count * 1000.0
}

/// All are asked for at once, over all servers; how long that took.
async fn storm(doors: &[Tenant]) -> Duration {
    let (client, clock) = (client(), SystemClock::new());
    let asked = stream::iter(0..CONNECTIONS).map(|number| {
        let (client, door) = (&client, &doors[number % doors.len()]);
        async move { light(client, door, &format!("user-{number}")).await }
    });
    let mut answers = asked.buffer_unordered(CONNECTIONS);
    while let Some(answer) = answers.next().await {
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
    clock.monotonic()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_thousand_at_once_are_no_trouble_for_a_neighbour() {
    let fleet = Fleet::new(STRICT, 3, FEW_TURNS).await;
    let stage = &fleet.stage;
    let tenant = &stage.tenant;
    let connect = |number| async move { drop(tenant.connect(&format!("user-{number}")).await) };
    stream::iter(0..CONNECTIONS).for_each_concurrent(8, connect).await;
    let neighbour = Tenant::new(&stage.app).await;
    neighbour.enable(&stage.sandbox).await.expect(201);
    for user in ["bob", "cy"] {
        neighbour.connect(user).await;
    }
    let doors = fleet.doors();
    let homes: Vec<Tenant> =
        doors.iter().map(|door| Tenant { url: door.url.clone(), ..neighbour.clone() }).collect();
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(200)));
    let mut idle = beside(&homes, |count| count >= IDLE).await;
    expire_all(&fleet.redis, &stage.tenant);
    let before = stage.counts();
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let (lasted, busy, left) = tokio::join!(
        async {
            let lasted = storm(&doors).await;
            over.store(true, Ordering::Relaxed);
            lasted
        },
        beside(&homes, move |_| ended.load(Ordering::Relaxed)),
        async {
            until("the storm is there", async || stage.counts().refreshes > before.refreshes + 20).await;
            ask(&homes[1], "cy", &json!({ "force_refresh": true })).await.expect(200);
            CONNECTIONS as u64 - (stage.counts().refreshes - before.refreshes)
        }
    );
    idle.extend(beside(&homes, |count| count >= IDLE).await);
    let counts = stage.counts();
    let twice = counts.families.values().filter(|family| family.most_requests_of_one_token > 1).count();
    let asked = counts.refresh_requests - before.refresh_requests;
    assert_eq!((asked, twice), (CONNECTIONS as u64 + 1, 0), "one is the neighbour's");
    assert!(left > CONNECTIONS as u64 / 2, "the neighbour's own refresh stood behind: {left} were left");
    let window = window(&fleet).await;
    let (count, idle, busy) = (busy.len(), p99(idle), p99(busy));
    let ratio = busy / idle;
    figures::note(&format!(
        "R3: {CONNECTIONS} refreshes in {lasted:.1?}, none twice; {count} fresh reads of another tenant meanwhile, \
         p99 {busy:.1} ms, idle {idle:.1} ms: ratio {ratio:.2}; from an answer to its being stored {window:.1} ms"
    ));
    // Where other cases run beside, a time says nothing.
    let alone = std::env::var_os("GRANTKEEP_TEST_ALONE").is_some();
    assert!(!alone || ratio < 2.0, "{ratio:.2}");
}
