//! R5: the owner of an attempt killed at each named point; what the next caller gets, and what the provider counted. The table
//! is that of docs/refresh.md.

use super::*;
use crate::support::proxy::{Door, Side};
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::sync::Arc;

/// Where the owner dies.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// At a step of the store.
    Store(&'static str, Side),
    /// The provider has done it, and its answer is on the way.
    Sent,
}

const POINTS: &[(&str, Point)] = &[
    ("before the attempt is written", Point::Store("attempt_started", Side::Before)),
    ("after the attempt is written", Point::Store("attempt_started", Side::After)),
    ("after the request was sent", Point::Sent),
    ("after the answer, before it is stored", Point::Store("refreshed_at", Side::Before)),
    ("after it is stored", Point::Store("refreshed_at", Side::After)),
    ("before the reply", Point::Store("token.handed_out", Side::Before)),
];

const MODES: &[(&str, Mode)] = &[
    ("`none`", NONE),
    ("`grace`", GRACE),
    ("`strict`, `retry`", STRICT),
    ("`strict`, `reauthorize`", CAREFUL),
];

/// What the next caller gets, and how many refreshes the provider was asked for in all.
async fn outcome(point: Point, mode: Mode) -> String {
    let (files, key, redis) =
        (mode.folder(), new_master_key(Some("test")), Arc::new(RedisServer::start(&[])));
    let folder = files.path().display().to_string();
    let settings =
        [&[("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())], QUICK, SCALED].concat();
    let door = Door::to(redis.port());
    let owner = App::spawn(Stores::At(door.url()), &[&settings[..], &[("store.timeout", "20s")]].concat());
    let survivor = App::spawn(Stores::Redis(Arc::clone(&redis)), &settings);
    let stage = Stage::on(owner, mode, files).await;
    stage.connect("ada", LONG).await;
    expire_now(&redis, &stage, "ada");
    match point {
        Point::Store(word, side) => door.hold(word, side),
        Point::Sent => stage.strike(Fault::Delay(60_000)),
    }
    let tenant = stage.tenant.clone();
    let asked = tokio::spawn(async move {
        let body = json!({ "provider": "sandbox", "end_user": "ada" });
        with_json(tenant.request(Method::POST, "/get-access-token"), &body).send().await.is_err()
    });
    match point {
        Point::Store(..) => until("the step is held", async || door.holds()).await,
        Point::Sent => until("the provider has done it", async || stage.counts().refreshes == 1).await,
    }
    stage.app.process().signal("KILL");
    assert!(asked.await.expect("no panic"), "it died with the question unanswered");
    stage.sandbox.control().behave(Behaviour {
        rotation: mode.rotation,
        access_lifetime: LONG,
        ..Behaviour::default()
    });
    let tenant = stage.tenant.at(&survivor);
    let answer = tenant.token("ada").await;
    let said = match answer.status {
        200 => {
            assert!(stage.works(&answer.text("access_token")).await, "{answer:?}");
            "a token".to_owned()
        }
        409 => format!("`{}`", answer.body["reason"].as_str().expect("a reason")),
        _ => panic!("{answer:?}"),
    };
    format!("{said}, {}", stage.counts().refresh_requests)
}

#[tokio::test]
async fn r5_the_outcome_table_holds() {
    let modes: Vec<&str> = MODES.iter().map(|(mode, _)| *mode).collect();
    let mut rows = vec![
        format!("| the owner dies | {} |", modes.join(" | ")),
        format!("|---|{}", "---|".repeat(MODES.len())),
    ];
    for (name, point) in POINTS {
        let outcomes =
            futures_util::future::join_all(MODES.iter().map(|(_, mode)| outcome(*point, *mode))).await;
        rows.push(format!("| {name} | {} |", outcomes.join(" | ")));
    }
    let table = rows.join("\n");
    let page = include_str!("../../../../docs/refresh.md");
    assert!(page.contains(&table), "docs/refresh.md should have this table:\n{table}");
    figures::note(&format!(
        "R5: {} points x {} ways to rotate: as the table in docs/refresh.md",
        POINTS.len(),
        MODES.len()
    ));
}
