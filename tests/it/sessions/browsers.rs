//! Who comes back: another browser, another path, another issuer.

use super::{World, authorized, depart, problem, refused, with};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::tenant::{Tenant, arrive};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use reqwest::header::COOKIE;
use serde_json::{Map, Value};
use url::Url;

on_both_stores!(another_browser_cannot_return, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (mut starter, mut other) = (Browser::new(), Browser::new());
    let link = world.tenant.begin("u").await;
    let back = depart(&mut starter, &link).await;
    refused(&other.get(back.as_str()).await, 403, "session_refused");
    // That state is spent, so whoever saw the URL in passing cannot use it with a stolen cookie either.
    refused(&starter.clone().get(back.as_str()).await, 403, "session_refused");
    world.expect_untouched().await;
    // The session is not: its person may go the way again.
    let back = depart(&mut starter, &link).await;
    authorized(&starter.get(back.as_str()).await);
});

/// Refusals at the callback are what an operator watches for.
#[tokio::test]
async fn a_refused_return_is_logged_and_counted_without_its_values() {
    let world = World::on(App::spawn(Stores::Embedded, &[])).await;
    let mut browser = Browser::new();
    let back = depart(&mut browser, &world.tenant.begin("u-4711").await).await;
    refused(&Browser::new().get(back.as_str()).await, 403, "session_refused");
    let log = world.app.log();
    let line = log.lines().find(|line| line.contains("a callback was refused")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(line.to_string().contains("session_refused") && line.to_string().contains("Cookie"), "{line}");
    for (name, value) in back.query_pairs().filter(|(name, _)| name != "iss") {
        assert!(!log.contains(&*value), "`{name}` is in the log");
    }
    let metrics = http().get(format!("{}/metrics", world.app.admin)).send().await.expect("it answers");
    let metrics = metrics.text().await.expect("a text");
    let counted = r#"grantkeep_sessions_total{step="returned",outcome="session_refused"} 1"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}

/// What a browser might send in the place of a cookie of that name and value.
type Spoiled = fn(&str, &str) -> String;

on_both_stores!(a_cookie_must_be_there_and_be_the_one, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let cookies: [Spoiled; 7] = [
        |_, _| String::new(),
        |name, _| format!("{name}="),
        |name, _| format!("{name}={}", "A".repeat(43)),
        |name, value| format!("{name}={value}x"),
        |name, value| format!("x{name}={value}"),
        |_, value| format!("gk-00000000={value}"),
        |name, value| format!("{}={value}", name.to_uppercase()),
    ];
    for spoiled in cookies {
        let mut browser = Browser::new();
        let back = depart(&mut browser, &link).await;
        let (name, value) = cookie(&browser, &world);
        assert_eq!(return_with(&back, &spoiled(&name, &value)).await, 403, "{}", spoiled("name", "value"));
    }
    // Those of another session: the value under this one's name, and both as they are.
    let mut neighbour = Browser::new();
    depart(&mut neighbour, &world.tenant.begin("neighbour").await).await;
    let (other, theirs) = cookie(&neighbour, &world);
    for own_name in [true, false] {
        let mut browser = Browser::new();
        let back = depart(&mut browser, &link).await;
        let (name, _) = cookie(&browser, &world);
        let pair = format!("{}={theirs}", if own_name { &name } else { &other });
        assert_eq!(return_with(&back, &pair).await, 403);
    }
    world.expect_untouched().await;
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    let (name, value) = cookie(&browser, &world);
    assert_eq!(return_with(&back, &format!("a=b; {name}={value}; {other}={theirs}; c")).await, 303);
});

/// The only session cookie of a browser.
fn cookie(browser: &Browser, world: &World) -> (String, String) {
    let all = browser.cookies_for(&Url::parse(&world.app.url).expect("a URL"));
    all.into_iter().find(|(name, _)| name.starts_with("gk-")).expect("a cookie")
}

async fn return_with(back: &Url, cookies: &str) -> u16 {
    http().get(back.clone()).header(COOKIE, cookies).send().await.expect("it answers").status().as_u16()
}

on_both_stores!(a_return_comes_to_its_own_path, |stores: Stores| async move {
    let world = World::new(stores).await;
    let stranger = Tenant::new(&world.app).await;
    stranger.enable(&world.sandbox).await.expect(201);
    let own = world.tenant.id().to_owned();
    let paths = [
        format!("{}/sandbox", stranger.id()),
        format!("{own}/slack"),
        format!("{own}/absent"),
        format!("{own}/SANDBOX"),
        format!("{}/sandbox", own.to_uppercase()),
        "x/sandbox".to_owned(),
        format!("{own}%00/sandbox"),
        format!("{own}/sandbox%2f"),
    ];
    for path in paths {
        let mut browser = Browser::new();
        let mut back = depart(&mut browser, &world.tenant.begin("u").await).await;
        back.set_path(&format!("/authorization-success/{path}"));
        refused(&browser.get(back.as_str()).await, 403, "session_refused");
    }
    world.expect_untouched().await;
});

on_both_stores!(a_link_opens_at_its_own_provider, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let mut browser = Browser::new();
    refused(
        &browser.get(&link.replace("authorize-sandbox", "authorize-slack")).await,
        403,
        "session_refused",
    );
    for broken in ["", "?session=", "?session=x", "?ticket=x"] {
        let page = browser.get(&format!("{}/authorize-sandbox{broken}", world.app.url)).await;
        refused(&page, 403, "session_refused");
    }
    assert_eq!(browser.get(&link).await.status.as_u16(), 303, "the link itself is still good");
});

on_both_stores!(the_issuer_is_compared, |stores: Stores| async move {
    let world = World::new(stores).await;
    let base = world.sandbox.base_url().to_owned();
    let slash = format!("{base}/");
    let upper = base.to_uppercase();
    let wrong: [Value; 5] =
        ["https://evil.example".into(), Value::Null, "".into(), slash.into(), upper.into()];
    for iss in wrong {
        let change = Fault::Change(Map::from_iter([("iss".to_owned(), iss.clone())]));
        world.sandbox.control().fault(Rule::new(Endpoint::Authorize, change).times(1));
        let mut browser = Browser::new();
        let back = depart(&mut browser, &world.tenant.begin("u").await).await;
        refused(&browser.get(back.as_str()).await, 403, "session_refused");
    }
    // A mix-up attacker answers with an error in place of a code (RFC 9207 section 2.4 holds for errors too).
    let mut browser = Browser::new();
    let back = depart(&mut browser, &world.tenant.begin("u").await).await;
    let error = with(
        &back,
        &[("code", None), ("error", Some("access_denied")), ("iss", Some("https://evil.example"))],
    );
    refused(&browser.get(error.as_str()).await, 403, "session_refused");
    world.expect_untouched().await;
});

// Cross-user session fixation: a thief begins, and has the victim's browser finish, so that the victim's account would be
// connected to the thief.
on_both_stores!(a_thief_gains_nothing_by_sending_his_link_to_a_victim, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("thief").await;
    let mut thief = Browser::new();
    // He opens the link himself and hands on only the provider's page: the victim's return lacks his cookie.
    let asked = thief.get(&link).await.location().expect("a way to the provider");
    let mut victim = Browser::new();
    let back = depart(&mut victim, asked.as_str()).await;
    refused(&victim.get(back.as_str()).await, 403, "session_refused");
    refused(&thief.get(back.as_str()).await, 403, "session_refused");
    // He hands on the link: the victim's browser may return, and the tenant's backend names who is logged in there.
    let back = depart(&mut victim, &link).await;
    let completion = authorized(&victim.get(back.as_str()).await);
    problem(world.tenant.complete(&completion, "victim").await, 409, "end_user_mismatch");
    // It is destroyed: the thief can finish nothing that came back in the victim's browser.
    problem(world.tenant.complete(&completion, "thief").await, 410, "session_expired");
    refused(&thief.get(&link).await, 410, "session_expired");
    world.expect_untouched().await;
});

// The other way round: a thief returns with his own code in the victim's session, so that the victim would work in the
// thief's account.
on_both_stores!(a_code_of_another_session_is_not_taken, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (mut thief, mut victim) = (Browser::new(), Browser::new());
    let stolen = depart(&mut thief, &world.tenant.begin("thief").await).await;
    let link = world.tenant.begin("victim").await;
    arrive(&mut victim, &link).await;
    refused(&victim.get(stolen.as_str()).await, 403, "session_refused");
    // With the victim's state the return is the victim's, but the provider sees that the code has another verifier.
    let back = depart(&mut victim, &link).await;
    let code = stolen.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let mixed = with(&back, &[("code", Some(&code))]);
    let completion = authorized(&victim.get(mixed.as_str()).await);
    let body = problem(world.tenant.complete(&completion, "victim").await, 502, "provider_refused");
    assert_eq!(body["provider_error"], "invalid_grant");
    assert_eq!(world.connections().await, 0);
});
