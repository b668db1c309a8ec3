//! `refresh.hold`: what spends a refresh token is not sent, and nothing is lost by it.

use super::*;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::sync::Arc;

/// Two servers on one store that differ in `refresh.hold`: the second is what an operator starts on a restored backup.
async fn held(mode: Mode) -> (Stage, App) {
    let (files, key) = (mode.folder(), new_master_key(Some("test")));
    let folder = files.path().display().to_string();
    let redis = Stores::Redis(Arc::new(RedisServer::start(&[])));
    let settings = [("providers.dirs", folder.as_str()), ("vault.master_keys", key.as_str())];
    let app = App::start_with(redis.clone(), &settings).await;
    let holding = App::spawn(redis, &[&settings[..], &[("refresh.hold", "true")]].concat());
    (Stage::on(app, mode, files).await, holding)
}

#[tokio::test]
async fn a_live_token_is_handed_out_and_an_expired_one_refused_in_plain_words() {
    for mode in [STRICT, GRACE] {
        let (stage, holding) = held(mode).await;
        let tenant = stage.tenant.at(&holding);
        let alive = stage.connect("ada", LONG).await;
        let forced = ask(&tenant, "ada", &json!({ "force_refresh": true })).await.expect(200);
        assert_eq!(forced.text("access_token"), alive.token);
        let said = json!({ "state": "failing", "retry_at": null, "error": "refresh_held" });
        assert_eq!(forced.body["refresh"], said);
        assert_eq!(tenant.token("ada").await.expect(200).body["refresh"]["state"], "fresh");

        let dying = stage.connect("bob", SHORT).await;
        stage.expire(&dying).await;
        let refused = tenant.token("bob").await.expect(503);
        assert_eq!(
            (refused.code(), refused.body["retry_after"].as_u64()),
            ("provider_unavailable", Some(60))
        );
        assert_eq!(refused.headers["retry-after"], "60");
        assert!(refused.text("detail").contains("whoever runs this server"), "{refused:?}");

        let counts = stage.counts();
        assert_eq!((counts.refresh_requests, counts.refreshes), (0, 0), "nothing was sent: {counts:?}");
        assert_eq!(stage.seen(&dying).await["status"], "active", "nothing was written down against it");
        // The hold ends, and the refresh token is as good as it was.
        let fresh = stage.token("bob").await.expect(200);
        assert_eq!(
            (&fresh.body["refresh"]["state"], fresh.body["generation"].as_u64()),
            (&json!("refreshed"), Some(2))
        );
        assert_eq!(stage.family(&dying).reuses, 0);
    }
}

#[tokio::test]
async fn where_a_refresh_spends_nothing_it_is_made_as_always() {
    let (stage, holding) = held(NONE).await;
    let tenant = stage.tenant.at(&holding);
    stage.connect("ada", LONG).await;
    let forced = ask(&tenant, "ada", &json!({ "force_refresh": true })).await.expect(200);
    assert_eq!((&forced.body["refresh"]["state"], stage.counts().refreshes), (&json!("refreshed"), 1));
}

#[tokio::test]
async fn operators_are_told() {
    let (stage, holding) = held(STRICT).await;
    let warned = |line: &str| line.contains("refresh.hold is on") && line.contains("WARN");
    assert!(holding.log().lines().any(warned), "{}", holding.log());
    assert_eq!(holding.metric("grantkeep_refresh_held").await, Some(1.0));
    assert_eq!(stage.app.metric("grantkeep_refresh_held").await, Some(0.0));
}
