//! A forgotten password and a new one: nothing tells who has an account, and a link is good once.

use super::{address, post, signs_up};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::raw::{Raw, difference, raw};
use crate::support::redis::RedisServer;
use crate::support::tenant::{PASSWORD, Tenant};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const NEW: &str = "another quiet harbour at dawn";

async fn forgets(app: &App, email: &str) -> Raw {
    raw(post(app, "/forgot-password", &json!({ "email": email }))).await
}

async fn resets(app: &App, token: &str, password: &str) -> Raw {
    let request = post(app, "/reset-password", &json!({ "token": token, "password": password }));
    raw(request.header("accept", "application/json")).await
}

async fn logs_in(app: &App, email: &str, password: &str) -> u16 {
    raw(http().get(format!("{}/v1/api-keys", app.url)).basic_auth(email, Some(password))).await.status
}

/// The tokens of the links mailed to an address, oldest first, once there are so many.
async fn tokens(app: &App, to: &str, count: usize) -> Vec<String> {
    let start = format!("{}/reset-password?token=", app.url);
    for _ in 0..1000 {
        let mails = app.mails(to);
        let tokens: Vec<String> = mails
            .iter()
            .filter_map(|mail| mail.split_whitespace().find_map(|word| word.strip_prefix(start.as_str())))
            .map(str::to_owned)
            .collect();
        if tokens.len() >= count {
            return tokens;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{count} links for {to} did not come")
}

on_both_stores!(the_answer_is_the_same_for_every_address, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let (pending, nobody) = (address("pending"), address("nobody"));
    assert_eq!(signs_up(&app, &pending, PASSWORD).await.status, 202);
    app.mailed_link(&pending).await;
    let before = app.mails(&pending).len();
    let answers = [
        forgets(&app, &nobody).await,
        forgets(&app, &pending).await,
        forgets(&app, &tenant.email).await,
        forgets(&app, &tenant.email.to_uppercase()).await,
    ];
    assert_eq!((answers[0].status, answers[0].text().as_str()), (202, r#"{"status":"accepted"}"#));
    for answer in &answers {
        assert_eq!(difference((&answers[0], ""), (answer, "")), None);
    }
    // Asked for last, so whatever the others were to get is there by then.
    tokens(&app, &tenant.email, 2).await;
    assert_eq!((app.mails(&nobody).len(), app.mails(&pending).len()), (0, before));
});

on_both_stores!(a_person_sets_a_new_password, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    assert_eq!(logs_in(&app, &tenant.email, PASSWORD).await, 200);
    forgets(&app, &tenant.email).await;
    let token = tokens(&app, &tenant.email, 1).await.remove(0);
    let link = format!("{}/reset-password?token={token}", app.url);
    for _ in 0..3 {
        assert_eq!(Browser::new().get(&link).await.status, 200, "a scanner follows it");
    }
    assert_eq!(raw(http().head(&link)).await.status, 405);
    assert_eq!(logs_in(&app, &tenant.email, PASSWORD).await, 200);
    let mut browser = Browser::new();
    let page = browser.get(&link).await;
    assert!(page.body.contains("autocomplete=\"new-password\""), "{}", page.body);
    assert!(!page.body.contains(&tenant.email), "the address is not told whole: {}", page.body);
    let again = browser.send(&page, &page.form().fill("password", "too short")).await;
    assert_eq!(again.status, 400);
    assert!(again.body.contains("15 characters or more"), "{}", again.body);
    let done = browser.send(&again, &again.form().fill("password", NEW)).await;
    assert!(done.status == 200 && done.body.contains("Password changed"), "{}", done.body);
    // At once, though it was remembered a moment ago.
    assert_eq!(logs_in(&app, &tenant.email, PASSWORD).await, 401);
    assert_eq!(logs_in(&app, &tenant.email, NEW).await, 200);
    assert_eq!(tenant.get("/v1/api-keys").await.status, 200, "keys stay");
    let used = browser.get(&link).await;
    assert!(used.status == 404 && used.body.contains("not good"), "{}", used.body);
    let used = browser.send(&page, &page.form().fill("password", PASSWORD)).await;
    assert_eq!(used.status, 404);
    assert_eq!(logs_in(&app, &tenant.email, NEW).await, 200);
    let told = |mails: &[String]| {
        mails.iter().any(|mail| mail.contains("Subject: Your password for Grantkeep was changed"))
    };
    for _ in 0..1000 {
        if told(&app.mails(&tenant.email)) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mails = app.mails(&tenant.email);
    assert!(told(&mails), "the owner is told");
    let told = mails.iter().find(|mail| mail.contains("was changed")).expect("it is there");
    assert!(!told.contains("://"), "without a link: {told}");
});

on_both_stores!(every_refusal, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    for _ in 0..3 {
        forgets(&app, &tenant.email).await;
    }
    let tokens = tokens(&app, &tenant.email, 3).await;
    for bad in
        ["too short", "passwordpassword1", &tenant.email, "tulips\nin a green vase", &"tulip ".repeat(200)]
    {
        let refused = resets(&app, &tokens[0], bad).await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some("password")), "{bad}");
    }
    let (one, other) = tokio::join!(resets(&app, &tokens[0], NEW), resets(&app, &tokens[1], NEW));
    let (good, late) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!((good.status, good.text().as_str()), (200, r#"{"status":"changed"}"#));
    assert_eq!((late.status, late.code().as_str()), (404, "not_found"), "of two links the first counts");
    let unknown = resets(&app, "never-made", NEW).await;
    for token in &tokens {
        assert_eq!(difference((&unknown, ""), (&resets(&app, token, NEW).await, "")), None);
    }
    assert_eq!(logs_in(&app, &tenant.email, NEW).await, 200);
    for (path, field, body) in [
        ("/forgot-password", "email", json!({ "email": "no address" })),
        ("/forgot-password", "email", json!({})),
        ("/forgot-password", "password", json!({ "email": "ada@example.com", "password": "x" })),
        ("/reset-password", "token", json!({ "password": NEW })),
        ("/reset-password", "password", json!({ "token": "t" })),
        ("/reset-password", "email", json!({ "token": "t", "password": NEW, "email": "ada@example.com" })),
    ] {
        let refused = raw(post(&app, path, &body).header("accept", "application/json")).await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some(field)), "{path} {body}");
    }
    let page = Browser::new().get(&format!("{}/reset-password", app.url)).await;
    assert!(page.status == 400 && page.body.contains("<html"), "{}", page.body);
});

#[tokio::test]
async fn too_many_are_refused_by_network_and_answered_alike_by_address() {
    let limit = [("limits.sign_ups_per_hour", "6"), ("limits.mails_per_hour", "2")];
    let app = App::start_with(Stores::Embedded, &limit).await;
    let tenant = Tenant::new(&app).await;
    let first = forgets(&app, &tenant.email).await;
    // One of two mails went to the sign-up.
    let unsent = forgets(&app, &tenant.email).await;
    assert_eq!(difference((&first, ""), (&unsent, "")), None, "nobody is told that no mail goes out");
    for _ in 0..3 {
        assert_eq!(forgets(&app, &address("nobody")).await.status, 202);
    }
    let refused = forgets(&app, &address("nobody")).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(tokens(&app, &tenant.email, 1).await.len(), 1);
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_on_every_server() {
    let key = grantkeep::app::new_master_key(Some("test"));
    let settings = [("vault.master_keys", key.as_str())];
    let redis = Arc::new(RedisServer::start(&[]));
    let one = App::start_with(Stores::Redis(Arc::clone(&redis)), &settings).await;
    let other = App::start_with(Stores::Redis(redis), &settings).await;
    let tenant = Tenant::new(&one).await;
    for app in [&one, &other] {
        assert_eq!(logs_in(app, &tenant.email, PASSWORD).await, 200, "and remembered");
    }
    forgets(&one, &tenant.email).await;
    let token = tokens(&one, &tenant.email, 1).await.remove(0);
    assert_eq!(resets(&one, &token, NEW).await.status, 200);
    assert_eq!(logs_in(&other, &tenant.email, PASSWORD).await, 401);
    assert_eq!(logs_in(&other, &tenant.email, NEW).await, 200);
    assert_eq!(logs_in(&one, &tenant.email, PASSWORD).await, 401);
    assert_eq!(resets(&other, &token, PASSWORD).await.status, 404);
}

/// What Redis was asked to do for a forgotten password, once nothing goes on any more.
async fn asked(app: &App, redis: &RedisServer, email: &str) -> BTreeMap<String, u64> {
    redis.say::<()>(&["CONFIG", "RESETSTAT"]);
    assert_eq!(forgets(app, email).await.status, 202);
    for _ in 0..1000 {
        if redis.say::<Vec<String>>(&["KEYS", "gk:{mail-*"]).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    redis.calls()
}

#[tokio::test]
async fn an_address_without_an_account_costs_the_store_as_much() {
    let redis = Arc::new(RedisServer::start(&[]));
    // The look at the queue comes when everything is over.
    let quiet = [("mail.backoff_min", "10m")];
    let app = App::start_with(Stores::Redis(Arc::clone(&redis)), &quiet).await;
    let tenant = Tenant::new(&app).await;
    // Each thread's connection and each script is there afterwards.
    for _ in 0..20 {
        asked(&app, &redis, &address("warm")).await;
    }
    let known = asked(&app, &redis, &tenant.email).await;
    let stranger = address("nobody");
    // The tenant has asked for a mail within the hour, with its sign-up; so has the stranger.
    asked(&app, &redis, &stranger).await;
    let nobody = asked(&app, &redis, &stranger).await;
    let count = |calls: &BTreeMap<String, u64>, name: &str| calls.get(name).copied().unwrap_or(0);
    for name in ["hgetall", "zadd", "zrem", "del"] {
        assert!(count(&known, name) > 0, "{name}: {known:?}");
        assert_eq!(count(&known, name), count(&nobody, name), "{name}: {known:?} {nobody:?}");
    }
    // Behind the answer, and where there is a tenant, a record of the audit trail comes on top.
    let more = count(&known, "evalsha").checked_sub(count(&nobody, "evalsha"));
    assert!(more.is_some_and(|more| more <= 1), "{known:?} {nobody:?}");
    assert_eq!(tokens(&app, &tenant.email, 1).await.len(), 1);
}
