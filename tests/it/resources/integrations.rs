//! Integrations: listed, read, changed, removed.

use super::{World, patch, problem, shown};
use crate::accounts::with_key;
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::Browser;
use crate::support::tenant::HOME;
use insta::assert_snapshot;
use serde_json::{Value, json};

on_both_stores!(listed_and_read, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    for provider in ["slack", "google", "twitter"] {
        let body = json!({ "provider": provider, "client_id": provider, "client_secret": "s", "redirect_url": HOME });
        tenant.post("/enable-provider", &body).await.expect(201);
    }
    let shown_one = tenant.get("/v1/integrations/sandbox").await;
    assert_snapshot!(shown(&shown_one), @r#"200 {"callback_url":"http://<host>/authorization-success/<id>/sandbox","client_id":"sandbox-client","created_at":"<time>","finish":"backend","has_client_secret":true,"misconfigured":null,"previous_client_secret":null,"provider":"sandbox","redirect_urls":["http://localhost:3000/connected"],"scopes":["profile","offline_access"],"updated_at":"<time>","variables":{"host":"<host>"}}"#);
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = tenant.get(&format!("/v1/integrations?limit=3{cursor}")).await.expect(200).body;
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| item["provider"].as_str().expect("a text").to_owned()));
        assert!(items.iter().all(|item| item["provider"] != "sandbox" || *item == shown_one.body));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["google", "sandbox", "slack", "twitter"]);
    assert_snapshot!(problem(&tenant.get("/v1/integrations/atlassian").await), @"404 not_found: Not found: an integration for `atlassian`; enable it with POST /enable-provider.");
    assert_snapshot!(problem(&tenant.get("/v1/integrations/No%20Such").await), @"404 not_found: Not found: a provider of that name.");
    assert_snapshot!(problem(&tenant.get("/v1/integrations?limit=0").await), @"400 invalid_request `limit`: `limit` must be a whole number from 1 to 100");
    assert_snapshot!(problem(&tenant.get("/v1/integrations?cursor=!").await), @"400 invalid_request `cursor`: `cursor` must be the next_cursor of an earlier answer");
    let wrong = tenant.post("/v1/integrations/sandbox", &json!({})).await;
    assert_snapshot!(problem(&wrong), @"405 invalid_request: This path takes GET, HEAD, PATCH, DELETE.");
    assert_eq!(wrong.headers["allow"], "GET, HEAD, PATCH, DELETE");
});

on_both_stores!(only_what_is_given_changes, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let path = "/v1/integrations/sandbox";
    let mut expected = tenant.get(path).await.expect(200).body;
    let others = [HOME, "https://app.example.com/done"];
    for (change, field, value) in [
        (json!({ "scopes": "profile mail.read" }), "scopes", json!(["profile", "mail.read"])),
        (json!({ "redirect_url": others }), "redirect_urls", json!(others)),
        (json!({ "client_id": "sandbox-client" }), "client_id", json!("sandbox-client")),
        (json!({ "finish": "backend" }), "finish", json!("backend")),
        (json!({ "variables": { "host": world.host() } }), "variables", json!({ "host": world.host() })),
    ] {
        let changed = patch(tenant, path, &change).await.expect(200).body;
        expected[field] = value;
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected, "{change}");
        assert_eq!(tenant.get(path).await.expect(200).body, expected);
    }
    // Nothing given, nothing done.
    assert_eq!(patch(tenant, path, &json!({})).await.expect(200).body, expected);
    // It works as before: the secret is still there.
    tenant.post("/authorize-sandbox", &json!({ "end_user": "u", "redirect_url": HOME })).await.expect(201);

    assert_snapshot!(problem(&patch(tenant, path, &json!({ "client_id": "" })).await), @"400 invalid_request `client_id`: `client_id` must be the client id that the provider gave you");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "client_secret": "" })).await), @"400 invalid_request `client_secret`: `client_secret` must be the client secret that the provider gave you");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "scopes": "a\"b" })).await), @"400 invalid_request `scopes`: `scopes` must be scopes as RFC 6749 section 3.3 has them");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "redirect_url": [] })).await), @"400 invalid_request `redirect_url`: `redirect_url` must be one URL or a list of up to 50");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "redirect_url": "http://x.example/" })).await), @"400 invalid_request `redirect_url`: `redirect_url` must be https, or http on loopback: `http://x.example/`");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "variables": { "host": "evil.example" } })).await), @r#"400 invalid_request `variables.host`: `variables.host` variables.host must match (127\.0\.0\.1|localhost):[0-9]{1,5}"#);
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "finish": "nowhere" })).await), @"400 invalid_request `finish`: `finish` must be `backend` or `page`");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "drop_previous_secret": "maybe" })).await), @"400 invalid_request `drop_previous_secret`: `drop_previous_secret` must be a boolean, not this text");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "provider": "slack" })).await), @"400 invalid_request `provider`: `provider` is not a field of this request; known are client_id, client_secret, scopes, redirect_url, variables, finish, drop_previous_secret");
    assert_snapshot!(problem(&patch(tenant, "/v1/integrations/slack", &json!({ "scopes": "a" })).await), @"404 not_found: Not found: an integration for `slack`; enable it with POST /enable-provider.");
    assert_eq!(tenant.get(path).await.expect(200).body, expected, "what was refused changed nothing");
});

on_both_stores!(what_was_begun_before_a_change_is_not_finished, |stores: Stores| async move {
    let world = World::new(stores).await;
    let path = "/v1/integrations/sandbox";
    let link = world.tenant.begin("u").await;
    patch(&world.tenant, path, &json!({})).await.expect(200);
    assert_eq!(Browser::new().get(&link).await.status, 303, "nothing was changed");
    patch(&world.tenant, path, &json!({ "scopes": "profile" })).await.expect(200);
    assert_eq!(Browser::new().get(&link).await.status, 409);
    // Nor after one that was removed and came back as it was.
    let link = world.tenant.begin("u").await;
    world.tenant.delete(path).await.expect(204);
    assert_eq!(Browser::new().get(&link).await.status, 409);
    world.tenant.enable(&world.sandbox).await.expect(201);
    assert_eq!(Browser::new().get(&link).await.status, 409);
    world.tenant.connect("u").await;
});

on_both_stores!(a_removed_integration_leaves_its_connections, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let path = "/v1/integrations/sandbox";
    tenant.connect("u").await;
    let gone = tenant.delete(path).await;
    assert_snapshot!(shown(&gone), @"204");
    assert_snapshot!(problem(&tenant.get(path).await), @"404 not_found: Not found: an integration for `sandbox`; enable it with POST /enable-provider.");
    assert_snapshot!(problem(&tenant.delete(path).await), @"404 not_found: Not found: an integration for `sandbox`; enable it with POST /enable-provider.");
    assert_snapshot!(problem(&patch(tenant, path, &json!({ "scopes": "a" })).await), @"404 not_found: Not found: an integration for `sandbox`; enable it with POST /enable-provider.");
    assert_eq!(tenant.get("/v1/integrations").await.expect(200).body["items"], json!([]));
    // No token leaves any more, and none is refreshed: both wait for the integration.
    assert_snapshot!(problem(&tenant.token("u").await), @"422 integration_misconfigured: The provider is not enabled: enable it with /enable-provider, under the client id of the connection.");
    assert_eq!(problem(&world.forced("u").await), problem(&tenant.token("u").await));
    let id = tenant.get("/v1/connections").await.expect(200).body["items"][0]["id"].clone();
    let refresh = format!("/v1/connections/{}/refresh", id.as_str().expect("an id"));
    assert_snapshot!(problem(&tenant.post(&refresh, &json!({})).await), @"422 integration_misconfigured: The provider is not enabled: enable it with /enable-provider, under the client id of the connection.");
    assert_eq!(tenant.get("/v1/connections").await.expect(200).body["items"][0]["status"], "active");
    // It works again under the same client id, and needs its end user under another.
    tenant.enable(&world.sandbox).await.expect(201);
    assert_eq!(tenant.token("u").await.expect(200).body["refresh"]["state"], "fresh");
    tenant.post(&refresh, &json!({})).await.expect(200);
    patch(tenant, path, &json!({ "client_id": "another", "client_secret": "another" })).await.expect(200);
    let changed = tenant.post(&refresh, &json!({})).await;
    assert_eq!(changed.body["reason"], "integration_changed");
    assert_snapshot!(problem(&changed), @"409 reauthorization_required: The grant can give no more tokens: send the end user through /authorize-<provider> again.");
});

on_both_stores!(a_key_for_other_providers, |stores: Stores| async move {
    let world = World::new(stores).await;
    let slack = with_key(&world.tenant, json!({ "providers": ["slack"] })).await;
    let path = "/v1/integrations/sandbox";
    assert_snapshot!(problem(&slack.get(path).await), @"403 insufficient_scope: This API key may not be used for the provider `sandbox`.");
    assert_snapshot!(problem(&patch(&slack, path, &json!({ "scopes": "profile" })).await), @"403 insufficient_scope: This API key may not be used for the provider `sandbox`.");
    assert_snapshot!(problem(&slack.delete(path).await), @"403 insufficient_scope: This API key may not be used for the provider `sandbox`.");
    assert_eq!(slack.get("/v1/integrations").await.expect(200).body["items"], json!([]));
    let own =
        with_key(&world.tenant, json!({ "providers": ["sandbox"], "scopes": ["integrations:read"] })).await;
    let items = own.get("/v1/integrations").await.expect(200).body["items"].clone();
    assert_eq!(items.as_array().map(Vec::len), Some(1));
    assert_eq!(own.get(path).await.expect(200).body, items[0]);
    assert_snapshot!(problem(&own.delete(path).await), @"403 insufficient_scope: The key lacks the scope `integrations:write`; make one that has it.");
    assert_ne!(items[0], Value::Null);
});
