//! The tenant itself: read and renamed.

use super::{World, patch, problem, shown};
use crate::accounts::with_key;
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::http;
use crate::support::tenant::{PASSWORD, answer};
use insta::assert_snapshot;
use serde_json::json;

on_both_stores!(read_and_renamed, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    let first = tenant.get("/v1/tenant").await;
    assert_eq!(first.text("id"), tenant.id());
    assert_snapshot!(shown(&first), @r#"200 {"created_at":"<time>","id":"<id>","product":"Acme CRM","status":"active"}"#);
    let renamed = patch(tenant, "/v1/tenant", &json!({ "product": " Cafe\u{301} & Co " })).await;
    assert_snapshot!(shown(&renamed), @r#"200 {"created_at":"<time>","id":"<id>","product":"Café & Co","status":"active"}"#);
    assert_eq!(patch(tenant, "/v1/tenant", &json!({})).await.expect(200).body, renamed.body);
    assert_eq!(tenant.get("/v1/tenant").await.expect(200).body, renamed.body);
    assert_snapshot!(problem(&patch(tenant, "/v1/tenant", &json!({ "product": "a\nb" })).await), @"400 invalid_request `product`: `product` must be 80 characters at most, on one line, without control characters");
    assert_snapshot!(problem(&patch(tenant, "/v1/tenant", &json!({ "product": "x".repeat(81) })).await), @"400 invalid_request `product`: `product` must be 80 characters at most, on one line, without control characters");
    assert_snapshot!(problem(&patch(tenant, "/v1/tenant", &json!({ "status": "deleting" })).await), @"400 invalid_request `status`: `status` is not a field of this request; known are product");
    assert_eq!(patch(tenant, "/v1/tenant", &json!({ "product": "" })).await.expect(200).body["product"], "");
    let wrong = tenant.post("/v1/tenant", &json!({})).await;
    assert_eq!(wrong.headers["allow"], "GET, HEAD, PATCH, DELETE");
    assert_snapshot!(problem(&wrong), @"405 invalid_request: This path takes GET, HEAD, PATCH, DELETE.");
});

on_both_stores!(who_may, |stores: Stores| async move {
    let world = World::new(stores).await;
    let tenant = &world.tenant;
    // Any good credential reads it, whatever its scopes; one for some providers only does not.
    let narrow = with_key(tenant, json!({ "scopes": "tokens:read" })).await;
    narrow.get("/v1/tenant").await.expect(200);
    assert_snapshot!(problem(&patch(&narrow, "/v1/tenant", &json!({ "product": "Mine" })).await), @"403 insufficient_scope: The key lacks the scope `tenant:write`; make one that has it.");
    let owner = http().get(format!("{}/v1/tenant", world.app.url)).basic_auth(&tenant.email, Some(PASSWORD));
    assert_eq!(answer(owner).await.expect(200).text("id"), tenant.id());
    let nobody = http().get(format!("{}/v1/tenant", world.app.url));
    assert_snapshot!(problem(&answer(nobody).await), @"401 unauthenticated: Send `Authorization: Bearer` with an API key, or Basic with the e-mail address and password of a verified account.");
    let slack = with_key(tenant, json!({ "providers": ["slack"] })).await;
    assert_snapshot!(problem(&slack.get("/v1/tenant").await), @"403 insufficient_scope: This API key is for some providers only, and this is about the whole tenant.");
    assert_snapshot!(problem(&patch(&slack, "/v1/tenant", &json!({ "product": "Mine" })).await), @"403 insufficient_scope: This API key is for some providers only, and this is about the whole tenant.");
    assert_eq!(tenant.get("/v1/tenant").await.expect(200).body["product"], "Acme CRM");
});
