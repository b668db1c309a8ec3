//! R3: a thousand connections of one tenant expire at once, and another tenant goes on reading.

use super::*;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CONNECTIONS: usize = 1000;
/// Before the storm: as many reads as its 99th percentile needs.
const IDLE: usize = 1500;

/// Reads a fresh token again and again, at each server in turn, with a pause between: on a thread of its own, so that it is not
/// the callers of the others who are measured. Returns what each read took, in order.
fn reads(doors: &[Tenant], enough: impl Fn(usize) -> bool) -> Vec<Duration> {
    let clock = SystemClock::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // Of this runtime, with connections that are kept open, as a backend has them.
        let client = reqwest::Client::new();
        let mut took = Vec::new();
        while !enough(took.len()) {
            let door = &doors[took.len() % doors.len()];
            let body = json!({ "provider": "sandbox", "end_user": "bob" });
            let request =
                with_json(door.request(Method::POST, "/get-access-token"), &body).build().expect("a request");
            let began = clock.monotonic();
            let response = client.execute(request).await.expect("it answers");
            let (status, body) = (response.status().as_u16(), response.text().await.expect("a body"));
            took.push(clock.monotonic().saturating_sub(began));
            assert!(status == 200 && body.contains("\"generation\":1"), "{status} {body}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        took
    })
}

/// The one of a hundred that took longest, in milliseconds.
fn p99(mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[took.len() * 99 / 100].as_secs_f64() * 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_thousand_at_once_are_no_trouble_for_a_neighbour() {
    let at_once = std::env::var("X_AT_ONCE").unwrap_or("256".into());
    let callers: usize = std::env::var("X_CALLERS").unwrap_or("1000".into()).parse().unwrap();
    let fleet = Fleet::new(STRICT, 3, &[("upstream.at_once", &at_once)]).await;
    let stage = &fleet.stage;
    stream::iter(0..CONNECTIONS)
        .for_each_concurrent(8, |number| async move {
            stage.tenant.connect(&format!("user-{number}")).await;
        })
        .await;
    let neighbour = Tenant::new(&stage.app).await;
    neighbour.enable(&stage.sandbox).await.expect(201);
    neighbour.connect("bob").await;
    let homes: Vec<Tenant> =
        std::iter::once(&stage.app).chain(&fleet.others).map(|app| neighbour.at(app)).collect();
    let idle = {
        let homes = homes.clone();
        tokio::task::spawn_blocking(move || reads(&homes, |count| count >= IDLE)).await.expect("no panic")
    };
    let mut all = redis::pipe();
    for number in 0..CONNECTIONS {
        let key = format!("gk:{{{}}}:connection:sandbox:user-{number}:", stage.tenant.id());
        all.cmd("HSET").arg(key).arg("expires_at").arg("1000").ignore();
    }
    all.query::<()>(&mut fleet.redis.connection()).expect("Redis takes it");
    let before = stage.counts();
    let over = Arc::new(AtomicBool::new(false));
    let beside = {
        let over = Arc::clone(&over);
        tokio::task::spawn_blocking(move || reads(&homes, |_| over.load(Ordering::Relaxed)))
    };
    let began = SystemClock::new();
    let doors = fleet.doors();
    let answers: Vec<Answer> = stream::iter(0..CONNECTIONS)
        .map(|number| {
            let door = &doors[number % doors.len()];
            async move { door.token(&format!("user-{number}")).await }
        })
        .buffer_unordered(callers)
        .collect()
        .await;
    let lasted = began.monotonic();
    over.store(true, Ordering::Relaxed);
    let beside = beside.await.expect("no read failed");
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().find(|a| a.status != 200)
    );
    let counts = stage.counts();
    let twice = counts.families.values().filter(|family| family.most_requests_of_one_token > 1).count();
    let asked = counts.refresh_requests - before.refresh_requests;
    assert_eq!((asked, twice), (CONNECTIONS as u64, 0));
    let count = beside.len();
    let (idle, beside) = (p99(idle), p99(beside));
    figures::note(&format!(
        "R3: {asked} refreshes in {lasted:.1?}, none twice; p99 of {count} fresh reads of another tenant {beside:.1} ms, idle {idle:.1} ms: ratio {:.2}",
        beside / idle
    ));
}
