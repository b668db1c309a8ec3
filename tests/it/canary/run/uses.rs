//! What is done with a connection once it is there: tokens, imports, changes, and every refusal.

use super::*;

impl Run<'_> {
    /// Completes, hands out, refreshes with and without success, refuses, and deletes.
    pub async fn use_it(&mut self, end_user: &str) {
        let completion = self.completion.clone();
        self.post("refused", 400, "/complete-authorization", &json!({ "completion": completion })).await;
        let complete = json!({ "completion": completion, "end_user": end_user });
        let connection = self.post("completed", 201, "/complete-authorization", &complete).await;
        self.post("refused", 410, "/complete-authorization", &complete).await;
        let wish = json!({ "provider": "canary", "end_user": end_user });
        self.post("token", 200, "/get-access-token", &wish).await;
        let bot = json!({ "provider": "canary", "end_user": end_user, "token": "bot" });
        self.post("token", 200, "/get-access-token", &bot).await;
        self.look();
        let forced = json!({ "provider": "canary", "end_user": end_user, "force_refresh": true });
        self.post("token", 200, "/get-access-token", &forced).await;
        self.look();
        let faults = [
            Rule::new(Endpoint::Token, Fault::Malformed),
            Rule::new(Endpoint::Token, Fault::ServerError),
            Rule::new(Endpoint::Token, Fault::Close).after_effect(),
            Rule::new(Endpoint::Token, Fault::Huge),
        ];
        for rule in faults {
            self.tap.sandbox.control().fault(rule.only(Grant::RefreshToken).times(1));
            let request = self.request(Method::POST, "/get-access-token").bearer_auth(&self.key);
            let answer =
                raw(request.header("content-type", "application/json").body(forced.to_string())).await;
            self.keep("token", &answer);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(self.tap.sandbox.control().counts().refresh_requests, 5, "every fault struck");
        self.look();
        let id = connection["id"].as_str().expect("an id").to_owned();
        self.get("a connection", 200, &format!("/v1/connections/{id}")).await;
        self.get("connections", 200, "/v1/connections").await;
        self.get("keys", 200, "/v1/api-keys").await;
        self.get("tenant", 200, "/v1/tenant").await;
        let session = self.session.clone();
        self.get("session", 200, &format!("/v1/sessions/{session}")).await;
        self.bring_along().await;
        self.get("providers", 200, "/providers").await;
        self.refusals().await;
        let delete = self.request(Method::DELETE, &format!("/v1/connections/{id}")).bearer_auth(&self.key);
        self.hear("deleted", 200, delete).await;
        self.look();
    }

    /// A grant from elsewhere: kept, refused, checked in vain.
    async fn bring_along(&mut self) {
        let mut import = json!({
            "provider": "canary",
            "end_user": "user 9",
            "access_token": IMPORTED_ACCESS,
            "refresh_token": IMPORTED_REFRESH,
        });
        self.post("imported", 201, "/v1/connections", &import).await;
        self.look();
        self.post("refused", 409, "/v1/connections", &import).await;
        import["end_user"] = json!("user 10");
        import["check"] = json!(true);
        self.post("refused", 502, "/v1/connections", &import).await;
        import["metadata"] = json!({ IMPORTED_REFRESH: IMPORTED_ACCESS });
        self.post("refused", 400, "/v1/connections", &import).await;
        import["expires_in"] = json!(IMPORTED_REFRESH);
        self.post("refused", 400, "/v1/connections", &import).await;
    }

    /// Secrets where they do not belong: what is sent by mistake is not told back.
    async fn refusals(&mut self) {
        let key = self.key.clone();
        for field in ["provider", "end_user", "min_ttl", "force_refresh", "token", "account"] {
            let mut body = json!({ "provider": "canary", "end_user": "nobody" });
            body[field] = json!([key]);
            self.post("refused", 400, "/get-access-token", &body).await;
        }
        self.post("refused", 400, "/get-access-token", &json!({ "provider": key, "end_user": "x" })).await;
        self.post("refused", 400, "/v1/api-keys", &json!({ "name": "x", "expires_at": key })).await;
        self.post("refused", 400, "/v1/api-keys", &json!({ "name": "x", "ips": [key] })).await;
        self.post("refused", 400, "/v1/api-keys", &json!({ "name": "x", "scopes": [key] })).await;
        self.get("refused", 404, &format!("/v1/connections/{key}")).await;
        self.get("refused", 404, &format!("/{key}?token={key}")).await;
        self.get("refused", 400, &format!("/v1/connections?cursor={key}")).await;
        self.get("refused", 400, &format!("/v1/connections?status={key}")).await;
        let request = self.request(Method::POST, "/v1/api-keys").basic_auth(EMAIL, Some(WRONG));
        self.hear("refused", 401, request).await;
        let fields =
            format!("username={EMAIL}&password={}&provider=canary&end_user=nobody", NEW.replace(' ', "+"));
        let form = self
            .request(Method::POST, "/get-access-token")
            .header("content-type", "application/x-www-form-urlencoded");
        self.hear("refused", 404, form.body(fields)).await;
        let broken =
            self.request(Method::POST, "/get-access-token").header("content-type", "application/json");
        self.hear("refused", 400, broken.body(format!("{{\"password\": \"{PASSWORD}\", \"provider\""))).await;
        let broken = self.request(Method::POST, "/signup").header("content-type", "application/json");
        self.hear(
            "refused",
            400,
            broken.body(format!("{{\"email\": \"{EMAIL}\", \"password\": \"{PASSWORD}\" oops")),
        )
        .await;
        let body = json!({ "email": PASSWORD, "password": PASSWORD });
        self.post("refused", 400, "/signup", &body).await;
    }

    /// The secrets that only the wire to the provider has seen.
    pub fn overheard(&mut self) {
        for (name, before, keep, least, may) in [
            ("access token", "sandbox-access-", true, 2, &["token"] as &'static [&'static str]),
            ("refresh token", "sandbox-refresh-", true, 2, &[]),
            ("PKCE verifier", "code_verifier=", false, 1, &[]),
        ] {
            let heard = self.tap.heard(before, keep);
            assert!(heard.len() >= least, "{name}: {heard:?}");
            for value in &heard {
                self.plant(name, value, may);
            }
        }
    }
}
