//! Returns that are odd and honest, and ones that look honest.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::tenant::{Tenant, agree, answer, arrive};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use reqwest::header::HeaderValue;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_cookie_of_others_that_is_no_ascii_spoils_no_return() {
    let app = App::start(Stores::Embedded).await;
    let sandbox = sandbox(HOUR).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let link = tenant.begin("alice").await;
    let mut browser = Browser::new();
    let page = arrive(&mut browser, &link).await;
    let form = page.form().press("allow");
    let back = browser.send(&page, &form).await.location().unwrap();
    let ours = browser.cookies_for(&back);
    let (name, value) = ours.iter().find(|(name, _)| name.starts_with("gk-")).unwrap();
    let cookies = format!("theirs=Zoë; {name}={value}");
    let cookies = HeaderValue::from_bytes(cookies.as_bytes()).unwrap();
    let got = answer(http().get(back).header("cookie", cookies)).await;
    assert_eq!(got.status, 303, "{got:?}");
}

#[tokio::test]
async fn a_slot_is_not_taken_over_while_nobody_can_say_who_comes() {
    let app = App::start(Stores::Embedded).await;
    let sandbox = sandbox(HOUR).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let first = tenant.connect("alice").await;
    assert!(first["identity"]["id"].is_string(), "{first}");
    sandbox.control().fault(Rule::new(Endpoint::Me, Fault::ServerError));
    let link = tenant.begin("alice").await;
    let completion = agree(&mut Browser::new(), &link).await.parameter("completion").unwrap();
    let done = tenant.complete(&completion, "alice").await;
    assert_eq!(done.expect(409).code(), "conflict");
    let kept = tenant.get(&format!("/v1/connections/{}", first["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(kept.body["identity"], first["identity"]);
    assert_eq!(kept.body["generation"], 1);
}
