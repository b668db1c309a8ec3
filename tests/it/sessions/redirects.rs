//! Open redirects: where end users may be sent back to is fixed when a provider is enabled, and compared as a string.

use super::{World, depart, problem};
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::Browser;
use crate::support::tenant::{Answer, HOME};
use serde_json::{Value, json};

async fn enable(world: &World, redirect_url: Value) -> Answer {
    let host = world.sandbox.base_url().trim_start_matches("http://");
    let fields = json!({
        "provider": "sandbox",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "redirect_url": redirect_url,
        "variables": { "host": host },
    });
    world.tenant.post("/enable-provider", &fields).await
}

async fn begin(world: &World, redirect_url: Value) -> Answer {
    world.tenant.post("/authorize-sandbox", &json!({ "end_user": "u", "redirect_url": redirect_url })).await
}

on_both_stores!(only_what_is_registered_is_accepted, |stores: Stores| async move {
    let world = World::new(stores).await;
    let registered = "https://app.example.com/done?x=1";
    enable(&world, json!([registered, HOME])).await.expect(200);
    let others = [
        "https://app.example.com/done?x=1/",
        "https://app.example.com/done?x=1&y=2",
        "https://app.example.com/done?x=1#f",
        "https://app.example.com/done",
        "https://app.example.com/done?x=",
        "https://app.example.com/done?x=10",
        "https://APP.example.com/done?x=1",
        "HTTPS://app.example.com/done?x=1",
        "http://app.example.com/done?x=1",
        "https://app.example.com:443/done?x=1",
        "https://app.example.com./done?x=1",
        "https://app.example.com.evil.example/done?x=1",
        "https://evil.example/https://app.example.com/done?x=1",
        "https://app.example.com@evil.example/done?x=1",
        "https://evil.example@app.example.com/done?x=1",
        "https://app.example.com/%64one?x=1",
        "https://app.example.com/./done?x=1",
        "https://app.example.com/a/../done?x=1",
        "https://app.example.com\\done?x=1",
        "//app.example.com/done?x=1",
        "/done?x=1",
        " https://app.example.com/done?x=1",
        "https://app.example.com/done?x=1\n",
        "https://app.example.com/done?x=1\0",
        "javascript:alert(1)",
        "",
        "http://localhost:3000/connected/",
        "http://localhost:3001/connected",
        "http://127.0.0.1:3000/connected",
    ];
    for other in others {
        let body = problem(begin(&world, other.into()).await, 400, "invalid_request");
        assert_eq!(body["field"], "redirect_url", "{other}");
    }
    for wrong in [json!([registered]), json!(7), json!({ "url": registered })] {
        problem(begin(&world, wrong).await, 400, "invalid_request");
    }
    // There are two, so there is none to be meant by leaving it out.
    problem(begin(&world, Value::Null).await, 400, "invalid_request");
    let link = begin(&world, registered.into()).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    let home = browser.get(back.as_str()).await.location().expect("a way back");
    assert!(
        home.as_str().starts_with("https://app.example.com/done?x=1&status=authorized&completion="),
        "{home}"
    );
});

on_both_stores!(what_may_be_registered, |stores: Stores| async move {
    let world = World::new(stores).await;
    let bad = [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "http://app.example.com/",
        "http://localhost.evil.example/",
        "http://evil-localhost/",
        "http://10.0.0.1/",
        "http://[::2]/",
        "ftp://localhost/",
        "myapp://callback",
        "https://a.example/#fragment",
        "https://a.example/#",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://:password@a.example/",
        "https://a.example/?status=1",
        "https://a.example/?completion=1",
        "https://a.example/?c%6fde=1",
        "https://a.example/?x=1&connection=1",
        "https://a.example/\r\nset-cookie: x",
        "https://a.example/ x",
        "https://",
        "//a.example/",
        "/path",
        "",
    ];
    for url in bad {
        let body = problem(enable(&world, url.into()).await, 400, "invalid_request");
        assert_eq!(body["field"], "redirect_url", "{url}");
        let among_good = enable(&world, json!([HOME, url])).await;
        assert_eq!(problem(among_good, 400, "invalid_request")["field"], "redirect_url", "{url}");
    }
    let long = format!("https://a.example/{}", "x".repeat(2048));
    let many: Vec<String> = (0..51).map(|n| format!("https://a.example/{n}")).collect();
    for wrong in
        [json!([]), json!(null), json!(7), json!({}), json!([7]), json!([[HOME]]), json!(long), json!(many)]
    {
        problem(enable(&world, wrong).await, 400, "invalid_request");
    }
    // Nothing of that changed what is enabled.
    begin(&world, HOME.into()).await.expect(201);
    for good in [
        json!("https://app.example.com"),
        json!("http://127.0.0.1:1/x"),
        json!("http://[::1]/"),
        json!(["https://a.example/?next=%2Fhome", "http://localhost/"]),
    ] {
        let enabled = enable(&world, good.clone()).await.expect(200);
        let expected = if good.is_array() { good } else { json!([good]) };
        assert_eq!(enabled.body["redirect_urls"], expected, "kept as it was given");
    }
});

on_both_stores!(what_comes_back_cannot_bend_the_way_home, |stores: Stores| async move {
    let world = World::new(stores).await;
    let home = "https://app.example.com/done?next=%2Fa%26status%3Dauthorized&empty=&x+y";
    enable(&world, home.into()).await.expect(200);
    let link = begin(&world, home.into()).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let mut back = depart(&mut browser, &link).await;
    back.query_pairs_mut()
        .append_pair("redirect_url", "https://evil.example/")
        .append_pair("status", "connected");
    let came = browser.get(back.as_str()).await.location().expect("a way back");
    assert!(came.as_str().starts_with(&format!("{home}&status=authorized&completion=")), "{came}");
    let names: Vec<String> = came.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["next", "empty", "x y", "status", "completion"]);
});
