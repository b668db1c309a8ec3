//! What a key is limited to: scopes, providers, networks.

use super::keys::with_key;
use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::{Raw, raw};
use crate::support::tenant::Tenant;
use grantkeep::domain::KeyScope;
use grantkeep::http::{Access, ROUTES, Route};
use serde_json::json;
use std::time::Duration;

async fn ask(route: &Route, tenant: &Tenant) -> Raw {
    let id = "0123456789abcdefghijAB";
    let path = route.path.replace("{id}", id).replace("{provider}", "slack").replace("{tenant}", id);
    let request =
        http().request(route.method.as_str().parse().expect("a method"), format!("{}{path}", tenant.url));
    let request = request.bearer_auth(&tenant.key);
    let body = json!({ "provider": "slack", "end_user": "nobody" });
    raw(if route.method == "POST" {
        request.header("content-type", "application/json").body(body.to_string())
    } else {
        request
    })
    .await
}

on_both_stores!(every_route_wants_its_scope, |stores: Stores| async move {
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let mut tried = 0;
    for route in ROUTES {
        let Access::Caller(scope) = route.access else { continue };
        let others: Vec<&str> =
            KeyScope::ALL.iter().filter(|other| **other != scope).map(|other| other.as_str()).collect();
        let without = with_key(&tenant, json!({ "scopes": others })).await;
        let refused = ask(route, &without).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "insufficient_scope"), "{route:?}");
        assert_eq!(refused.json()["needed_scope"], scope.as_str(), "{route:?}");
        let with = with_key(&tenant, json!({ "scopes": [scope.as_str()] })).await;
        let answered = ask(route, &with).await;
        assert!(![401, 403].contains(&answered.status), "{route:?}: {}", answered.text());
        // Nobody at all hears that first, whatever else is wrong.
        let nobody = ask(route, &Tenant { key: "junk".to_owned(), ..tenant.clone() }).await;
        assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthenticated"), "{route:?}");
        tried += 1;
    }
    assert!(tried >= 9, "{tried}");
});

on_both_stores!(a_key_for_some_providers, |stores: Stores| async move {
    let app = App::start(stores).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let id = tenant.connect("user 1").await["id"].as_str().expect("an id").to_owned();
    let slack = with_key(&tenant, json!({ "providers": ["slack"] })).await;
    let path = format!("/v1/connections/{id}");
    let refusals = [
        slack.enable(&sandbox).await,
        slack.post("/authorize-sandbox", &json!({ "end_user": "user 1" })).await,
        slack.token("user 1").await,
        slack.get("/v1/connections?provider=sandbox").await,
        slack.get(&path).await,
        slack.delete(&path).await,
    ];
    for refused in refusals {
        assert_eq!((refused.status, refused.code()), (403, "insufficient_scope"), "{refused:?}");
    }
    for list in ["/v1/connections", "/v1/connections?end_user=user%201"] {
        assert_eq!(slack.get(list).await.expect(200).body["items"], json!([]), "{list}");
    }
    let own = with_key(&tenant, json!({ "providers": ["sandbox"] })).await;
    own.token("user 1").await.expect(200);
    own.get(&path).await.expect(200);
    assert_eq!(own.get("/v1/connections").await.body["items"].as_array().map(Vec::len), Some(1));
    // What was refused changed nothing.
    tenant.token("user 1").await.expect(200);
});

async fn from(tenant: &Tenant, headers: &[(&str, &str)]) -> u16 {
    let mut request = http().get(format!("{}/v1/connections", tenant.url)).bearer_auth(&tenant.key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    raw(request).await.status
}

on_both_stores!(a_key_for_some_networks, |stores: Stores| async move {
    let app = App::start_with(stores.clone(), &[("server.trusted_proxies", "127.0.0.1")]).await;
    let tenant = Tenant::new(&app).await;
    let near = with_key(&tenant, json!({ "ips": ["127.0.0.1"] })).await;
    let far = with_key(&tenant, json!({ "ips": ["203.0.113.0/24", "2001:db8::/32"] })).await;
    for (headers, near_may, far_may) in [
        (&[][..], 200, 403),
        (&[("x-forwarded-for", "203.0.113.9")], 403, 200),
        (&[("forwarded", "for=203.0.113.9;proto=https")], 403, 200),
        (&[("forwarded", "for=\"[2001:db8::9]:4711\"")], 403, 200),
        // What stands before the last hop was said by nobody who is trusted.
        (&[("x-forwarded-for", "203.0.113.9, 198.51.100.1")], 403, 403),
        (&[("x-forwarded-for", "198.51.100.1, 203.0.113.9")], 403, 200),
        // Through two proxies of ours.
        (&[("x-forwarded-for", "203.0.113.9, 127.0.0.1")], 403, 200),
        (&[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.1")], 200, 403),
    ] {
        assert_eq!(
            (from(&near, headers).await, from(&far, headers).await),
            (near_may, far_may),
            "{headers:?}"
        );
    }
    assert_eq!(far.token("nobody").await.expect(403).code(), "insufficient_scope");

    // Without trusted proxies a header says nothing.
    let app = App::start(stores).await;
    let tenant = Tenant::new(&app).await;
    let far = with_key(&tenant, json!({ "ips": ["203.0.113.0/24"] })).await;
    assert_eq!(from(&far, &[("x-forwarded-for", "203.0.113.9")]).await, 403);
    assert_eq!(from(&far, &[("forwarded", "for=203.0.113.9")]).await, 403);
});
