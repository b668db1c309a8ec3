//! One API key, read by its id.

use super::{World, problem, shown};
use crate::accounts::with_key;
use crate::on_both_stores;
use crate::support::app::Stores;
use insta::assert_snapshot;
use serde_json::json;

on_both_stores!(a_key_is_read_and_never_shown, |stores: Stores| async move {
    let world = World::new(stores).await;
    let fields = json!({ "name": "backend", "scopes": "tokens:read", "providers": "slack", "ips": "192.0.2.7", "expires_at": "2099-01-31T12:00:00Z" });
    let made = world.tenant.post("/v1/api-keys", &fields).await.expect(201);
    let path = format!("/v1/api-keys/{}", made.text("id"));
    let read = world.tenant.get(&path).await;
    assert_snapshot!(shown(&read), @r#"200 {"created_at":"<time>","expires_at":"<time>","id":"<id>","ips":["192.0.2.7/32"],"name":"backend","providers":["slack"],"scopes":["tokens:read"]}"#);
    assert_snapshot!(problem(&world.tenant.get("/v1/api-keys/0123456789abcdef").await), @"404 not_found: Not found: API key 0123456789abcdef.");
    assert_snapshot!(problem(&world.tenant.get("/v1/api-keys/none").await), @"404 not_found: Not found: an API key of that id.");
    let other = with_key(&world.tenant, json!({ "scopes": "tokens:read" })).await;
    assert_snapshot!(problem(&other.get(&path).await), @"403 insufficient_scope: The key lacks the scope `keys:write`; make one that has it.");
    world.tenant.delete(&path).await.expect(204);
    assert_eq!(world.tenant.get(&path).await.expect(404).code(), "not_found");
});
