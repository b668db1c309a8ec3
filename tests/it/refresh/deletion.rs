//! The end of a connection, while a refresh is under way and while the provider is in trouble.

use super::*;

impl Stage {
    async fn delete(&self, of: &Connected) -> Answer {
        self.tenant.delete(&format!("/v1/connections/{}", of.id)).await
    }

    async fn is_gone(&self, of: &Connected) {
        assert_eq!(self.token(&of.user).await.expect(404).code(), "connection_not_found");
        assert_eq!(self.delete(of).await.expect(404).code(), "connection_not_found");
        assert_eq!(self.tenant.get("/v1/connections").await.expect(200).body["items"], json!([]));
    }
}

on_both_stores!(what_comes_for_a_deleted_connection_is_revoked, |stores: Stores| async move {
    let stage = Stage::new(stores, NONE, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike(Fault::Delay(500));
    let (refreshed, deleted) = tokio::join!(stage.forced("ada"), async {
        until("the refresh is under way", async || stage.counts().refreshes == 1).await;
        stage.delete(&who).await
    });
    assert_eq!(deleted.expect(200).body["revocation"], "revoked");
    assert_eq!(refreshed.expect(404).code(), "connection_not_found", "and no token");
    assert_eq!(stage.counts().revoke_requests, 2, "once for what was kept, once for what came late");
    assert!(!stage.family(&who).alive);
    stage.is_gone(&who).await;
    assert!(stage.app.stop().await, "nothing was left undone");
});

/// The late answer is revoked also where the first revocation did not end it.
#[tokio::test]
async fn what_comes_late_is_revoked_by_itself() {
    let stage = Stage::new(Stores::Embedded, NONE, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike(Fault::Delay(500));
    assert!(stage.sandbox.control().fault(Rule::new(Endpoint::Revoke, Fault::ServerError).times(1)));
    let (refreshed, deleted) = tokio::join!(stage.forced("ada"), async {
        until("the refresh is under way", async || stage.counts().refreshes == 1).await;
        stage.delete(&who).await
    });
    assert_eq!(deleted.expect(200).body["revocation"], "failed");
    refreshed.expect(404);
    assert!(!stage.family(&who).alive, "the second revocation ended it");
    stage.is_gone(&who).await;
}

#[tokio::test]
async fn an_end_user_who_connects_again_keeps_the_new_grant() {
    let stage = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    stage.strike(Fault::Delay(1000));
    let (_, again) = tokio::join!(stage.forced("ada"), async {
        until("the refresh is under way", async || stage.counts().refreshes == 1).await;
        stage.connect("ada", LONG).await
    });
    assert_eq!(again.id, who.id);
    let after = stage.token("ada").await.expect(200);
    assert_eq!((after.text("access_token"), &after.body["generation"]), (again.token.clone(), &2.into()));
    let next = stage.forced("ada").await.expect(200);
    assert!(stage.works(&next.text("access_token")).await);
    assert_eq!(stage.family(&again).refreshes, 1, "with the refresh token of the new grant");
}

#[tokio::test]
async fn a_provider_in_trouble_keeps_no_connection() {
    let stage = Stage::new(Stores::Embedded, STRICT, HASTY).await;
    for (fault, after_effect, word) in [
        (Fault::ServerError, false, "failed"),
        (Fault::TooManyRequests("5".to_owned()), false, "failed"),
        (Fault::Json { status: 401, body: json!({ "error": "invalid_client" }) }, false, "failed"),
        (Fault::Redirect("http://127.0.0.1:1/".to_owned()), false, "failed"),
        (Fault::Close, false, "unknown"),
        (Fault::Close, true, "unknown"),
        (Fault::Delay(3000), false, "unknown"),
    ] {
        let who = stage.connect("ada", LONG).await;
        let rule = Rule::new(Endpoint::Revoke, fault.clone()).times(1);
        assert!(stage.sandbox.control().fault(if after_effect { rule.after_effect() } else { rule }));
        assert_eq!(stage.delete(&who).await.expect(200).body["revocation"], word, "{fault:?}");
        stage.is_gone(&who).await;
    }
}

#[tokio::test]
async fn a_provider_that_is_down_keeps_no_connection() {
    let Stage { app, sandbox, tenant, _files, .. } = Stage::new(Stores::Embedded, STRICT, &[]).await;
    let id = tenant.connect("ada").await["id"].as_str().expect("an id").to_owned();
    sandbox.stop().await;
    let deleted = tenant.delete(&format!("/v1/connections/{id}")).await.expect(200);
    assert_eq!(deleted.body["revocation"], "failed", "nothing was sent");
    assert_eq!(tenant.token("ada").await.expect(404).code(), "connection_not_found");
    assert!(app.stop().await);
}

#[tokio::test]
async fn a_provider_without_revocation_says_so() {
    let folder = STRICT.folder();
    let path = folder.path().join("sandbox.toml");
    let text = std::fs::read_to_string(&path).expect("a text");
    let (before, rest) = text.split_once("[revoke]").expect("it has one");
    let (_, after) = rest.split_once("[identity]").expect("it has one");
    assert!(!before.contains("[identity]"));
    std::fs::write(&path, format!("{before}[identity]{after}")).expect("a file");
    let app =
        App::start_with(Stores::Embedded, &[("providers.dirs", &folder.path().display().to_string())]).await;
    let stage = Stage::on(app, STRICT, folder).await;
    let who = stage.connect("ada", LONG).await;
    assert_eq!(stage.delete(&who).await.expect(200).body["revocation"], "unsupported");
    assert!(stage.family(&who).alive);
    stage.is_gone(&who).await;
}
