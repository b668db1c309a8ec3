//! Many at once, several instances, and processes that are killed.

use super::*;
use crate::journey::sandbox;
use crate::on_both_stores;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn sequences(items: &[Value], instance: &Value) -> Vec<u64> {
    let mut found: Vec<u64> = items
        .iter()
        .filter(|item| item["instance"] == *instance)
        .map(|item| item["sequence"].as_u64().expect("a number"))
        .collect();
    found.sort_unstable();
    found
}

/// Asks for a token, of a server that may end meanwhile.
async fn asked(tenant: &Tenant) -> reqwest::Result<reqwest::Response> {
    let request = tenant.request(reqwest::Method::POST, "/get-access-token");
    let body = serde_json::json!({ "provider": "sandbox", "end_user": "x" });
    crate::support::tenant::with_json(request, &body).send().await
}

on_both_stores!(a_hundred_hand_outs_at_once_leave_no_gap, |stores: Stores| async move {
    let app = App::start(stores).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("ada").await;
    let before = trail(&tenant).await.len();
    let answers = join_all((0..100).map(|_| tenant.token("ada"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let items = trail(&tenant).await;
    let handed = items.iter().filter(|item| item["action"] == "token.handed_out").count();
    assert_eq!(handed, 100);
    let instance = &items[0]["instance"];
    let last = u64::try_from(items.len()).expect("a number");
    assert_eq!(sequences(&items, instance), (1..=last).collect::<Vec<_>>());
    // The reads of this case are in it: one page before, and the first of these.
    assert!(items.len() - before >= 101);
});

/// While one append is under way the others wait together: many callers cost few batches.
#[tokio::test]
async fn what_comes_meanwhile_goes_together() {
    let redis = Arc::new(RedisServer::start(&[]));
    let app = App::start(Stores::Redis(Arc::clone(&redis))).await;
    let tenant = Tenant::new(&app).await;
    tenant.token("nobody").await.expect(404);
    redis.say::<()>(&["CONFIG", "RESETSTAT"]);
    let answers = join_all((0..200).map(|_| tenant.token("nobody"))).await;
    assert!(answers.iter().all(|answer| answer.status == 404));
    let calls = redis.calls();
    assert_eq!(calls["xadd"], 200);
    assert!(calls["evalsha"] < 150, "{calls:?}");
}

#[tokio::test]
async fn two_instances_write_a_trail_each_and_one_is_killed() {
    let (redis, key) = (RedisServer::shared(), new_master_key(Some("test")));
    let stores = Stores::Redis(Arc::clone(&redis));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let place = folder.path().display().to_string();
    let own = [("vault.master_keys", key.as_str()), ("server.data_folder", place.as_str())];
    let mut one = App::spawn(stores.clone(), &own);
    let other = App::spawn(stores.clone(), &own[..1]);
    let tenant = Tenant::new(&one).await;
    let (here, there) = (tenant.clone(), tenant.at(&other));
    let ask = async |both: [&Tenant; 2], count: usize| {
        join_all((0..count).map(|n| both[n % 2].token("nobody")))
            .await
            .iter()
            .map(|a| a.status)
            .collect::<Vec<_>>()
    };
    assert_eq!(ask([&here, &there], 40).await, [404; 40]);
    // Killed with requests under way: what was answered is there, and what is there has no gap.
    let (_, ()) = tokio::join!(
        join_all((0..60).map(|_| async {
            drop(asked(&here).await);
        })),
        async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            one.process().signal("KILL");
        }
    );
    one.ended().await;
    let again = App::spawn(stores, &own);
    let here = tenant.at(&again);
    assert_eq!(ask([&here, &there], 20).await, [404; 20]);
    let items = trail(&there).await;
    let instances: BTreeSet<String> = items.iter().map(|item| item["instance"].to_string()).collect();
    assert_eq!(instances.len(), 2, "the one that was killed came back as itself");
    for instance in instances {
        let found = sequences(&items, &serde_json::from_str(&instance).expect("JSON"));
        let last = u64::try_from(found.len()).expect("a number");
        assert_eq!(found, (1..=last).collect::<Vec<_>>(), "no gap and no fork");
    }
    let times: Vec<&str> = items.iter().map(|item| item["time"].as_str().expect("a time")).collect();
    assert!(times.len() > 60);
    let (found, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!((found.trails, faults), (2, vec![]));
}

/// The threads that serve end first, and they were writing: whoever was answered is in the trail, and no record is given up.
#[tokio::test]
async fn a_server_that_is_asked_to_end_gives_no_record_up() {
    let (redis, key) = (RedisServer::shared(), new_master_key(Some("test")));
    let stores = Stores::Redis(Arc::clone(&redis));
    let mut one = App::spawn(stores.clone(), &[("vault.master_keys", key.as_str())]);
    let tenant = Tenant::new(&one).await;
    let answered = AtomicUsize::new(0);
    let asking = join_all((0..40).map(|_| async {
        loop {
            match asked(&tenant).await {
                Ok(answer) if answer.status() == 404 => answered.fetch_add(1, Ordering::SeqCst),
                _ => return,
            };
        }
    }));
    tokio::join!(asking, async {
        while answered.load(Ordering::SeqCst) < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        one.process().signal("TERM");
    });
    assert_eq!(one.ended().await, 0, "{}", one.log());
    assert!(!one.log().contains("given up"), "{}", one.log());
    let other = App::spawn(stores, &[("vault.master_keys", key.as_str())]);
    let (found, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!((found.trails, faults), (1, vec![]));
    let told = of_action(&tenant.at(&other), "token.handed_out").await.len();
    assert!(told >= answered.load(Ordering::SeqCst), "{told} of {answered:?}");
}

/// Two servers with a copy of one folder write one trail together: each goes on where the other was.
#[tokio::test]
async fn a_copied_folder_makes_no_fork() {
    let (redis, key) = (RedisServer::shared(), new_master_key(Some("test")));
    let folders = [(), ()].map(|()| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"));
    let mut apps = Vec::new();
    for folder in &folders {
        std::fs::write(folder.path().join("instance"), "0123456789abcdef\n").expect("a file");
        let place = folder.path().display().to_string();
        let further = [("vault.master_keys", key.as_str()), ("server.data_folder", place.as_str())];
        apps.push(App::start_with(Stores::Redis(Arc::clone(&redis)), &further).await);
    }
    let tenant = Tenant::new(&apps[0]).await;
    let other = tenant.at(&apps[1]);
    let both = [&tenant, &other];
    let answers = join_all((0..40).map(|n| both[n % 2].token("nobody"))).await;
    assert!(answers.iter().all(|answer| answer.status == 404));
    let (found, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!((found.records, faults), (42, vec![]));
}

#[tokio::test]
async fn a_lost_data_folder_is_a_new_instance_and_the_old_trail_still_holds() {
    let (redis, key) = (RedisServer::shared(), new_master_key(Some("test")));
    let keys = [("vault.master_keys", key.as_str())];
    let first = App::start_with(Stores::Redis(Arc::clone(&redis)), &keys).await;
    let tenant = Tenant::new(&first).await;
    assert!(first.stop().await);
    let second = App::start_with(Stores::Redis(Arc::clone(&redis)), &keys).await;
    let tenant = tenant.at(&second);
    tenant.token("nobody").await.expect(404);
    let items = trail(&tenant).await;
    assert_eq!(items.iter().map(|item| &item["sequence"]).collect::<Vec<_>>(), [1, 2, 1]);
    assert_ne!(items[0]["instance"], items[1]["instance"]);
    let (found, faults) = verified(&settings(&redis.url(), &key, &[]), tenant.id(), "").await;
    assert_eq!((found.trails, faults), (2, vec![]));
}
