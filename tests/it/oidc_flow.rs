//! The flow against npm `oidc-provider`, a certified server that nobody here wrote: connect, fetch, expire, refresh, revoke.

use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, Page, http};
use crate::support::oidc::OidcProvider;
use crate::support::tenant::{Answer, HOME, Tenant, answer};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// A provider file for it, as an operator would write one.
pub fn described(issuer: &str, said_issuer: &str) -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = format!(
        r#"name = "Certified"
protocol = "oauth2"
issuer = "{said_issuer}"
iss_required = true

[authorize]
url = "{issuer}/auth"
params = {{ prompt = "consent" }}
pkce = "S256"

[token]
url = "{issuer}/token"
auth = "basic"

[refresh]
rotation = "strict"

[revoke]
url = "{issuer}/token/revocation"

[identity]
url = "{issuer}/me"
id = "/sub"
name = "/name"
"#
    );
    std::fs::write(folder.path().join("certified.toml"), file).expect("a file");
    folder
}

/// A server, the certified one as its provider, and a tenant that has enabled it.
pub struct Flow {
    pub app: App,
    provider: OidcProvider,
    pub tenant: Tenant,
    _file: TempDir,
}

impl Flow {
    /// Registers a client with the callback that was told, and enables it.
    async fn new(stores: Stores, said_issuer: Option<&str>) -> Self {
        let provider = OidcProvider::start(5);
        let file = described(provider.issuer(), said_issuer.unwrap_or(provider.issuer()));
        let app = App::start_with(stores, &[("providers.dirs", &file.path().display().to_string())]).await;
        Self::on(app, provider, file).await
    }

    /// The same on a server that runs already and knows that file.
    pub async fn on(app: App, provider: OidcProvider, file: TempDir) -> Self {
        let tenant = Tenant::new(&app).await;
        let callback = format!("{}/authorization-success/{}/certified", app.url, tenant.id());
        let client = provider.register(&callback).await;
        let enabled = tenant
            .post(
                "/enable-provider",
                &json!({
                    "provider": "certified",
                    "client_id": client.client_id,
                    "client_secret": client.client_secret,
                    "scopes": ["openid", "offline_access", "profile"],
                    "redirect_url": HOME,
                }),
            )
            .await
            .expect(201);
        assert_eq!(enabled.text("callback_url"), callback);
        Self { app, provider, tenant, _file: file }
    }

    /// Logs in as somebody, consents, and follows to the tenant's product.
    pub async fn agree(&self, end_user: &str, login: &str) -> Page {
        let begun =
            self.tenant.post("/authorize-certified", &json!({ "end_user": end_user })).await.expect(201);
        let mut browser = Browser::new();
        let mut page = browser.get(&begun.text("authorize_url")).await;
        page = browser.follow(page, HOME).await;
        for _ in 0..5 {
            if page.location().is_some()
                || page.status != 200
                || !page.url.as_str().starts_with(self.provider.issuer())
            {
                break;
            }
            let form = page.form().fill("login", login).fill("password", "whatever");
            page = browser.send(&page, &form).await;
            page = browser.follow(page, HOME).await;
        }
        page
    }

    /// Connects "user 1"; the connection.
    pub async fn connect(&self) -> Value {
        let back = self.agree("user 1", "ada").await;
        let completion = back.parameter("completion").unwrap_or_else(|| panic!("{back:?}"));
        self.tenant.complete(&completion, "user 1").await.expect(201).body
    }

    async fn token(&self) -> Answer {
        token(&self.tenant).await
    }

    /// What userinfo says to a token.
    pub async fn me(&self, token: &str) -> Answer {
        answer(http().get(format!("{}/me", self.provider.issuer())).bearer_auth(token)).await
    }
}

/// Asks for a token of "user 1".
pub async fn token(tenant: &Tenant) -> Answer {
    tenant.post("/get-access-token", &json!({ "provider": "certified", "end_user": "user 1" })).await
}

on_both_stores!(connect_fetch_expire_refresh_revoke, |stores: Stores| async move {
    let flow = Flow::new(stores, None).await;
    let connection = flow.connect().await;
    assert_eq!(
        (&connection["status"], &connection["identity"]["id"]),
        (&"active".into(), &"ada".into()),
        "{connection}"
    );
    assert_eq!(connection["missing_scopes"], json!([]));

    let mut seen = vec![flow.token().await.expect(200).text("access_token")];
    assert_eq!(flow.me(&seen[0]).await.expect(200).body["sub"], "ada");
    for generation in 2..4 {
        let old = seen.last().expect("a token").clone();
        let mut waited = 0;
        while flow.me(&old).await.status == 200 {
            waited += 1;
            assert!(waited < 400, "five seconds are over");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let fresh = flow.token().await.expect(200);
        assert_eq!(
            (&fresh.body["generation"], &fresh.body["refresh"]["state"]),
            (&generation.into(), &"refreshed".into())
        );
        let token = fresh.text("access_token");
        assert!(!seen.contains(&token));
        assert_eq!(flow.me(&token).await.expect(200).body["sub"], "ada");
        seen.push(token);
    }

    let last = seen.last().expect("a token");
    let path = format!("/v1/connections/{}", connection["id"].as_str().expect("an id"));
    assert_eq!(flow.tenant.delete(&path).await.expect(200).body["revocation"], "revoked");
    assert_eq!(flow.me(last).await.status, 401, "the grant is gone there too");
    assert_eq!(flow.token().await.expect(404).code(), "connection_not_found");
    assert!(flow.app.stop().await, "nothing was left undone");
});

#[tokio::test]
async fn an_issuer_that_is_not_the_one_of_the_file_is_refused() {
    let flow = Flow::new(Stores::Embedded, Some("http://127.0.0.1:1")).await;
    let back = flow.agree("user 1", "ada").await;
    assert_eq!((back.status.as_u16(), back.location()), (403, None), "{back:?}");
    assert!(back.url.path().starts_with("/authorization-success/"), "{}", back.url);
    assert_eq!(flow.token().await.expect(404).code(), "connection_not_found");
    let all: Value = flow.tenant.get("/v1/connections").await.expect(200).body;
    assert_eq!(all["items"], json!([]));
}
