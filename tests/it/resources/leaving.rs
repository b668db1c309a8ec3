//! A tenant is deleted: its grants end at their providers, then all of it is gone; and nothing stops that half-way.

use super::{LONG, World, delete_with, problem, shown};
use crate::accounts::with_key;
use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::redis::RedisServer;
use crate::support::tenant::{PASSWORD, Tenant, agree, answer, sign_up, with_json};
use grantkeep::app::new_master_key;
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn delete(tenant: &Tenant) -> crate::support::tenant::Answer {
    delete_with(tenant, "/v1/tenant", &json!({ "confirm": tenant.id() })).await
}

/// Looks until it is so, half a minute at most.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    for _ in 0..3000 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be that {what}")
}

async fn login(app: &App, email: &str) -> u16 {
    answer(http().get(format!("{}/v1/connections", app.url)).basic_auth(email, Some(PASSWORD))).await.status
}

on_both_stores!(a_stray_request_deletes_nothing, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let confirm = |with: Value| async move { problem(&delete_with(tenant, "/v1/tenant", &with).await) };
    assert_snapshot!(problem(&tenant.delete("/v1/tenant").await), @"400 invalid_request: The body is empty. Send the fields as `application/json` or `application/x-www-form-urlencoded`.");
    assert_snapshot!(confirm(json!({})).await, @"400 invalid_request `confirm`: `confirm` is missing");
    assert_snapshot!(confirm(json!({ "confirm": "Acme CRM" })).await, @"400 invalid_request `confirm`: `confirm` must be the id of the tenant: GET /v1/tenant tells it");
    assert_snapshot!(confirm(json!({ "confirm": true })).await, @"400 invalid_request `confirm`: `confirm` must be a string, not a boolean");
    assert_snapshot!(confirm(json!({ "confirm": Tenant::new(&world.app).await.id() })).await, @"400 invalid_request `confirm`: `confirm` must be the id of the tenant: GET /v1/tenant tells it");
    let narrow = with_key(tenant, json!({ "scopes": ["keys:write"] })).await;
    assert_snapshot!(problem(&delete(&narrow).await), @"403 insufficient_scope: The key lacks the scope `tenant:write`; make one that has it.");
    tenant.connect("u").await;
});

on_both_stores!(all_of_it_goes, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (tenant, other) = (&world.tenant, Tenant::new(&world.app).await);
    other.enable(&world.sandbox).await.expect(201);
    other.connect("u").await;
    for user in ["u", "v", "w"] {
        tenant.connect(user).await;
    }
    tenant
        .post("/v1/connections", &json!({ "provider": "sandbox", "end_user": "x", "access_token": "t" }))
        .await
        .expect(201);
    world.sandbox.control().fault(Rule::new(Endpoint::Revoke, Fault::ServerError).times(1));
    let second = with_key(tenant, json!({})).await;
    let link = tenant.begin("y").await;
    let completion =
        agree(&mut Browser::new(), &tenant.begin("z").await).await.parameter("completion").expect("one");
    assert_eq!(login(&world.app, &tenant.email).await, 200);
    let gone = delete(tenant).await;
    assert_snapshot!(shown(&gone), @r#"200 {"revocations":{"failed":1,"revoked":3},"status":"deleted"}"#);
    // Nobody comes in any more, by any way.
    for key in [tenant, &second] {
        assert_eq!(key.get("/v1/tenant").await.expect(401).code(), "unauthenticated");
        assert_eq!(delete(key).await.expect(401).code(), "unauthenticated");
        assert_eq!(key.token("u").await.expect(401).code(), "unauthenticated");
        assert_eq!(key.complete(&completion, "z").await.expect(401).code(), "unauthenticated");
    }
    assert_eq!(login(&world.app, &tenant.email).await, 401);
    assert!([403, 409, 410].contains(&Browser::new().get(&link).await.status.as_u16()));
    let alive = world.sandbox.control().counts().families.values().filter(|family| family.alive).count();
    // The other tenant's, and the one that the provider did not want to end.
    assert_eq!(alive, 2);
    // The other tenant noticed nothing, and the address is free for a new one.
    assert_eq!(other.token("u").await.expect(200).body["generation"], 1);
    // The mail of the first sign-up is out of the way.
    for mail in std::fs::read_dir(&world.app.outbox).expect("a folder") {
        std::fs::remove_file(mail.expect("a file").path()).expect("it goes");
    }
    sign_up(&world.app, &tenant.email).await;
    let made =
        http().post(format!("{}/v1/api-keys", world.app.url)).basic_auth(&tenant.email, Some(PASSWORD));
    let made = answer(with_json(made, &json!({ "name": "anew" }))).await.expect(201);
    let anew = Tenant { key: made.text("key"), ..tenant.clone() };
    assert_ne!(anew.id(), tenant.id());
    for list in ["/v1/connections", "/v1/integrations"] {
        assert_eq!(anew.get(list).await.expect(200).body["items"], json!([]), "{list}");
    }
    assert!(world.app.stop().await, "nothing was left undone");
});

/// Names of everything a Redis holds that belongs to a tenant or names it.
fn left(redis: &RedisServer, tenant: &str) -> Vec<String> {
    let keys: Vec<String> = redis.say(&["KEYS", "*"]);
    let names = |key: &String| match redis.say::<String>(&["TYPE", key]).as_str() {
        "hash" => redis.say::<Vec<String>>(&["HVALS", key]).iter().any(|value| value == tenant),
        "zset" => redis.say::<Vec<String>>(&["ZRANGE", key, "0", "-1"]).iter().any(|member| member == tenant),
        _ => false,
    };
    keys.into_iter().filter(|key| key.contains(tenant) || names(key)).collect()
}

#[tokio::test]
async fn no_record_is_left() {
    let redis = Arc::new(RedisServer::start(&[]));
    let world = World::new(Stores::Redis(Arc::clone(&redis))).await;
    let tenant = &world.tenant;
    for user in ["u", "v"] {
        tenant.connect(user).await;
    }
    // More than are removed at once.
    for n in 0..120 {
        tenant.post("/v1/api-keys", &json!({ "name": format!("key {n}") })).await.expect(201);
    }
    assert!(left(&redis, tenant.id()).len() > 120);
    delete(tenant).await.expect(200);
    // Sessions, which end by themselves within the hour after theirs, and are of no use to anybody.
    let rest = left(&redis, tenant.id());
    assert!(
        !rest.is_empty() && rest.iter().all(|key| key.contains("session") || key.contains("completion")),
        "{rest:?}"
    );
    for key in &rest {
        let lives: i64 = redis.say(&["TTL", key]);
        assert!((1..=70 * 60).contains(&lives), "{key} lives {lives} s");
    }
}

on_both_stores!(what_takes_long_goes_on_behind_the_answer, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    tenant.connect("u").await;
    world.sandbox.control().fault(Rule::new(Endpoint::Revoke, Fault::Delay(4000)));
    let answered = delete(tenant).await;
    assert_snapshot!(shown(&answered), @r#"202 {"status":"deleting"}"#);
    // While it goes on nobody comes in, and the address is not free yet.
    assert_eq!(tenant.get("/v1/tenant").await.expect(401).code(), "unauthenticated");
    assert_eq!(login(&world.app, &tenant.email).await, 401);
    assert!(world.app.stop().await, "a stop waits for it");
    assert!(!world.sandbox.control().counts().families[&1].alive);
});

// What a provider sends for a tenant that went meanwhile is ended there too: a code that is being exchanged, a refresh.
on_both_stores!(what_comes_late_is_ended, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let completion =
        agree(&mut Browser::new(), &tenant.begin("u").await).await.parameter("completion").expect("one");
    tenant.connect("v").await;
    let counts = || world.sandbox.control().counts();
    world.sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Delay(700)));
    let (completed, refreshed, gone) =
        tokio::join!(tenant.complete(&completion, "u"), world.forced("v"), async {
            until("both are at the provider", async || (counts().exchanges, counts().refreshes) == (2, 1))
                .await;
            delete(tenant).await
        });
    assert_eq!(gone.expect(200).body["revocations"], json!({ "revoked": 1 }));
    assert_eq!(completed.expect(401).code(), "unauthenticated");
    assert!(matches!(refreshed.status, 401 | 404), "{refreshed:?}");
    assert!(counts().families.values().all(|family| !family.alive), "{:?}", counts().families);
});

/// Killed in the middle, it goes on at the next start, and what was counted before is not forgotten.
async fn killed(stores: Stores, folder: Option<&str>) {
    let store = folder.map(|folder| format!("embedded:{folder}"));
    let master = new_master_key(Some("test"));
    let mut settings = vec![
        ("vault.master_keys", master.as_str()),
        ("upstream.timeout", "2s"),
        ("upstream.connect_timeout", "1s"),
        ("refresh.slack", "1s"),
        ("tenants.deletion_pause", "500ms"),
    ];
    settings.extend(store.iter().map(|url| ("store.url", url.as_str())));
    let mut app = App::spawn(stores.clone(), &settings);
    let (sandbox, tenant) = (sandbox(LONG).await, Tenant::new(&app).await);
    tenant.enable(&sandbox).await.expect(201);
    futures_util::future::join_all((0..12).map(|n| {
        let tenant = tenant.clone();
        async move { tenant.connect(&format!("user {n}")).await }
    }))
    .await;
    // The first page takes its time, and the second is never answered.
    sandbox.control().fault(Rule::new(Endpoint::Revoke, Fault::Delay(1500)));
    let asked = tokio::spawn({
        let tenant = tenant.clone();
        let body = json!({ "confirm": tenant.id() });
        async move { with_json(tenant.request(Method::DELETE, "/v1/tenant"), &body).send().await.is_err() }
    });
    until("some are ended and some are not", async || sandbox.control().counts().revoke_requests > 8).await;
    app.process().signal("KILL");
    app.ended().await;
    assert!(asked.await.expect("it ended"), "the answer never came");
    sandbox.control().reset();
    let heir = App::spawn(stores, &settings);
    let metric = || async {
        let page = http().get(format!("{}/metrics", heir.admin)).send().await.expect("it answers");
        page.text().await.expect("a text").contains("grantkeep_tenants_deleted_total 1")
    };
    until("the tenant is gone", metric).await;
    assert_eq!(tenant.at(&heir).get("/v1/tenant").await.expect(401).code(), "unauthenticated");
    assert!(sandbox.control().counts().families.values().all(|family| !family.alive));
    let line =
        heir.log().lines().find(|line| line.contains("a tenant was deleted")).expect("it is told").to_owned();
    assert!(line.contains("revoked"), "{line}");
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_redis() {
    killed(Stores::redis(), None).await;
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_embedded() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let data = folder.path().join("kept").display().to_string();
    killed(Stores::Embedded, Some(&data)).await;
}
