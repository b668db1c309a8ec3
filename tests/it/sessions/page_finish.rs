//! `finish = "page"`: what comes back is exchanged at once. The page itself and its button: `page_button.rs`.

use super::{World, decide_on, problem, refused, sent_back};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, Page};
use crate::support::tenant::{Answer, HOME};
use grantkeep::sandbox::{Endpoint, Fault, Grant, Rule};
use serde_json::json;
use std::time::Duration;
use url::Url;

/// Enables the sandbox with that finish.
pub(super) async fn enable(world: &World, finish: &str) -> Answer {
    let host = world.sandbox.base_url().trim_start_matches("http://");
    let fields = json!({
        "provider": "sandbox",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "scopes": ["profile", "offline_access"],
        "redirect_url": HOME,
        "variables": { "host": host },
        "finish": finish,
    });
    world.tenant.post("/enable-provider", &fields).await
}

impl World {
    /// Whose integration finishes on the page.
    pub(super) async fn with_page(stores: Stores) -> Self {
        Self::on_page(App::start(stores).await).await
    }

    pub(super) async fn on_page(app: App) -> Self {
        let world = Self::on(app).await;
        let enabled = enable(&world, "page").await.expect(200);
        assert_eq!(enabled.text("finish"), "page");
        world
    }

    /// The link for an end user of that label.
    pub(super) async fn link(&self, end_user: &str, label: &str) -> String {
        let fields = json!({ "end_user": end_user, "end_user_label": label });
        self.tenant.post("/authorize-sandbox", &fields).await.expect(201).text("authorize_url")
    }
}

/// Presses the button of our page; the provider's page.
pub(super) async fn press(browser: &mut Browser, page: &Page) -> Page {
    let away = browser.send(page, &page.form()).await;
    assert_eq!(away.status.as_u16(), 303, "{away:?}");
    browser.follow(away, HOME).await
}

/// Opens a link and decides on both pages; the URL of ours that the provider sends the browser to, not yet visited.
pub(super) async fn decide(browser: &mut Browser, link: &str, button: &str) -> Url {
    let page = browser.get(link).await;
    let provider = press(browser, &page).await;
    decide_on(browser, &provider, button).await
}

/// The connection that a return made.
#[track_caller]
pub(super) fn connected(page: &Page) -> String {
    assert_eq!(page.status.as_u16(), 303, "{page:?}");
    assert_eq!(page.parameter("status").as_deref(), Some("connected"), "{page:?}");
    assert_eq!((page.parameter("code"), page.parameter("completion")), (None, None), "{page:?}");
    assert!(page.location().is_some_and(|url| url.as_str().starts_with(HOME)), "{page:?}");
    page.parameter("connection").expect("a connection")
}

on_both_stores!(an_end_user_agrees_and_is_connected, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let fields = json!({ "end_user": "u", "end_user_label": "Ada Lovelace", "account": "work" });
    let link = world.tenant.post("/authorize-sandbox", &fields).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let page = browser.get(&link).await;
    assert_eq!(page.status.as_u16(), 200, "{page:?}");
    for said in ["Acme CRM", "Ada Lovelace", "work", "Sandbox", "localhost", "profile", "offline_access"] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    for unsaid in [world.tenant.id(), "sandbox-client", "<script", "style="] {
        assert!(!page.body.contains(unsaid), "{unsaid}: {}", page.body);
    }
    assert!(page.form().post && page.form().action.path() == "/authorize-sandbox/start");
    let provider = press(&mut browser, &page).await;
    let back = decide_on(&mut browser, &provider, "allow").await;
    world.expect_untouched().await;
    let id = connected(&browser.get(back.as_str()).await);
    assert_eq!(world.exchange_requests(), 1);
    let connection = world.tenant.get(&format!("/v1/connections/{id}")).await.expect(200).body;
    assert_eq!((&connection["end_user"], &connection["account"]), (&json!("u"), &json!("work")));
    let wish = json!({ "provider": "sandbox", "end_user": "u", "account": "work" });
    world.tenant.post("/get-access-token", &wish).await.expect(200);
    // It is over: neither the link nor the return leads anywhere, and who held the link may know whose it was.
    let over = browser.get(&link).await;
    refused(&over, 410, "session_expired");
    assert!(over.body.contains("Acme CRM"), "{}", over.body);
    refused(&browser.get(back.as_str()).await, 403, "session_refused");
    refused(&browser.send(&page, &page.form()).await, 410, "session_expired");
});

on_both_stores!(what_the_page_needs_is_asked_for_at_the_beginning, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (fields, field) in [
        (json!({ "end_user": "u" }), "end_user_label"),
        (json!({ "end_user": "u", "end_user_label": "" }), "end_user_label"),
        (json!({ "end_user": "u", "end_user_label": " \u{a0}" }), "end_user_label"),
        (json!({ "end_user": "u", "end_user_label": "Ada", "code_challenge": challenge }), "code_challenge"),
    ] {
        let body = problem(world.tenant.post("/authorize-sandbox", &fields).await, 400, "invalid_request");
        assert_eq!(body["field"], field, "{body}");
    }
    for finish in ["", "Page", "pages", "none"] {
        let body = problem(enable(&world, finish).await, 400, "invalid_request");
        assert_eq!(body["field"], "finish", "{body}");
    }
});

// Two browsers: A starts, B ends.
on_both_stores!(another_browser_cannot_return_and_is_told_nothing, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let link = world.link("u", "Ada").await;
    let (mut a, mut b) = (Browser::new(), Browser::new());
    let back = decide(&mut a, &link, "allow").await;
    let page = b.get(back.as_str()).await;
    refused(&page, 403, "session_refused");
    assert!(!page.body.contains("Acme") && !page.body.contains("Ada"), "{}", page.body);
    // The same where B has opened the link too, but did not leave from there.
    b.get(&link).await;
    let back_again = decide(&mut a, &link, "allow").await;
    let page = b.get(back_again.as_str()).await;
    refused(&page, 403, "session_refused");
    assert!(!page.body.contains("Acme") && !page.body.contains("Ada"), "{}", page.body);
    refused(&a.get(back.as_str()).await, 403, "session_refused");
    world.expect_untouched().await;
    let back = decide(&mut a, &link, "allow").await;
    connected(&a.get(back.as_str()).await);
});

on_both_stores!(a_refusal_after_the_cookie_names_the_product, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let evil = [("iss".to_owned(), json!("https://evil.example"))];
    world
        .sandbox
        .control()
        .fault(Rule::new(Endpoint::Authorize, Fault::Change(evil.into_iter().collect())).times(1));
    let mut browser = Browser::new();
    let back = decide(&mut browser, &world.link("u", "Ada").await, "allow").await;
    let page = browser.get(back.as_str()).await;
    refused(&page, 403, "session_refused");
    assert!(page.body.contains("Acme CRM"), "{}", page.body);
    world.expect_untouched().await;
});

on_both_stores!(what_goes_wrong_is_told_to_the_tenants_page, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let mut browser = Browser::new();
    let link = world.link("denied", "Ada").await;
    let back = decide(&mut browser, &link, "deny").await;
    sent_back(&browser.get(back.as_str()).await, "denied", None);
    refused(&browser.get(&link).await, 410, "session_expired");
    world.expect_untouched().await;
    let client = json!({ "error": "invalid_client" });
    let refusal = json!({ "error": "invalid_grant" });
    for (name, fault, code) in [
        ("refused", Fault::Json { status: 400, body: refusal }, "provider_refused"),
        ("our fault", Fault::Json { status: 401, body: client }, "integration_misconfigured"),
        ("lost", Fault::Close, "provider_unavailable"),
        ("busy", Fault::TooManyRequests("7".to_owned()), "provider_unavailable"),
        ("nonsense", Fault::Malformed, "provider_refused"),
    ] {
        let rule = Rule::new(Endpoint::Token, fault).only(Grant::AuthorizationCode).times(1);
        world.sandbox.control().fault(rule);
        let before = world.exchange_requests();
        let link = world.link(name, "Ada").await;
        let back = decide(&mut browser, &link, "allow").await;
        let page = browser.get(back.as_str()).await;
        sent_back(&page, "failed", Some(code));
        assert_eq!(page.parameter("connection"), None, "{name}");
        assert_eq!(world.exchange_requests(), before + 1, "{name}: sent once");
        // Nobody holds a completion to try again with: it is over.
        refused(&browser.get(&link).await, 410, "session_expired");
    }
    assert_eq!(world.connections().await, 0);
});

on_both_stores!(the_slot_stays_with_its_account, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let mut first = None;
    for (name, connects) in [("ada", true), ("grace", false), ("ada", true)] {
        let mut browser = Browser::new();
        let page = browser.get(&world.link("u", "Ada").await).await;
        let provider = press(&mut browser, &page).await;
        let form = provider.form().fill("user", name).press("allow");
        let back = browser.send(&provider, &form).await.location().expect("a way back");
        let page = browser.get(back.as_str()).await;
        if connects {
            let id = connected(&page);
            assert_eq!(first.get_or_insert_with(|| id.clone()), &id, "the connection keeps its id");
        } else {
            sent_back(&page, "failed", Some("conflict"));
        }
    }
});

on_both_stores!(a_change_of_the_finish_stops_who_is_on_the_way, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let mut browser = Browser::new();
    // Between the page and its button, and between the button and the return.
    let page = browser.get(&world.link("u", "Ada").await).await;
    let link = world.link("u", "Ada").await;
    let back = decide(&mut browser, &link, "allow").await;
    enable(&world, "backend").await.expect(200);
    refused(&browser.send(&page, &page.form()).await, 409, "conflict");
    sent_back(&browser.get(back.as_str()).await, "failed", Some("conflict"));
    // The other way round, with a completion in hand.
    let completion = world.completion("u").await;
    enable(&world, "page").await.expect(200);
    problem(world.tenant.complete(&completion, "u").await, 409, "conflict");
    world.expect_untouched().await;
});

on_both_stores!(there_is_nothing_to_complete, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let link = world.link("u", "Ada").await;
    let ticket = link.split_once("session=").expect("a ticket").1.to_owned();
    let mut browser = Browser::new();
    let back = decide(&mut browser, &link, "allow").await;
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let id = connected(&browser.get(back.as_str()).await);
    for completion in [ticket, code, id] {
        let body = problem(world.tenant.complete(&completion, "u").await, 404, "not_found");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("`page`")), "{body}");
    }
    assert_eq!(world.exchange_requests(), 1);
});

on_both_stores!(of_many_returns_at_once_one_exchanges, |stores: Stores| async move {
    const BROWSERS: usize = 8;
    let world = World::with_page(stores).await;
    let link = world.link("u", "Ada").await;
    let mut returns = Vec::new();
    for _ in 0..BROWSERS {
        let mut browser = Browser::new();
        let back = decide(&mut browser, &link, "allow").await;
        returns.push(async move { browser.get(back.as_str()).await });
    }
    let returns: Vec<_> = returns.into_iter().map(tokio::spawn).collect();
    let mut connected = 0;
    for page in returns {
        let page = page.await.expect("it ended");
        match page.parameter("status") {
            Some(status) => connected += usize::from(status == "connected"),
            None => refused(&page, 410, "session_expired"),
        }
    }
    assert_eq!((connected, world.exchange_requests(), world.connections().await), (1, 1, 1));
});

// A browser that is closed while the code is being exchanged.
on_both_stores!(a_browser_that_goes_away_is_connected_all_the_same, |stores: Stores| async move {
    let world = World::with_page(stores).await;
    let mut browser = Browser::new();
    let back = decide(&mut browser, &world.link("u", "Ada").await, "allow").await;
    world.sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Delay(300)).times(1));
    let leaving = tokio::spawn({
        let (mut browser, back) = (browser.clone(), back.clone());
        async move { browser.get(back.as_str()).await }
    });
    while world.exchange_requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    leaving.abort();
    while world.tenant.token("u").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    refused(&browser.get(back.as_str()).await, 403, "session_refused");
    assert_eq!(world.exchange_requests(), 1);
});
