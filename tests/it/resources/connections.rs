//! Connections: several accounts of one end user, filters, pages that go on while things change, refreshes that are ordered.

use super::{LONG, World, delete_with, problem, shown};
use crate::accounts::with_key;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::Browser;
use crate::support::tenant::{Answer, Tenant, agree, answer};
use grantkeep::sandbox::{Behaviour, Endpoint, Fault, Rule};
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

async fn connect(tenant: &Tenant, end_user: &str, account: &str) -> Value {
    let begin = json!({ "end_user": end_user, "account": account });
    let begun = tenant.post("/authorize-sandbox", &begin).await.expect(201);
    let back = agree(&mut Browser::new(), &begun.text("authorize_url")).await;
    let completion = back.parameter("completion").expect("a completion");
    tenant.complete(&completion, end_user).await.expect(201).body
}

async fn token(tenant: &Tenant, end_user: &str, account: &str) -> Answer {
    let ask = json!({ "provider": "sandbox", "end_user": end_user, "account": account });
    tenant.post("/get-access-token", &ask).await
}

fn id(connection: &Value) -> &str {
    connection["id"].as_str().expect("an id")
}

async fn list(tenant: &Tenant, query: &str) -> (Vec<Value>, Option<String>) {
    let page = tenant.get(&format!("/v1/connections?{query}")).await.expect(200).body;
    let next = page["next_cursor"].as_str().map(str::to_owned);
    (page["items"].as_array().expect("items").clone(), next)
}

fn accounts(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["account"].as_str().expect("a text")).collect()
}

on_both_stores!(several_accounts_of_one_end_user, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let (work, home) = (connect(tenant, "ada", "work").await, connect(tenant, "ada", "home").await);
    let plain = connect(tenant, "ada", "").await;
    let ids: BTreeSet<&str> = [&work, &home, &plain].into_iter().map(id).collect();
    assert_eq!(ids.len(), 3);
    let mut tokens = BTreeSet::new();
    for (account, connection) in [("work", &work), ("home", &home), ("", &plain)] {
        let answer = token(tenant, "ada", account).await.expect(200);
        assert_eq!(
            (&answer.body["account"], &answer.body["connection"]),
            (&json!(account), &connection["id"])
        );
        tokens.insert(answer.text("access_token"));
    }
    assert_eq!(tokens.len(), 3, "each has its own");
    assert_eq!(accounts(&list(tenant, "end_user=ada").await.0), ["", "home", "work"]);
    assert_eq!(accounts(&list(tenant, "end_user=ada&account=home").await.0), ["home"]);
    assert_eq!(accounts(&list(tenant, "account=").await.0), [""]);
    assert_eq!(accounts(&list(tenant, "end_user=bob&account=home").await.0), [""; 0]);
    // A refresh and the end of one touch no other.
    tenant.post(&format!("/v1/connections/{}/refresh", id(&work)), &json!({})).await.expect(200);
    let gone = tenant.delete(&format!("/v1/connections/{}", id(&home))).await.expect(200);
    assert_eq!(gone.body["revocation"], "revoked");
    assert_eq!(token(tenant, "ada", "home").await.expect(404).code(), "connection_not_found");
    assert_eq!(token(tenant, "ada", "work").await.expect(200).body["generation"], 2);
    assert_eq!(token(tenant, "ada", "").await.expect(200).body["generation"], 1);
    assert_eq!(accounts(&list(tenant, "end_user=ada").await.0), ["", "work"]);
    // The label is free again, for another connection.
    assert_ne!(id(&connect(tenant, "ada", "home").await), id(&home));
});

// What was there all along comes once, whatever comes and goes between the pages.
on_both_stores!(pages_go_on_while_things_change, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let import = |account: String| async move {
        let body = json!({ "provider": "sandbox", "end_user": "ada", "account": account, "access_token": "t", "expires_in": 3600 });
        tenant.post("/v1/connections", &body).await.expect(201).text("id")
    };
    for query in ["", "end_user=ada&", "provider=sandbox&status=active&"] {
        let mut ids = Vec::new();
        for n in 10..20 {
            ids.push(import(format!("a{n}")).await);
        }
        let (mut seen, mut cursor, mut round) = (Vec::new(), String::new(), 0);
        loop {
            let (items, next) = list(tenant, &format!("{query}limit=2{cursor}")).await;
            seen.extend(accounts(&items).into_iter().map(str::to_owned));
            // One before the position comes, the last one seen goes, and one that is still to come goes.
            if round == 1 {
                import("a00".to_owned()).await;
                import("a18x".to_owned()).await;
                for gone in [&ids[3], &ids[7]] {
                    tenant.delete(&format!("/v1/connections/{gone}")).await.expect(200);
                }
            }
            round += 1;
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, ["a10", "a11", "a12", "a13", "a14", "a15", "a16", "a18", "a18x", "a19"], "{query}");
        for item in list(tenant, "limit=100").await.0 {
            tenant.delete(&format!("/v1/connections/{}", id(&item))).await.expect(200);
        }
    }
});

on_both_stores!(a_refresh_that_is_ordered, |stores: Stores| async move {
    let soon = [("refresh.backoff_min", "1ms"), ("refresh.backoff_max", "1ms")];
    let world = World::on(App::start_with(stores, &soon).await).await;
    let tenant = &world.tenant;
    let connection = connect(tenant, "ada", "").await;
    let path = format!("/v1/connections/{}/refresh", id(&connection));
    let first = token(tenant, "ada", "").await.expect(200).text("access_token");
    let refreshed = tenant.post(&path, &json!({})).await;
    assert_snapshot!(shown(&refreshed), @r#"200 {"account":"","client_id":"sandbox-client","connected_at":"<time>","created_at":"<time>","end_user":"ada","expires_at":"<time>","failures":0,"generation":2,"id":"<id>","identity":{"id":"<id>","name":"ada"},"last_error":null,"last_error_at":null,"metadata":{},"missing_scopes":[],"next_refresh_at":"<time>","provider":"sandbox","reason":null,"reauthorize_by":null,"refreshed_at":"<time>","retry_at":null,"scopes":["profile","offline_access"],"status":"active","summary":"Working. The token ends at <time>.","token_type":"Bearer"}"#);
    let second = token(tenant, "ada", "").await.expect(200);
    assert_ne!(second.text("access_token"), first);
    assert!(!refreshed.body.to_string().contains(&second.text("access_token")), "never the token");
    // Without a body too, and as a form.
    let bare = answer(tenant.request(Method::POST, &path)).await.expect(200);
    assert_eq!(bare.body["generation"], 3);
    assert_snapshot!(problem(&tenant.post(&path, &json!({ "token": "bot" })).await), @"400 invalid_request `token`: `token` is not a field of this request; there are none");
    assert_snapshot!(problem(&tenant.post("/v1/connections/none/refresh", &json!({})).await), @"404 connection_not_found: There is no such connection: send the end user through /authorize-<provider> to make one.");
    let absent = "/v1/connections/0123456789abcdefghijAB/refresh";
    assert_snapshot!(problem(&tenant.post(absent, &json!({})).await), @"404 connection_not_found: There is no such connection: send the end user through /authorize-<provider> to make one.");
    let wrong = tenant.get(&path).await;
    assert_eq!(wrong.headers["allow"], "POST");
    assert_snapshot!(problem(&wrong), @"405 invalid_request: This path takes POST.");
    // The provider's trouble is told, where handing out the old token would hide it.
    world.sandbox.control().fault(Rule::new(Endpoint::Token, Fault::ServerError).times(1));
    let failed = tenant.post(&path, &json!({})).await;
    assert!(failed.headers.contains_key("retry-after"));
    assert_snapshot!(problem(&failed), @"503 provider_unavailable: The provider could not be asked, or gave no usable answer. Try again after Retry-After.");
    tokio::time::sleep(Duration::from_millis(5)).await;
    let refused = Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) };
    let twice = Rule::new(Endpoint::Token, refused).times(1);
    world.sandbox.control().fault(twice);
    let dead = tenant.post(&path, &json!({})).await.expect(409);
    assert_eq!(dead.body["reason"], "refresh_outcome_unknown", "after a 500 of a provider that rotates");
    assert_snapshot!(problem(&tenant.post(&path, &json!({})).await), @"409 reauthorization_required: The grant can give no more tokens: send the end user through /authorize-<provider> again.");
});

on_both_stores!(what_cannot_be_refreshed, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let import = |account: &'static str, lives: u64| async move {
        let body = json!({ "provider": "sandbox", "end_user": "ada", "account": account, "access_token": "t", "expires_in": lives });
        let id = tenant.post("/v1/connections", &body).await.expect(201).text("id");
        tenant.post(&format!("/v1/connections/{id}/refresh"), &json!({})).await
    };
    assert_snapshot!(problem(&import("lives", 60).await), @"409 conflict: This grant has no refresh token: its access token works until it expires.");
    let over = import("over", 0).await;
    assert_eq!(over.body["reason"], "refresh_token_expired");
    assert_snapshot!(problem(&over), @"409 reauthorization_required: The grant can give no more tokens: send the end user through /authorize-<provider> again.");
});

on_both_stores!(a_key_for_other_providers, |stores: Stores| async move {
    let world = World::new(stores).await;
    let connection = connect(&world.tenant, "ada", "").await;
    let slack = with_key(&world.tenant, json!({ "providers": ["slack"] })).await;
    let refresh = format!("/v1/connections/{}/refresh", id(&connection));
    assert_snapshot!(problem(&slack.post(&refresh, &json!({})).await), @"403 insufficient_scope: This API key may not be used for the provider `sandbox`.");
    let import = json!({ "provider": "sandbox", "end_user": "bob", "access_token": "t" });
    assert_snapshot!(problem(&slack.post("/v1/connections", &import).await), @"403 insufficient_scope: This API key may not be used for the provider `sandbox`.");
    assert_snapshot!(problem(&delete_with(&slack, "/v1/tenant", &json!({ "confirm": world.tenant.id() })).await), @"403 insufficient_scope: This API key is for some providers only, and this is about the whole tenant.");
    let reader = with_key(&world.tenant, json!({ "scopes": ["connections:read"] })).await;
    assert_snapshot!(problem(&reader.post(&refresh, &json!({})).await), @"403 insufficient_scope: The key lacks the scope `connections:write`; make one that has it.");
    world.sandbox.control().behave(Behaviour { access_lifetime: LONG, ..Behaviour::default() });
    assert_eq!(token(&world.tenant, "ada", "").await.expect(200).body["generation"], 1);
    assert_eq!(list(&world.tenant, "end_user=bob").await.0, [Value::Null; 0]);
});
