//! A client secret is changed: here first, or at the provider first, and nothing stands still.

use super::{World, patch, problem};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::clock::Ahead;
use crate::support::tenant::{HOME, Tenant, arrive};
use grantkeep::crypto::hash;
use grantkeep::domain::ClientSecret;
use grantkeep::sandbox::Client;
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const PATH: &str = "/v1/integrations/sandbox";
/// A little less than a week.
const NEARLY_A_WEEK: Duration = Duration::from_mins(7 * 24 * 60 - 5);

impl World {
    /// The provider takes this secret from now on, and no other.
    fn provider_takes(&self, secret: &str) {
        let client = Client { id: "sandbox-client".to_owned(), secret: ClientSecret::new(secret) };
        self.sandbox.control().register(&client);
    }

    async fn set(&self, secret: &str) -> Value {
        patch(&self.tenant, PATH, &json!({ "client_secret": secret })).await.expect(200).body
    }

    /// What is told of the secret before.
    async fn previous(&self) -> Value {
        self.tenant.get(PATH).await.expect(200).body["previous_client_secret"].clone()
    }

    async fn refreshes(&self) -> bool {
        let state = self.forced("u").await.expect(200).body["refresh"]["state"].clone();
        state == "refreshed"
    }
}

/// Failures are tried again at once.
async fn quick(stores: Stores) -> World {
    let soon = [("refresh.backoff_min", "1ms"), ("refresh.backoff_max", "1ms")];
    World::on(App::start_with(stores, &soon).await).await
}

on_both_stores!(changed_here_first, |stores: Stores| async move {
    let world = quick(stores).await;
    world.tenant.connect("u").await;
    assert_eq!(world.previous().await, Value::Null);
    let set = world.set("new-secret").await;
    assert_eq!(
        (&set["has_client_secret"], &set["previous_client_secret"]["last_used_at"]),
        (&json!(true), &Value::Null)
    );
    assert!(set["previous_client_secret"]["until"].is_string(), "{set}");
    // The provider knows the old one only: an exchange, a refresh and a revocation go through with it.
    assert!(world.refreshes().await);
    assert!(world.previous().await["last_used_at"].is_string());
    let other = world.tenant.connect("v").await["id"].as_str().expect("an id").to_owned();
    let deleted = world.tenant.delete(&format!("/v1/connections/{other}")).await.expect(200);
    assert_eq!(deleted.body["revocation"], "revoked");
    let counts = world.sandbox.control().counts();
    assert_eq!(
        (counts.refreshes, counts.families[&1].alive),
        (1, true),
        "the refused requests spent nothing"
    );
    // Now the provider knows the new one.
    world.provider_takes("new-secret");
    assert!(world.refreshes().await);
    assert_eq!(world.previous().await["last_used_at"], Value::Null, "the newer one is taken");
    let metrics = http().get(format!("{}/metrics", world.app.admin)).send().await.expect("it answers");
    let metrics = metrics.text().await.expect("a text");
    assert!(metrics.contains("grantkeep_previous_secrets_total{provider=\"sandbox\"}"), "{metrics}");
    // And the old one goes.
    let dropped = patch(&world.tenant, PATH, &json!({ "drop_previous_secret": true })).await.expect(200);
    assert_eq!(dropped.body["previous_client_secret"], Value::Null);
    assert!(world.refreshes().await);
    world.provider_takes("sandbox-secret");
    assert_eq!(
        world.forced("u").await.expect(200).body["refresh"]["error"],
        "invalid_client",
        "it is really gone"
    );
});

on_both_stores!(changed_at_the_provider_first, |stores: Stores| async move {
    let world = quick(stores).await;
    world.tenant.connect("u").await;
    world.provider_takes("new-secret");
    let id = world.tenant.get("/v1/connections").await.expect(200).body["items"][0]["id"].clone();
    let refresh = format!("/v1/connections/{}/refresh", id.as_str().expect("an id"));
    assert_snapshot!(problem(&world.tenant.post(&refresh, &json!({})).await), @"422 integration_misconfigured: The provider answered `invalid_client` to the client id and secret: mend them with PATCH /v1/integrations/<provider>.");
    world.set("new-secret").await;
    assert!(world.refreshes().await, "no refresh token was spent meanwhile");
    assert_eq!(world.previous().await["last_used_at"], Value::Null);
});

// The one in between was mistyped: what the provider knows is the one before it.
on_both_stores!(a_mistyped_secret_does_not_push_out_the_good_one, |stores: Stores| async move {
    let world = quick(stores).await;
    world.tenant.connect("u").await;
    world.set("mistyped").await;
    assert!(world.refreshes().await);
    world.set("right-but-not-there-yet").await;
    assert!(world.refreshes().await);
    // The same again is no change.
    world.set("right-but-not-there-yet").await;
    assert!(world.previous().await["last_used_at"].is_string());
    world.provider_takes("right-but-not-there-yet");
    assert!(world.refreshes().await);
    // From here on it is this one that comes before the next.
    world.set("the next").await;
    assert!(world.refreshes().await);
});

on_both_stores!(what_goes_with_another_client_or_at_once, |stores: Stores| async move {
    let world = quick(stores).await;
    // A replacement keeps the one before, under the same client id only.
    let enable = |id: &str, secret: &str| json!({ "provider": "sandbox", "client_id": id, "client_secret": secret, "redirect_url": HOME, "variables": { "host": world.host() } });
    let replaced = world.tenant.post("/enable-provider", &enable("sandbox-client", "new")).await.expect(200);
    assert!(replaced.body["previous_client_secret"]["until"].is_string());
    let other = world.tenant.post("/enable-provider", &enable("another", "new")).await.expect(200);
    assert_eq!(other.body["previous_client_secret"], Value::Null);
    // One that leaked goes at once.
    let both = json!({ "client_secret": "newer", "drop_previous_secret": true });
    let at_once = patch(&world.tenant, PATH, &both).await.expect(200);
    assert_eq!(at_once.body["previous_client_secret"], Value::Null);
});

#[tokio::test]
async fn the_one_before_is_good_for_a_week() {
    let clock = Arc::new(Ahead::default());
    let soon = [("refresh.backoff_min", "1ms"), ("refresh.backoff_max", "1ms")];
    let app = App::start_by(Stores::Embedded, &soon, clock.clone()).await;
    let world = World::on(app).await;
    world.tenant.connect("u").await;
    world.set("new-secret").await;
    clock.pass(NEARLY_A_WEEK);
    assert!(world.refreshes().await);
    clock.pass(Duration::from_mins(6));
    assert_eq!(world.previous().await, Value::Null);
    let failing = world.forced("u").await.expect(200);
    assert_eq!(failing.body["refresh"]["error"], "invalid_client");
    // It went without ending what was begun.
    let link = world.tenant.begin("v").await;
    world.forced("u").await.expect(200);
    assert_eq!(Browser::new().get(&link).await.status, 303);
}

/// Where a provider signs its callbacks with the client secret, either is good while it is changed.
#[tokio::test]
async fn a_callback_may_be_signed_with_either() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let own = include_str!("../../../providers/sandbox.toml");
    let signing = format!("{own}\n[callback]\nhmac = {{ param = \"hmac\", algorithm = \"sha256\" }}\n");
    std::fs::write(folder.path().join("sandbox.toml"), signing).expect("a file");
    let folder = folder.path().display().to_string();
    let app = App::start_with(Stores::Embedded, &[("providers.dirs", &folder)]).await;
    let world = World::on(app).await;
    world.set("new-secret").await;
    for (secret, status) in [("sandbox-secret", 303), ("new-secret", 303), ("a third", 403)] {
        assert_eq!(returned(&world.tenant, secret).await, status, "signed with {secret}");
    }
}

/// A return that is signed with this secret; the answer's status.
async fn returned(tenant: &Tenant, secret: &str) -> u16 {
    let mut browser = Browser::new();
    let page = arrive(&mut browser, &tenant.begin("u").await).await;
    let mut back = browser.send(&page, &page.form().press("allow")).await.location().expect("it goes back");
    let mut pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
    pairs.sort();
    let part = |text: &str| text.replace('%', "%25").replace('&', "%26");
    let signed: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", part(name).replace('=', "%3D"), part(value)))
        .collect();
    let mac = hash::hmac_sha256(secret.as_bytes(), signed.join("&").as_bytes());
    let hex = mac.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    back.query_pairs_mut().append_pair("hmac", &hex);
    browser.get(back.as_str()).await.status.as_u16()
}
