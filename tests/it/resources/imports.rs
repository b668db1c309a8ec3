//! Grants that a tenant brings along.

use super::{World, problem, shown};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::tenant::Answer;
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use insta::assert_snapshot;
use serde_json::{Value, json};

impl World {
    async fn import(&self, further: &Value) -> Answer {
        let mut body = json!({ "provider": "sandbox", "end_user": "u" });
        body.as_object_mut().expect("an object").extend(further.as_object().expect("an object").clone());
        self.tenant.post("/v1/connections", &body).await
    }

    async fn connections(&self) -> Value {
        self.tenant.get("/v1/connections").await.expect(200).body["items"].clone()
    }
}

on_both_stores!(a_grant_from_elsewhere, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (access, refresh) = world.grant_from_elsewhere().await;
    let imported = world
        .import(&json!({ "access_token": access, "refresh_token": refresh, "expires_in": 1800, "scopes": "profile", "metadata": { "team": "T1" } }))
        .await;
    assert_snapshot!(shown(&imported), @r#"201 {"account":"","client_id":"sandbox-client","connected_at":"<time>","created_at":"<time>","end_user":"u","expires_at":"<time>","failures":0,"generation":1,"id":"<id>","identity":{"id":null,"name":null},"last_error":null,"last_error_at":null,"metadata":{"team":"T1"},"missing_scopes":[],"next_refresh_at":"<time>","provider":"sandbox","reason":null,"reauthorize_by":null,"refreshed_at":null,"retry_at":null,"scopes":["profile"],"status":"active","summary":"Working. The token ends at <time>.","token_type":"Bearer"}"#);
    let token = world.tenant.token("u").await.expect(200);
    assert_eq!(
        (token.text("access_token"), &token.body["refresh"]["state"]),
        (access.clone(), &json!("fresh"))
    );
    assert_eq!(token.body["metadata"], json!({ "team": "T1" }));
    // It is a connection like any other: refreshed, and ended at the provider.
    let forced = world.forced("u").await.expect(200);
    assert_ne!(forced.text("access_token"), access);
    assert!(forced.body["expires_in"].as_u64() > Some(1800));
    // The slot is taken; another label is not.
    let again = json!({ "access_token": "another", "refresh_token": "another" });
    assert_snapshot!(problem(&world.import(&again).await), @"409 conflict: This end user has a connection here already. Delete it first, or name a different `account`.");
    assert_eq!(world.tenant.token("u").await.expect(200).text("access_token"), forced.text("access_token"));
    let other = json!({ "access_token": "another", "account": "work" });
    let other = world.import(&other).await.expect(201);
    assert_eq!(
        (&other.body["expires_at"], &other.body["scopes"]),
        (&Value::Null, &json!(["profile", "offline_access"]))
    );
    let path = format!("/v1/connections/{}", imported.text("id"));
    assert_eq!(world.tenant.delete(&path).await.expect(200).body["revocation"], "revoked");
    world.import(&again).await.expect(201);
});

on_both_stores!(one_that_has_expired_is_refreshed_when_it_is_asked_for, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (_, refresh) = world.grant_from_elsewhere().await;
    let body = json!({ "access_token": "long dead", "refresh_token": refresh, "expires_in": 0 });
    world.import(&body).await.expect(201);
    let token = world.tenant.token("u").await.expect(200);
    assert_eq!(
        (&token.body["refresh"]["state"], &token.body["generation"]),
        (&json!("refreshed"), &json!(2))
    );
});

on_both_stores!(checked_by_a_refresh, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (access, refresh) = world.grant_from_elsewhere().await;
    let body = json!({ "access_token": access, "refresh_token": refresh, "check": true });
    let checked = world.import(&body).await.expect(201);
    assert_eq!((&checked.body["generation"], &checked.body["status"]), (&json!(2), &json!("active")));
    let token = world.tenant.token("u").await.expect(200);
    assert_ne!(token.text("access_token"), access);
    assert_eq!(world.sandbox.control().counts().refreshes, 1);
});

on_both_stores!(what_the_provider_does_not_refresh_is_not_kept, |stores: Stores| async move {
    let soon = [("refresh.backoff_min", "1ms"), ("refresh.backoff_max", "1ms")];
    let world = World::on(App::start_with(stores, &soon).await).await;
    let made_up = json!({ "access_token": "a", "refresh_token": "made up", "check": true });
    let refused = world.import(&made_up).await;
    assert_eq!(refused.body["provider_error"], "invalid_grant");
    assert_snapshot!(problem(&refused), @"502 provider_refused: The provider answered `invalid_grant`.");
    assert_eq!(world.connections().await, json!([]));
    let (access, refresh) = world.grant_from_elsewhere().await;
    let good = json!({ "access_token": access, "refresh_token": refresh, "check": true });
    let fault = |fault| world.sandbox.control().fault(Rule::new(Endpoint::Token, fault).times(1));
    fault(Fault::Json { status: 401, body: json!({ "error": "invalid_client" }) });
    assert_snapshot!(problem(&world.import(&good).await), @"422 integration_misconfigured: The provider answered `invalid_client` to the client id and secret: mend them with PATCH /v1/integrations/<provider>.");
    fault(Fault::Json { status: 400, body: json!({ "error": "invalid_scope" }) });
    assert_snapshot!(problem(&world.import(&good).await), @"502 provider_refused: The provider answered `invalid_scope`.");
    fault(Fault::ServerError);
    assert_snapshot!(problem(&world.import(&good).await), @"503 provider_unavailable: The provider could not be asked, or gave no usable answer. Try again after Retry-After.");
    fault(Fault::TooManyRequests("7".to_owned()));
    let later = world.import(&good).await;
    assert_eq!(later.headers["retry-after"], "7");
    assert_eq!(world.connections().await, json!([]), "so that it can be made again");
    world.import(&good).await.expect(201);
    // Without the check nobody asks the provider.
    world
        .import(&json!({ "access_token": "a", "refresh_token": "made up", "account": "b" }))
        .await
        .expect(201);
});

on_both_stores!(what_is_refused, |stores: Stores| async move {
    let world = World::new(stores).await;
    let with = |further: Value| {
        let mut body = json!({ "access_token": "a" });
        body.as_object_mut().expect("an object").extend(further.as_object().expect("an object").clone());
        let world = &world;
        async move { problem(&world.import(&body).await) }
    };
    assert_snapshot!(problem(&world.import(&json!({})).await), @"400 invalid_request `access_token`: `access_token` is missing");
    assert_snapshot!(with(json!({ "access_token": "" })).await, @"400 invalid_request `access_token`: `access_token` must be 1 to 16384 printable ASCII characters");
    assert_snapshot!(with(json!({ "access_token": "ü" })).await, @"400 invalid_request `access_token`: `access_token` must be 1 to 16384 printable ASCII characters");
    assert_snapshot!(with(json!({ "access_token": "x".repeat(16 * 1024 + 1) })).await, @"400 invalid_request `access_token`: `access_token` must be 1 to 16384 printable ASCII characters");
    assert_snapshot!(with(json!({ "refresh_token": "a\nb" })).await, @"400 invalid_request `refresh_token`: `refresh_token` must be 1 to 16384 printable ASCII characters");
    assert_snapshot!(with(json!({ "expires_in": -1 })).await, @"400 invalid_request `expires_in`: `expires_in` must be a whole number of seconds, not a negative number");
    assert_snapshot!(with(json!({ "expires_in": 315_360_001 })).await, @"400 invalid_request `expires_in`: `expires_in` must be ten years at most");
    assert_snapshot!(with(json!({ "scopes": "a\"b" })).await, @"400 invalid_request `scopes`: `scopes` must be scopes as RFC 6749 section 3.3 has them");
    assert_snapshot!(with(json!({ "end_user": "" })).await, @"400 invalid_request `end_user`: `end_user` must be 1 to 255 bytes");
    assert_snapshot!(with(json!({ "account": "x".repeat(256) })).await, @"400 invalid_request `account`: `account` must be 255 bytes at most");
    assert_snapshot!(with(json!({ "variables": { "host": world.host() } })).await, @"400 invalid_request `variables.host`: `variables.host` variables.host is not one of the variables asked here");
    assert_snapshot!(with(json!({ "metadata": { "host": "evil.example" } })).await, @"400 invalid_request `metadata`: `metadata` has a member that is a variable: `host`");
    assert_snapshot!(with(json!({ "metadata": { "a b": "c" } })).await, @"400 invalid_request `metadata`: `metadata` has a member that is not named by 1 to 64 letters, digits, `_` and `-`");
    assert_snapshot!(with(json!({ "metadata": { "a": "b\u{0}" } })).await, @"400 invalid_request `metadata`: `metadata` has a member that is longer than 4096 bytes or holds control characters: `a`");
    assert_snapshot!(with(json!({ "check": true })).await, @"400 invalid_request `check`: `check` needs a `refresh_token`");
    assert_snapshot!(with(json!({ "id": "x" })).await, @"400 invalid_request `id`: `id` is not a field of this request; known are provider, end_user, account, access_token, refresh_token, expires_in, scopes, variables, metadata, check");
    assert_snapshot!(with(json!({ "provider": "slack" })).await, @"404 not_found: Not found: an integration for `slack`; enable it with POST /enable-provider.");
    assert_snapshot!(with(json!({ "provider": "nobody" })).await, @"404 not_found: Not found: a provider `nobody`.");
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("m{n}"), json!("x"))).collect();
    assert_snapshot!(with(json!({ "metadata": many })).await, @"400 invalid_request `metadata`: `metadata` must have 50 members at most");
    assert_eq!(world.connections().await, json!([]));
});

/// What comes out of answers and names a host has to be one that the provider's file accepts; so has what is brought along.
#[tokio::test]
async fn a_host_is_one_of_the_file() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let own = include_str!("../../../providers/sandbox.toml");
    let answers = "[token.response]\nmetadata = { instance_url = \"/instance_url\" }";
    let file = format!("{own}\n{answers}\n[hosts]\ninstance_url = [\".example.com\"]\n");
    std::fs::write(folder.path().join("sandbox.toml"), file).expect("a file");
    let folder = folder.path().display().to_string();
    let world = World::on(App::start_with(Stores::Embedded, &[("providers.dirs", &folder)]).await).await;
    let with = |host: &str| json!({ "access_token": "a", "metadata": { "instance_url": host } });
    let evil = world.import(&with("https://evil.example")).await;
    assert_snapshot!(problem(&evil), @"400 invalid_request `metadata`: `metadata` has a member that is not a host under the suffixes of the provider's file: `instance_url`");
    world.import(&with("https://eu.example.com")).await.expect(201);
}
