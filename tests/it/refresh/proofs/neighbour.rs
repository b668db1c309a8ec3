//! R3: a thousand connections of one tenant expire at once, and another tenant goes on reading.

use super::*;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CONNECTIONS: usize = 1000;
/// Before the storm: as many reads as its 99th percentile needs.
const IDLE: usize = 1500;

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
/// the callers of the others who are measured. Returns what each read took, in order.
fn reads(doors: &[Tenant], enough: impl Fn(usize) -> bool) -> Vec<Duration> {
    let clock = SystemClock::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::new();
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

fn cpu(pid: &str) -> u64 {
    let s = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let f: Vec<&str> = s.rsplit(") ").next().unwrap().split(' ').collect();
    f[11].parse::<u64>().unwrap() + f[12].parse::<u64>().unwrap()
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
    stage.rule(Rule::new(Endpoint::Token, Fault::Delay(200)));
    let before = stage.counts();
    let over = Arc::new(AtomicBool::new(false));
    let beside = {
        let over = Arc::clone(&over);
        tokio::task::spawn_blocking(move || reads(&homes, |_| over.load(Ordering::Relaxed)))
    };
    let client = reqwest::Client::new();
    let pids: Vec<String> = std::iter::once(&stage.app)
        .chain(&fleet.others)
        .map(|a| a.process().pid())
        .chain(["self".to_owned()])
        .collect();
    let cpu0: Vec<u64> = pids.iter().map(|p| cpu(p)).collect();
    let began = SystemClock::new();
    let doors = fleet.doors();
    let answers: Vec<(u16, String)> = stream::iter(0..CONNECTIONS)
        .map(|number| {
            let door = &doors[number % doors.len()];
            let client = &client;
            async move { light(client, door, &format!("user-{number}")).await }
        })
        .buffer_unordered(callers)
        .collect()
        .await;
    let lasted = began.monotonic();
    figures::note(&format!("cpu {:?}", pids.iter().zip(cpu0).map(|(p, c)| cpu(p) - c).collect::<Vec<_>>()));
    over.store(true, Ordering::Relaxed);
    let beside = beside.await.expect("no read failed");
    assert_eq!(answers.iter().find(|answer| answer.0 != 200), None);
    let counts = stage.counts();
    let twice = counts.families.values().filter(|family| family.most_requests_of_one_token > 1).count();
    let asked = counts.refresh_requests - before.refresh_requests;
    assert_eq!((asked, twice), (CONNECTIONS as u64, 0));
    let count = beside.len();
    figures::note(&format!(
        "p50 {:?} {:?}",
        {
            let mut i = idle.clone();
            i.sort();
            i[i.len() / 2]
        },
        {
            let mut i = beside.clone();
            i.sort();
            i[i.len() / 2]
        }
    ));
    let (idle, beside) = (p99(idle), p99(beside));
    figures::note(&format!(
        "R3: {asked} refreshes in {lasted:.1?}, none twice; p99 of {count} fresh reads of another tenant {beside:.1} ms, idle {idle:.1} ms: ratio {:.2}",
        beside / idle
    ));
}
