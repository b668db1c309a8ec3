//! The main job, end to end, on each store.

use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::tenant::Tenant;
use grantkeep::adapters::system::{SystemChance, SystemClock};
use grantkeep::sandbox::{Behaviour, Sandbox, SandboxOptions};
use std::sync::Arc;
use std::time::Duration;

/// A sandbox whose tokens live that long.
pub async fn sandbox(access_lifetime: Duration) -> Sandbox {
    let behaviour = Behaviour { access_lifetime, ..Behaviour::default() };
    let options = SandboxOptions { behaviour, ..SandboxOptions::default() };
    Sandbox::start(options, Arc::new(SystemClock::new()), Arc::new(SystemChance)).await.expect("it starts")
}

on_both_stores!(from_sign_up_to_refresh_to_deletion, |stores: Stores| async move {
    whole(App::start(stores).await).await;
});

/// The whole of it, and then a stop.
pub async fn whole(app: App) {
    let sandbox = sandbox(Duration::from_secs(2)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let connection = tenant.connect("user 1").await;
    assert_eq!((connection["status"].as_str(), connection["generation"].as_u64()), (Some("active"), Some(1)));
    let first = tenant.token("user 1").await.expect(200);
    assert_eq!(first.body["refresh"]["state"], "fresh");
    while sandbox.control().counts().refreshes == 0 {
        tenant.token("user 1").await.expect(200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = tenant.token("user 1").await.expect(200);
    assert_ne!(first.text("access_token"), second.text("access_token"));
    assert_eq!(second.body["generation"], 2);
    let path = format!("/v1/connections/{}", connection["id"].as_str().expect("an id"));
    let gone = tenant.delete(&path).await.expect(200);
    assert_eq!(gone.body["revocation"], "revoked");
    assert_eq!(tenant.token("user 1").await.expect(404).code(), "connection_not_found");
    assert!(!sandbox.control().counts().families[&1].alive);
    assert!(app.stop().await, "nothing was left undone");
}
