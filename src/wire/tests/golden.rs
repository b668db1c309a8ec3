//! Each built-in provider once through: what is sent, and what its real answers are read as.

use super::{built_in, client, read, response, secret, shown, values};
use crate::catalog::{Pkce, Provider, Values};
use crate::domain::{AccessToken, AuthorizationCode, CodeVerifier, RefreshToken, Scopes, Secret, Ticket};
use crate::wire::{
    AnswerKind, AuthorizeInputs, Grant, Revocation, authorize_url, bearer_get, read_identity, read_metadata,
    revocation_outcome, revoke_request, token_request,
};

/// Every request of one provider.
pub(super) fn journey(provider: &Provider, scopes: &str, given: &Values) -> String {
    let secret = secret();
    let client = client(&secret);
    let redirect_uri = "https://vault.example/authorization-success/T/p";
    let scopes = Scopes::split(scopes, &[' ']);
    let inputs = AuthorizeInputs {
        client_id: client.client_id,
        redirect_uri,
        scopes: &scopes,
        state: &Ticket::new("STATE"),
        code_challenge: "CHALLENGE",
        values: given,
    };
    let url = authorize_url(provider, &inputs).unwrap();
    let verifier = CodeVerifier::new("VERIFIER");
    let code = Grant::Code {
        code: &AuthorizationCode::new("CODE"),
        redirect_uri,
        code_verifier: (provider.authorize.pkce == Pkce::S256).then_some(&verifier),
    };
    let code = token_request(provider, code, &client, given).unwrap();
    let refresh =
        token_request(provider, Grant::Refresh { token: &Secret::new("REFRESH") }, &client, given).unwrap();
    let (access, refresh_token) = (AccessToken::new("ACCESS"), RefreshToken::new("REFRESH"));
    let revoke = revoke_request(provider, &access, Some(&refresh_token), &client, given).unwrap();
    let revoke = revoke.map_or("no revocation\n".to_owned(), |request| shown(&request));
    format!("{url}\n\n{}\n{}\n{revoke}", shown(&code), shown(&refresh))
}

#[test]
fn slack() {
    let slack = built_in("slack");
    let bot = values(&[("bot_scopes", "chat:write,users:read")]);
    insta::assert_snapshot!(journey(&slack, "channels:read chat:write", &bot), @r"
        https://slack.com/oauth/v2/authorize?scope=chat%3Awrite%2Cusers%3Aread&response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&user_scope=channels%3Aread%2Cchat%3Awrite

        Post https://slack.com/api/oauth.v2.access
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER

        Post https://slack.com/api/oauth.v2.access
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH

        Post https://slack.com/api/auth.revoke
        accept: application/json
        authorization: Bearer ACCESS
        ");
    let alone = journey(&slack, "chat:write", &values(&[("bot_scopes", "")]));
    assert!(!alone.contains("?scope=") && !alone.contains("&scope="), "{alone}");
}

#[test]
fn slack_answers() {
    let slack = built_in("slack");
    let read = |kind, body: &str| {
        read(&slack, kind, &response(200, &[("content-type", "application/json; charset=utf-8")], body))
    };
    insta::assert_snapshot!(read(AnswerKind::Code, r#"{
        "ok": true, "access_token": "xoxe.xoxb-1", "token_type": "bot", "scope": "chat:write,users:read",
        "bot_user_id": "U0KRQLJ9H", "app_id": "A0KRD7HC3", "expires_in": 43200, "refresh_token": "xoxe-1-bot",
        "team": {"name": "Slack Softball Team", "id": "T9TK3CUKW"}, "enterprise": null, "is_enterprise_install": false,
        "authed_user": {"id": "U1234", "scope": "channels:read,chat:write", "access_token": "xoxe.xoxp-1",
                        "refresh_token": "xoxe-1-user", "expires_in": 43200, "token_type": "user"}
    }"#), @"granted Bearer xoxe.xoxp-1 refresh=xoxe-1-user life=43200 scopes=channels:read+chat:write app=A0KRD7HC3 bot_user=U0KRQLJ9H team=T9TK3CUKW team_name=Slack Softball Team user=U1234 bot=(xoxe.xoxb-1 refresh=xoxe-1-bot life=43200 scopes=chat:write+users:read)");
    // A bot alone is not what this file is for: there is nobody whose token it would be.
    insta::assert_snapshot!(read(AnswerKind::Code, r#"{"ok": true, "access_token": "xoxb-1", "authed_user": {"id": "U1"}}"#), @"unreadable 200: it has no access token");
    insta::assert_snapshot!(read(AnswerKind::Refresh, r#"{
        "ok": true, "access_token": "xoxe.xoxp-2", "expires_in": 43200, "refresh_token": "xoxe-1-next", "token_type": "user",
        "scope": "chat:write", "app_id": "A0KRD7HC3", "team": {"name": "Slack Softball Team", "id": "T9TK3CUKW"}
    }"#), @"granted Bearer xoxe.xoxp-2 refresh=xoxe-1-next life=43200 scopes=chat:write app=A0KRD7HC3 team=T9TK3CUKW team_name=Slack Softball Team");
    insta::assert_snapshot!(read(AnswerKind::Refresh, r#"{"ok": false, "error": "invalid_refresh_token"}"#), @"refused grant invalid_refresh_token 200");
    insta::assert_snapshot!(read(AnswerKind::Code, r#"{"ok": false, "error": "bad_client_secret"}"#), @"refused client bad_client_secret 200");
    let outcome = |body: &str| revocation_outcome(&slack, &response(200, &[], body));
    assert_eq!(outcome(r#"{"ok": true, "revoked": true}"#), Revocation::Revoked);
    assert_eq!(outcome(r#"{"ok": false, "error": "invalid_auth"}"#), Revocation::Failed);
}

#[test]
fn google() {
    let google = built_in("google");
    let scopes = "openid https://www.googleapis.com/auth/drive.readonly";
    insta::assert_snapshot!(journey(&google, scopes, &Values::new()), @r"
        https://accounts.google.com/o/oauth2/v2/auth?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=openid%20https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdrive.readonly&access_type=offline&prompt=consent

        Post https://oauth2.googleapis.com/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://oauth2.googleapis.com/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://oauth2.googleapis.com/revoke
        accept: application/json
        content-type: application/x-www-form-urlencoded

        token=REFRESH
        ");
}

#[test]
fn google_answers() {
    let google = built_in("google");
    let read = |kind, status, body: &str| {
        read(&google, kind, &response(status, &[("content-type", "application/json")], body))
    };
    insta::assert_snapshot!(read(AnswerKind::Code, 200, r#"{
        "access_token": "ya29.a0", "expires_in": 3599, "refresh_token": "1//0e", "token_type": "Bearer",
        "scope": "openid https://www.googleapis.com/auth/drive.readonly", "id_token": "e30.e30.x"
    }"#), @"granted Bearer ya29.a0 refresh=1//0e life=3599 scopes=openid+https://www.googleapis.com/auth/drive.readonly");
    insta::assert_snapshot!(read(AnswerKind::Refresh, 200, r#"{
        "access_token": "ya29.a1", "expires_in": 3599, "scope": "openid", "token_type": "Bearer"
    }"#), @"granted Bearer ya29.a1 life=3599 scopes=openid");
    insta::assert_snapshot!(read(AnswerKind::Refresh, 400, r#"{
        "error": "invalid_grant", "error_description": "Token has been expired or revoked."
    }"#), @"refused grant invalid_grant 400");
    insta::assert_snapshot!(read(AnswerKind::Refresh, 401, r#"{"error": "invalid_client", "error_description": "Unauthorized"}"#), @"refused client invalid_client 401");
}

#[test]
fn twitter() {
    let twitter = built_in("twitter");
    insta::assert_snapshot!(journey(&twitter, "tweet.read offline.access", &Values::new()), @r"
        https://x.com/i/oauth2/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=tweet.read%20offline.access

        Post https://api.x.com/2/oauth2/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER

        Post https://api.x.com/2/oauth2/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH

        Post https://api.x.com/2/oauth2/revoke
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        token=REFRESH&token_type_hint=refresh_token
        ");
    let answer = r#"{"token_type":"bearer","expires_in":7200,"access_token":"bmV3","scope":"tweet.read offline.access","refresh_token":"cmVm"}"#;
    insta::assert_snapshot!(read(&twitter, AnswerKind::Refresh, &response(200, &[], answer)), @"granted bearer bmV3 refresh=cmVm life=7200 scopes=tweet.read+offline.access");
    let refusal =
        r#"{"error":"invalid_request","error_description":"Value passed for the token was invalid."}"#;
    insta::assert_snapshot!(read(&twitter, AnswerKind::Refresh, &response(400, &[], refusal)), @"refused other invalid_request 400");
}

#[test]
fn atlassian() {
    let atlassian = built_in("atlassian");
    insta::assert_snapshot!(journey(&atlassian, "read:jira-work offline_access", &Values::new()), @r#"
        https://auth.atlassian.com/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=read%3Ajira-work%20offline_access&audience=api.atlassian.com&prompt=consent

        Post https://auth.atlassian.com/oauth/token
        accept: application/json
        content-type: application/json

        {"client_id":"id:1","client_secret":"s ec/ret","code":"CODE","code_verifier":"VERIFIER","grant_type":"authorization_code","redirect_uri":"https://vault.example/authorization-success/T/p"}

        Post https://auth.atlassian.com/oauth/token
        accept: application/json
        content-type: application/json

        {"client_id":"id:1","client_secret":"s ec/ret","grant_type":"refresh_token","refresh_token":"REFRESH"}

        no revocation
        "#);
    let answer = r#"{"access_token":"eyJ","expires_in":3600,"token_type":"Bearer","refresh_token":"eyR","scope":"offline_access read:jira-work"}"#;
    insta::assert_snapshot!(read(&atlassian, AnswerKind::Code, &response(200, &[], answer)), @"granted Bearer eyJ refresh=eyR life=3600 scopes=offline_access+read:jira-work");
    // What it says of a dead refresh token, too: the integration is blamed rather than the connection ended by mistake.
    let refusal = r#"{"error":"unauthorized_client","error_description":"refresh_token is invalid"}"#;
    insta::assert_snapshot!(read(&atlassian, AnswerKind::Refresh, &response(403, &[], refusal)), @"refused client unauthorized_client 403");
    let step = &atlassian.after_connect[0];
    let request = bearer_get(&atlassian, &step.url, &AccessToken::new("ACCESS"), &Values::new()).unwrap();
    insta::assert_snapshot!(shown(&request), @r"
        Get https://api.atlassian.com/oauth/token/accessible-resources
        accept: application/json
        authorization: Bearer ACCESS
        ");
    let sites =
        r#"[{"id":"1324a887","url":"https://acme.atlassian.net","name":"acme","scopes":["read:jira-work"]}]"#;
    let found = read_metadata(&atlassian, &step.metadata, &response(200, &[], sites)).unwrap();
    insta::assert_compact_json_snapshot!(found, @r#"{"cloud_id": "1324a887", "site_name": "acme", "site_url": "https://acme.atlassian.net"}"#);
    assert!(read_metadata(&atlassian, &step.metadata, &response(200, &[], "[]")).unwrap().is_empty());
}

#[test]
fn sandbox() {
    let sandbox = built_in("sandbox");
    let host = values(&[("host", "127.0.0.1:8091")]);
    insta::assert_snapshot!(journey(&sandbox, "read write", &host), @r"
        http://127.0.0.1:8091/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=read%20write

        Post http://127.0.0.1:8091/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER

        Post http://127.0.0.1:8091/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH

        Post http://127.0.0.1:8091/revoke
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        token=REFRESH&token_type_hint=refresh_token
        ");
    let identity = sandbox.identity.as_ref().unwrap();
    let request = bearer_get(&sandbox, &identity.url, &AccessToken::new("ACCESS"), &host).unwrap();
    insta::assert_snapshot!(shown(&request), @r"
        Get http://127.0.0.1:8091/me
        accept: application/json
        authorization: Bearer ACCESS
        ");
    let found = read_identity(identity, &response(200, &[], r#"{"sub":"6fd","name":"ada"}"#)).unwrap();
    assert_eq!((found.id.as_str(), found.name.as_deref()), ("6fd", Some("ada")));
}
