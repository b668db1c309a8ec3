//! The beginning: what a tenant's backend may ask, what it gets, and what the browser gets that opens the link.

use super::{World, authorized, depart, problem, refused};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::tenant::{HOME, Tenant, answer};
use grantkeep::domain::Timestamp;
use serde_json::{Value, json};
use url::Url;

async fn begin(world: &World, fields: &Value) -> Url {
    let begun = world.tenant.post("/authorize-sandbox", fields).await.expect(201);
    begun.text("authorize_url").parse().expect("a URL")
}

/// Where the browser is sent that opens the link.
async fn opened(link: &Url) -> Url {
    Browser::new().get(link.as_str()).await.location().expect("a way to the provider")
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

on_both_stores!(a_link_says_nothing_of_whom_it_is_for, |stores: Stores| async move {
    let world = World::new(stores).await;
    let fields =
        json!({ "end_user": "user-4711", "end_user_label": "Ada Lovelace", "account": "account-0815" });
    let begun = world.tenant.post("/authorize-sandbox", &fields).await.expect(201);
    let members: Vec<&String> = begun.body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["authorize_url", "expires_at", "session"]);
    assert_eq!(begun.headers["cache-control"], "no-store");
    let link: Url = begun.text("authorize_url").parse().expect("a URL");
    let ticket = parameter(&link, "session").expect("a ticket");
    assert_eq!(link.as_str(), format!("{}/authorize-sandbox?session={ticket}", world.app.url));
    assert!(ticket.len() >= 43, "256 bits: {ticket}");
    assert!(!link.as_str().contains(&begun.text("session")), "the public id opens nothing");
    assert!(Timestamp::parse(&begun.text("expires_at")).is_some());
    let to_provider = opened(&link).await;
    for name in ["user-4711", "Ada", "account-0815"] {
        assert!(!link.as_str().contains(name) && !to_provider.as_str().contains(name), "{name}");
    }
    assert!(!link.as_str().contains(world.tenant.id()), "{link}");
    assert!(
        !to_provider.as_str().contains(&ticket) && !to_provider.as_str().contains(&begun.text("session"))
    );
});

on_both_stores!(an_opening_has_a_state_a_challenge_and_a_cookie_of_its_own, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = begin(&world, &json!({ "end_user": "u" })).await;
    let response = http().get(link.clone()).send().await.expect("it answers");
    assert_eq!(response.status(), 303);
    let header = |name: &str| response.headers()[name].to_str().expect("ASCII").to_owned();
    assert_eq!(
        (header("cache-control"), header("referrer-policy")),
        ("no-store".into(), "no-referrer".into())
    );
    let cookie = header("set-cookie");
    let mut parts = cookie.split("; ");
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
    let tag = name.strip_prefix("gk-").expect("the prefix");
    assert!(tag.len() == 8 && tag.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
    assert!(value.len() >= 43, "256 bits: {value}");
    let mut attributes: Vec<&str> = parts.collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax"], "on http it is not Secure");
    let first: Url = header("location").parse().expect("a URL");
    let second = opened(&link).await;
    for name in ["state", "code_challenge"] {
        let (one, two) = (parameter(&first, name).expect("one"), parameter(&second, name).expect("one"));
        assert!(one.len() == 43 && one != two, "{name}: {one} {two}");
        assert!(one != value, "none of them is the cookie");
    }
    let callback = format!("{}/authorization-success/{}/sandbox", world.app.url, world.tenant.id());
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", "sandbox-client"),
        ("redirect_uri", callback.as_str()),
        ("scope", "profile offline_access"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&first, name).as_deref(), Some(expected), "{name}");
    }
});

on_both_stores!(every_wrong_field_is_named, |stores: Stores| async move {
    let world = World::new(stores).await;
    let long = "x".repeat(201);
    let cases = [
        (json!({}), "end_user"),
        (json!({ "end_user": null }), "end_user"),
        (json!({ "end_user": 7 }), "end_user"),
        (json!({ "end_user": ["u"] }), "end_user"),
        (json!({ "end_user": "u", "enduser": "v" }), "enduser"),
        (json!({ "end_user": "u", "account": 7 }), "account"),
        (json!({ "end_user": "u", "end_user_label": long }), "end_user_label"),
        (json!({ "end_user": "u", "end_user_label": "a\u{7}" }), "end_user_label"),
        (json!({ "end_user": "u", "scopes": 7 }), "scopes"),
        (json!({ "end_user": "u", "scopes": [7] }), "scopes"),
        (json!({ "end_user": "u", "scopes": "a\"b" }), "scopes"),
        (json!({ "end_user": "u", "scopes": ["é"] }), "scopes"),
        (json!({ "end_user": "u", "scopes": "x".repeat(9000) }), "scopes"),
        (json!({ "end_user": "u", "variables": "x" }), "variables"),
        (json!({ "end_user": "u", "variables": { "host": "evil.example" } }), "variables.host"),
        (json!({ "end_user": "u", "variables": { "shop": 7 } }), "variables.shop"),
    ];
    for (fields, field) in cases {
        let body = problem(world.tenant.post("/authorize-sandbox", &fields).await, 400, "invalid_request");
        assert_eq!(body["field"], field, "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(field)), "{body}");
    }
    world.expect_untouched().await;
});

on_both_stores!(a_provider_must_be_there_and_enabled, |stores: Stores| async move {
    let world = World::new(stores).await;
    let fields = json!({ "end_user": "u" });
    for absent in ["absent", "SANDBOX", "sandbox%2F..", "slack", "%00"] {
        problem(world.tenant.post(&format!("/authorize-{absent}"), &fields).await, 404, "not_found");
        let page = Browser::new().get(&format!("{}/authorize-{absent}?session=x", world.app.url)).await;
        assert!(matches!(page.status.as_u16(), 403 | 404) && page.location().is_none(), "{page:?}");
    }
    let stranger = Tenant::new(&world.app).await;
    let body = problem(stranger.post("/authorize-sandbox", &fields).await, 404, "not_found");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("/enable-provider")), "{body}");
});

on_both_stores!(scopes_come_in_both_shapes, |stores: Stores| async move {
    let world = World::new(stores).await;
    for (given, sent) in [
        (json!(["profile", "mail.read"]), Some("profile mail.read")),
        (json!("mail.read  profile mail.read"), Some("mail.read profile")),
        (json!(["profile mail.read", "profile"]), Some("profile mail.read")),
        (json!([]), None),
        (json!(null), Some("profile offline_access")),
    ] {
        let link = begin(&world, &json!({ "end_user": "u", "scopes": given })).await;
        assert_eq!(parameter(&opened(&link).await, "scope").as_deref(), sent, "{given}");
    }
    let form = "end_user=u%2B1&scopes=profile+mail.read&account=a%26b&end_user_label=";
    let request = world.tenant.request(reqwest::Method::POST, "/authorize-sandbox");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let link = answer(request).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    let completion = authorized(&browser.get(back.as_str()).await);
    let connection = world.tenant.complete(&completion, "u+1").await.expect(201).body;
    assert_eq!(
        (&connection["account"], &connection["scopes"]),
        (&json!("a&b"), &json!(["profile", "mail.read"]))
    );
});

/// A provider beside the sandbox, at the same place, that asks for something at authorize.
const WORKSPACE: &str = r#"
name = "Workspace"
protocol = "oauth2"
[variables.host]
title = "Host"
pattern = '127\.0\.0\.1:[0-9]{1,5}'
example = "127.0.0.1:8091"
at = "integration"
[variables.team]
title = "Team"
pattern = "[a-z ]{2,8}"
example = "blue"
at = "authorize"
[authorize]
url = "http://{host}/authorize?team={team}"
[token]
url = "http://{host}/token"
auth = "post"
"#;

async fn with_workspace(stores: Stores) -> World {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    std::fs::write(folder.path().join("workspace.toml"), WORKSPACE).expect("written");
    let dirs = folder.path().display().to_string();
    let world = World::on(App::start_with(stores, &[("providers.dirs", &dirs)]).await).await;
    let host = world.sandbox.base_url().trim_start_matches("http://").to_owned();
    for (variables, status) in [
        (json!({}), 400),
        (json!({ "host": "evil.example" }), 400),
        (json!({ "host": "127.0.0.1:1/x" }), 400),
        (json!({ "host": format!("{host}\n") }), 400),
        (json!({ "host": host, "team": "blue" }), 400),
        (json!({ "host": host }), 201),
    ] {
        let fields = json!({
            "provider": "workspace",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "redirect_url": HOME,
            "variables": variables,
        });
        let enabled = world.tenant.post("/enable-provider", &fields).await.expect(status);
        let field = enabled.body["field"].as_str().unwrap_or_default();
        assert!(status == 201 || field.starts_with("variables."), "{enabled:?}");
    }
    world
}

on_both_stores!(variables_asked_at_authorize, |stores: Stores| async move {
    let world = with_workspace(stores).await;
    for wrong in
        [json!({}), json!({ "team": "" }), json!({ "team": "BLUE" }), json!({ "team": "blue&state=x" })]
    {
        let fields = json!({ "end_user": "u", "variables": wrong });
        let body = problem(world.tenant.post("/authorize-workspace", &fields).await, 400, "invalid_request");
        assert_eq!(body["field"], "variables.team", "{body}");
    }
    let fields = json!({ "end_user": "u", "variables": { "team": "ab cd" } });
    let link = world.tenant.post("/authorize-workspace", &fields).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let way = browser.get(&link).await.location().expect("a way to the provider");
    assert_eq!(parameter(&way, "team").as_deref(), Some("ab cd"));
    let back = depart(&mut browser, &link).await;
    let completion = authorized(&browser.get(back.as_str()).await);
    world.tenant.complete(&completion, "u").await.expect(201);
});

// Two providers of one tenant: a state of one is nothing at the other's path, whose definition would read it.
on_both_stores!(a_state_is_of_one_provider, |stores: Stores| async move {
    let world = with_workspace(stores).await;
    let mut browser = Browser::new();
    let mut back = depart(&mut browser, &world.tenant.begin("u").await).await;
    back.set_path(&back.path().replace("/sandbox", "/workspace"));
    refused(&browser.get(back.as_str()).await, 403, "session_refused");
    world.expect_untouched().await;
});
