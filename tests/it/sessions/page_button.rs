//! The page of `finish = "page"` and its button: what it says, and who can press it.

use super::page_finish::{connected, decide, press};
use super::{World, decide_on, refused};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, Page, http};
use crate::support::clock::Ahead;
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

#[track_caller]
fn header<'a>(page: &'a Page, name: &str) -> &'a str {
    page.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

on_both_stores!(opening_the_link_changes_nothing, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let link = world.link("u", "Ada").await;
    let mut previewer = Browser::new();
    for _ in 0..3 {
        assert_eq!(previewer.get(&link).await.status.as_u16(), 200);
    }
    let start = http().get(format!("{}/authorize-sandbox/start", world.app.url)).send().await;
    assert_eq!(start.expect("it answers").status().as_u16(), 405, "a GET presses no button");
    world.expect_untouched().await;
    let mut browser = Browser::new();
    let back = decide(&mut browser, &link, "allow").await;
    connected(&browser.get(back.as_str()).await);
});

on_both_stores!(the_page_is_held_by_its_headers, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let page = Browser::new().get(&world.link("u", "Ada").await).await;
    let policy = header(&page, "content-security-policy");
    for part in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' https:"]
    {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&page, "x-frame-options"), "DENY");
    assert_eq!(header(&page, "cache-control"), "no-store");
    assert_eq!(header(&page, "referrer-policy"), "strict-origin");
    let cookie = header(&page, "set-cookie");
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Strict"], "{cookie}");
    assert!(cookie.starts_with("gk-page-"), "{cookie}");
});

on_both_stores!(names_are_text, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let evil = "\"><form action=https://evil.example><b>Ada\u{202e}";
    let fields = json!({ "end_user": "u", "end_user_label": evil, "account": "<i>'\"&", "scopes": ["<u>"] });
    let link = world.tenant.post("/authorize-sandbox", &fields).await.expect(201).text("authorize_url");
    let page = Browser::new().get(&link).await;
    for tag in ["<form action=https", "<b>", "<i>", "<u>"] {
        assert!(!page.body.contains(tag), "{tag}: {}", page.body);
    }
    assert_eq!(page.form().action.path(), "/authorize-sandbox/start");
});

/// Sends the button's fields as something else than a browser on our page would.
async fn forge(world: &World, fields: &[(String, String)], headers: &[(&str, &str)]) -> u16 {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = http()
        .post(format!("{}/authorize-sandbox/start", world.app.url))
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body).send().await.expect("it answers");
    let (status, cookie) = (answer.status().as_u16(), answer.headers().contains_key("set-cookie"));
    assert_eq!(cookie, status == 303, "only who is sent on gets a cookie");
    status
}

fn cookies(browser: &Browser, world: &World) -> String {
    let all = browser.cookies_for(&Url::parse(&world.app.url).expect("a URL"));
    all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

// OWASP Cross-Site Request Forgery Prevention: an attacker who made the session knows the ticket and has a page of his own.
on_both_stores!(the_button_works_in_the_browser_that_has_the_page, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let (mut thief, mut victim) = (Browser::new(), Browser::new());
    let page = thief.get(&world.link("thief", "Ada").await).await;
    let stolen = page.form();
    // The victim's browser has no page at all; then one of another session; then one of this session, opened later.
    refused(&victim.send(&page, &stolen).await, 403, "session_refused");
    let other = victim.get(&world.link("victim", "Bob").await).await;
    refused(&victim.send(&page, &stolen).await, 403, "session_refused");
    let ticket = &stolen.fields.iter().find(|(name, _)| name == "session").expect("a ticket").1;
    refused(&victim.send(&page, &other.form().fill("session", ticket)).await, 403, "session_refused");
    victim.get(page.url.as_str()).await;
    refused(&victim.send(&page, &stolen).await, 403, "session_refused");

    let good = cookies(&thief, &world);
    let (name, value) = good.split_once('=').expect("a cookie");
    let ours = world.app.url.as_str();
    for (what, headers) in [
        ("no cookie", vec![]),
        ("an empty one", vec![("cookie", format!("{name}="))]),
        ("another", vec![("cookie", format!("{name}={}", "A".repeat(43)))]),
        ("another's name", vec![("cookie", format!("gk-page-00000000={value}"))]),
        ("another site", vec![("cookie", good.clone()), ("origin", "https://evil.example".to_owned())]),
        ("nowhere", vec![("cookie", good.clone()), ("origin", "null".to_owned())]),
        ("cross-site", vec![("cookie", good.clone()), ("sec-fetch-site", "cross-site".to_owned())]),
        ("a neighbour", vec![("cookie", good.clone()), ("sec-fetch-site", "same-site".to_owned())]),
        ("the address bar", vec![("cookie", good.clone()), ("sec-fetch-site", "none".to_owned())]),
    ] {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(forge(&world, &stolen.fields, &headers).await, 403, "{what}");
    }
    let good_headers =
        [(COOKIE.as_str(), good.as_str()), (ORIGIN.as_str(), ours), ("sec-fetch-site", "same-origin")];
    for proof in ["", "A", &"A".repeat(43)] {
        let fields = stolen.clone().fill("proof", proof).fields;
        assert_eq!(forge(&world, &fields, &good_headers).await, 403, "{proof}");
    }
    let lacking: Vec<_> = stolen.fields.iter().filter(|(name, _)| name != "proof").cloned().collect();
    assert_eq!(forge(&world, &lacking, &good_headers).await, 400);
    let unknown = stolen.clone().fill("session", &"A".repeat(43)).fields;
    assert_eq!(forge(&world, &unknown, &good_headers).await, 403);
    world.expect_untouched().await;
    assert_eq!(forge(&world, &stolen.fields, &good_headers).await, 303, "and so it is good");
});

// The backend's finish has no page; its link is opened by a GET, which Lax cookies and the finish itself protect.
on_both_stores!(a_session_of_the_backend_has_no_button, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let ticket = link.split_once("session=").expect("a ticket").1.to_owned();
    let fields = [("session".to_owned(), ticket), ("proof".to_owned(), "A".repeat(43))];
    assert_eq!(forge(&world, &fields, &[]).await, 403);
    assert_eq!(Browser::new().get(&link).await.status.as_u16(), 303);
});

// What this finish does not prevent (SECURITY.md): whoever presses the button is connected to the end user that the page names.
on_both_stores!(whoever_opens_the_link_is_told_for_whom_it_is, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let link = world.link("mallory", "Mallory Archer").await;
    let mut bob = Browser::new();
    let page = bob.get(&link).await;
    assert!(page.body.contains("Are you <bdi>Mallory Archer</bdi>?"), "{}", page.body);
    let provider = press(&mut bob, &page).await;
    let back = decide_on(&mut bob, &provider, "allow").await;
    let id = connected(&bob.get(back.as_str()).await);
    let connection = world.tenant.get(&format!("/v1/connections/{id}")).await.expect(200).body;
    assert_eq!(connection["end_user"], "mallory");
});

on_both_stores!(the_button_is_pressed_at_its_own_provider, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let mut browser = Browser::new();
    let page = browser.get(&world.link("u", "Ada").await).await;
    for elsewhere in ["slack", "absent"] {
        let mut form = page.form();
        form.action.set_path(&format!("/authorize-{elsewhere}/start"));
        let answer = browser.send(&page, &form).await;
        refused(&answer, 403, "session_refused");
        assert!(!answer.body.contains("Acme"), "{}", answer.body);
    }
    press(&mut browser, &page).await;
});

/// On the embedded store, whose time is the clock of the case; Redis keeps its own.
#[tokio::test]
async fn a_page_is_good_for_ten_minutes() {
    let clock = Arc::new(Ahead::default());
    let world = World::on_page(App::start_by(Stores::Embedded, &[], clock.clone()).await).await;
    let (mut early, mut late) = (Browser::new(), Browser::new());
    let early_page = early.get(&world.link("early", "Ada").await).await;
    let late_page = late.get(&world.link("late", "Bob").await).await;
    clock.pass(Duration::from_secs(10 * 60 - 5));
    let provider = press(&mut early, &early_page).await;
    let back = decide_on(&mut early, &provider, "allow").await;
    connected(&early.get(back.as_str()).await);
    clock.pass(Duration::from_secs(6));
    refused(&late.send(&late_page, &late_page.form()).await, 410, "session_expired");
    refused(&late.get(late_page.url.as_str()).await, 410, "session_expired");
    assert_eq!(world.exchange_requests(), 1);
}

/// What an answer that was read as JSON says is the same as on the page.
#[tokio::test]
async fn a_program_hears_a_problem() {
    let world = World::with_page(Stores::Embedded).await;
    let request = http()
        .post(format!("{}/authorize-sandbox/start", world.app.url))
        .header("accept", "application/json")
        .header("content-type", "application/json");
    let answer = request.body(json!({ "session": "x", "proof": "y" }).to_string()).send().await;
    let answer = answer.expect("it answers");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(body["code"], "session_refused", "{body}");
}
