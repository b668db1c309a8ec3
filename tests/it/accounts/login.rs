//! A password proves who calls: in a header, or in two fields of the body.

use super::{post, signs_up};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::{Raw, difference, raw};
use crate::support::redis::RedisServer;
use crate::support::tenant::{PASSWORD, Tenant, with_json};
use grantkeep::app::new_master_key;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn basic(app: &App, email: &str, password: &str) -> Raw {
    raw(http().get(format!("{}/v1/api-keys", app.url)).basic_auth(email, Some(password))).await
}

on_both_stores!(whatever_was_wrong_the_answer_is_the_same, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let unverified = format!("unverified-{}", tenant.email);
    assert_eq!(signs_up(&app, &unverified, PASSWORD).await.status, 202);
    app.mailed_link(&unverified).await;
    assert_eq!(basic(&app, &tenant.email, PASSWORD).await.status, 200);
    let refused = basic(&app, &tenant.email, "not this harbour at dusk").await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "unauthenticated"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer") && !challenge.to_lowercase().contains("basic"), "{challenge}");
    let list = || http().get(format!("{}/v1/api-keys", app.url));
    let (rest, last) = tenant.key.split_at(tenant.key.len() - 1);
    let changed = format!("{rest}{}", if last == "x" { "y" } else { "x" });
    let others = [
        basic(&app, "nobody@example.com", PASSWORD).await,
        basic(&app, &unverified, PASSWORD).await,
        basic(&app, "no address", PASSWORD).await,
        basic(&app, &tenant.email, "").await,
        raw(list()).await,
        raw(list().bearer_auth("junk")).await,
        raw(list().bearer_auth(&changed)).await,
        raw(list().header("authorization", "Digest x")).await,
        raw(list().bearer_auth(&tenant.key).header("authorization", format!("Bearer {}", tenant.key))).await,
    ];
    for other in &others {
        assert_eq!(difference((&refused, ""), (other, "")), None);
    }
});

on_both_stores!(header_and_fields_prove_the_same_and_the_header_wins, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let email = tenant.email.as_str();
    let wish = json!({ "provider": "slack", "end_user": "nobody" });
    let with = |username: &str, password: &str| {
        let mut body = wish.clone();
        body["username"] = username.into();
        body["password"] = password.into();
        post(&app, "/get-access-token", &body)
    };
    let known = raw(post(&app, "/get-access-token", &wish).basic_auth(email, Some(PASSWORD))).await;
    assert_eq!(known.code(), "connection_not_found");
    let encode =
        |pairs: &[(&str, &str)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let form =
        encode(&[("username", email), ("password", PASSWORD), ("provider", "slack"), ("end_user", "nobody")]);
    let form = http().post(format!("{}/get-access-token", app.url)).body(form);
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    for good in [
        raw(with(email, PASSWORD)).await,
        raw(form).await,
        raw(with(email, "wrong").basic_auth(email, Some(PASSWORD))).await,
        raw(with("nobody@example.com", PASSWORD).bearer_auth(&tenant.key)).await,
    ] {
        assert_eq!(difference((&known, ""), (&good, "")), None);
    }
    let refused = raw(with(email, "wrong")).await;
    assert_eq!(refused.code(), "unauthenticated");
    assert!(!refused.header("www-authenticate").expect("a challenge").contains("Basic"));
    for bad in [
        raw(with(email, PASSWORD).basic_auth(email, Some("wrong"))).await,
        raw(with(email, PASSWORD).bearer_auth("junk")).await,
    ] {
        assert_eq!(difference((&refused, ""), (&bad, "")), None);
    }
    let mut half = wish.clone();
    half["username"] = email.into();
    let half = raw(post(&app, "/get-access-token", &half)).await;
    assert_eq!((half.status, half.json()["field"].as_str()), (400, Some("password")));
});

on_both_stores!(too_many_wrong_passwords_wait, |stores: Stores| async move {
    let app = App::start_with(stores, &[("limits.failed_logins_per_minute", "3")]).await;
    let tenant = Tenant::new(&app).await;
    for n in 0..3 {
        assert_eq!(basic(&app, &tenant.email, &format!("wrong {n}")).await.status, 401);
    }
    let refused = basic(&app, &tenant.email, "wrong again").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    let wait: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.json()["retry_after"].as_u64(), Some(wait));
    // An address that nobody owns fares no better from there, and keys are not held up.
    assert_eq!(basic(&app, "nobody@example.com", "wrong").await.status, 429);
    assert_eq!(tenant.get("/v1/api-keys").await.status, 200);
});

/// The limits are the fleet's: neither another server nor a new process has more of them.
#[tokio::test]
async fn wrong_passwords_and_mails_are_counted_by_all_servers_together() {
    let redis = Arc::new(RedisServer::start(&[]));
    let key = new_master_key(Some("test"));
    let settings = [
        ("vault.master_keys", key.as_str()),
        ("limits.failed_logins_per_minute", "4"),
        ("limits.mails_per_hour", "2"),
    ];
    let start = || App::start_with(Stores::Redis(Arc::clone(&redis)), &settings);
    let (one, other) = (start().await, start().await);
    let tenant = Tenant::new(&one).await;
    for (n, app) in [&one, &other, &one, &other].into_iter().enumerate() {
        assert_eq!(basic(app, &tenant.email, &format!("wrong {n}")).await.status, 401);
    }
    let new = start().await;
    for app in [&one, &other, &new] {
        let refused = basic(app, &tenant.email, "wrong again").await;
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    }
    // Neither the address nor what was tried stands in the store.
    let budgets: Vec<String> = redis.say(&["KEYS", "gk:budget:*"]);
    assert_eq!(budgets.len(), 4, "{budgets:?}: a login and a sign-up, each by address and network");
    assert!(budgets.iter().all(|name| !name.contains('@') && !name.contains("127.0.0.1")), "{budgets:?}");
    for name in &budgets {
        let left: i64 = redis.say(&["PTTL", name]);
        assert!((1..=3_600_000).contains(&left), "{name} goes by itself: {left}");
    }
    // The sign-up was its address's first mail.
    for app in [&other, &new, &one] {
        let body = json!({ "email": tenant.email });
        let forgot = raw(with_json(http().post(format!("{}/forgot-password", app.url)), &body)).await;
        assert_eq!(forgot.status, 202, "{forgot:?}");
    }
    let mut mails = 0;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        mails = [&one, &other, &new].iter().map(|app| app.mails(&tenant.email).len()).sum();
    }
    assert_eq!(mails, 2, "one link for the sign-up, one for the first that forgot");
}
