//! The state of a return: used again, unknown, missing, too old; and links that are opened more than once.

use super::{World, authorized, decide, decide_on, depart, problem, refused, sent_back, with};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::clock::Ahead;
use crate::support::tenant::arrive;
use reqwest::Method;
use std::sync::Arc;
use std::time::Duration;

on_both_stores!(a_state_is_good_once, |stores: Stores| async move {
    let world = World::new(stores).await;
    let mut browser = Browser::new();
    let back = depart(&mut browser, &world.tenant.begin("u").await).await;
    let completion = authorized(&browser.get(back.as_str()).await);
    refused(&browser.get(back.as_str()).await, 403, "session_refused");
    assert_eq!(world.exchange_requests(), 0, "a return exchanges nothing");
    world.tenant.complete(&completion, "u").await.expect(201);
    refused(&browser.get(back.as_str()).await, 403, "session_refused");
    assert_eq!(world.exchange_requests(), 1);
});

on_both_stores!(a_return_without_a_good_state_is_refused, |stores: Stores| async move {
    let world = World::new(stores).await;
    let mut browser = Browser::new();
    let back = depart(&mut browser, &world.tenant.begin("u").await).await;
    let unknown = "A".repeat(43);
    let long = "A".repeat(6000);
    for state in [Some(unknown.as_str()), Some(""), Some("\0"), Some("é{}:*"), Some(&long), None] {
        let page = browser.get(with(&back, &[("state", state)]).as_str()).await;
        refused(&page, 403, "session_refused");
    }
    // Two states, two codes, or a code beside an error: whoever reads such a query could read either.
    let twice = format!("{back}&state={unknown}");
    refused(&browser.get(&twice).await, 403, "session_refused");
    refused(&browser.get(&format!("{back}&code=another")).await, 403, "session_refused");
    refused(&browser.get(&format!("{back}&error=access_denied")).await, 403, "session_refused");
    refused(&browser.get(with(&back, &[("code", None)]).as_str()).await, 403, "session_refused");
    world.expect_untouched().await;
    authorized(&browser.get(back.as_str()).await);
});

/// On the embedded store, whose time is the clock of the case; Redis keeps its own.
#[tokio::test]
async fn nothing_is_good_after_ten_minutes() {
    const ALMOST: Duration = Duration::from_secs(10 * 60 - 5);
    let clock = Arc::new(Ahead::default());
    let world = World::on(App::start_by(Stores::Embedded, &[], clock.clone()).await).await;
    let (mut early, mut late) = (Browser::new(), Browser::new());
    let early_back = depart(&mut early, &world.tenant.begin("early").await).await;
    let late_back = depart(&mut late, &world.tenant.begin("late").await).await;
    let unopened = world.tenant.begin("never").await;
    let waiting = world.completion("waiting").await;
    let waiting_longer = world.completion("waiting").await;
    clock.pass(ALMOST);
    let completion = authorized(&early.get(early_back.as_str()).await);
    world.tenant.complete(&completion, "early").await.expect(201);
    world.tenant.complete(&waiting, "waiting").await.expect(201);
    clock.pass(Duration::from_secs(6));
    refused(&late.get(late_back.as_str()).await, 403, "session_refused");
    refused(&Browser::new().get(&unopened).await, 410, "session_expired");
    problem(world.tenant.complete(&waiting_longer, "waiting").await, 410, "session_expired");
    // And when their records are gone too.
    clock.pass(Duration::from_hours(2));
    refused(&late.get(late_back.as_str()).await, 403, "session_refused");
    refused(&Browser::new().get(&unopened).await, 403, "session_refused");
    problem(world.tenant.complete(&waiting_longer, "waiting").await, 404, "not_found");
    assert_eq!(world.exchange_requests(), 2);
}

/// Where the provider's file says how short a code lives, the session ends with it: better than a refused exchange.
#[tokio::test]
async fn a_session_ends_with_its_code() {
    const LIFE: &str = "[authorize]\ncode_lifetime = \"30s\"\n";
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = include_str!("../../../providers/sandbox.toml").replace("[authorize]\n", LIFE);
    std::fs::write(folder.path().join("sandbox.toml"), file).expect("written");
    let dirs = folder.path().display().to_string();
    let clock = Arc::new(Ahead::default());
    let app = App::start_by(Stores::Embedded, &[("providers.dirs", &dirs)], clock.clone()).await;
    let world = World::on(app).await;
    let (early, late) = (world.completion("early").await, world.completion("late").await);
    clock.pass(Duration::from_secs(25));
    world.tenant.complete(&early, "early").await.expect(201);
    clock.pass(Duration::from_secs(6));
    problem(world.tenant.complete(&late, "late").await, 410, "session_expired");
    assert_eq!(world.exchange_requests(), 1);
}

on_both_stores!(a_link_preview_spoils_nothing, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let mut scanner = Browser::new();
    for _ in 0..3 {
        assert_eq!(scanner.get(&link).await.status.as_u16(), 303);
    }
    // A scanner that follows as far as it can, but cannot agree.
    arrive(&mut Browser::new(), &link).await;
    let head = http().request(Method::HEAD, &link).send().await.expect("it answers");
    assert_eq!(head.status().as_u16(), 405, "HEAD opens nothing");
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    let completion = authorized(&browser.get(back.as_str()).await);
    world.tenant.complete(&completion, "u").await.expect(201);
    refused(&scanner.get(&link).await, 410, "session_expired");
});

on_both_stores!(each_state_returns_with_its_own_cookie_only, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let mut browser = Browser::new();
    let first = arrive(&mut browser, &link).await;
    let reloaded = arrive(&mut browser, &link).await;
    let first = decide_on(&mut browser, &first, "allow").await;
    let reloaded = decide_on(&mut browser, &reloaded, "allow").await;
    let state =
        |url: &url::Url| url.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    assert_ne!(state(&first), state(&reloaded), "each opening has a state of its own");
    // The last opening's cookie is the one that the browser has.
    refused(&browser.get(first.as_str()).await, 403, "session_refused");
    let completion = authorized(&browser.get(reloaded.as_str()).await);
    world.tenant.complete(&completion, "u").await.expect(201);
});

on_both_stores!(of_two_openings_the_first_valid_return_wins, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let (mut phone, mut laptop) = (Browser::new(), Browser::new());
    let phone_back = depart(&mut phone, &link).await;
    let laptop_back = depart(&mut laptop, &link).await;
    let completion = authorized(&laptop.get(laptop_back.as_str()).await);
    refused(&phone.get(phone_back.as_str()).await, 410, "session_expired");
    refused(&phone.get(&link).await, 410, "session_expired");
    world.tenant.complete(&completion, "u").await.expect(201);
    assert_eq!(world.sandbox.control().counts().exchanges, 1);
});

on_both_stores!(the_end_user_says_no, |stores: Stores| async move {
    let world = World::new(stores).await;
    let mut browser = Browser::new();
    let link = world.tenant.begin("u").await;
    let back = decide(&mut browser, &link, "deny").await;
    sent_back(&browser.get(back.as_str()).await, "denied", None);
    refused(&browser.get(&link).await, 410, "session_expired");
    world.expect_untouched().await;
});

on_both_stores!(the_provider_says_no, |stores: Stores| async move {
    let world = World::new(stores).await;
    let mut browser = Browser::new();
    let link = world.tenant.begin("u").await;
    let back = depart(&mut browser, &link).await;
    let error = "<script>alert(1)</script>";
    let page = browser.get(with(&back, &[("code", None), ("error", Some(error))]).as_str()).await;
    sent_back(&page, "failed", Some("provider_refused"));
    assert!(!page.location().expect("a way back").as_str().contains("script"), "only words of ours go back");
    refused(&browser.get(&link).await, 410, "session_expired");
    world.expect_untouched().await;
});
