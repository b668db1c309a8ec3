//! Keys of the format that no built-in file uses, each seen in what is sent or read.

use super::{client, read, response, secret, shown, values, with};
use crate::catalog::Values;
use crate::domain::{AccessToken, AuthorizationCode, RefreshToken, Scopes, Secret, Ticket};
use crate::wire::{
    AnswerKind, AuthorizeInputs, BuildError, ClientCredentials, Grant, ProfileFault, authorize_url,
    read_identity, revoke_request, token_request,
};

fn exchange(more: &str) -> String {
    let secret = secret();
    let code = AuthorizationCode::new("CODE");
    let grant = Grant::Code { code: &code, redirect_uri: "https://v.example/cb", code_verifier: None };
    shown(&token_request(&with(more), grant, &client(&secret), &Values::new()).unwrap())
}

fn refreshed(more: &str, known: &Values) -> String {
    let secret = secret();
    let grant = Grant::Refresh { token: &Secret::new("TOKEN") };
    shown(&token_request(&with(more), grant, &client(&secret), known).unwrap())
}

fn revoked(more: &str) -> String {
    let (secret, access, refresh) = (secret(), AccessToken::new("A/1"), RefreshToken::new("R{client_id}"));
    let request = revoke_request(&with(more), &access, Some(&refresh), &client(&secret), &Values::new());
    shown(&request.unwrap().unwrap())
}

#[test]
fn client_authentication() {
    insta::assert_snapshot!(exchange("token.auth = 'basic'"), @r"
        Post https://a.example/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fv.example%2Fcb
        ");
    insta::assert_snapshot!(exchange("token.auth = 'basic_raw'"), @r"
        Post https://a.example/token
        accept: application/json
        authorization: Basic aWQ6MTpzIGVjL3JldA==
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fv.example%2Fcb
        ");
    insta::assert_snapshot!(exchange("token.auth = 'bearer'"), @r"
        Post https://a.example/token
        accept: application/json
        authorization: Bearer s ec/ret
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fv.example%2Fcb
        ");
    insta::assert_snapshot!(exchange("token.auth = 'post'\ntoken.body = 'query'"), @r"
        Post https://a.example/token?grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fv.example%2Fcb&client_id=id%3A1&client_secret=s+ec%2Fret
        accept: application/json
        ");
    insta::assert_snapshot!(exchange("token.auth = 'none'\ntoken.body = 'json'"), @r#"
        Post https://a.example/token
        accept: application/json
        content-type: application/json

        {"client_id":"id:1","code":"CODE","grant_type":"authorization_code","redirect_uri":"https://v.example/cb"}
        "#);
    let nobody = ClientCredentials { client_id: "id", client_secret: None };
    let grant = Grant::Refresh { token: &Secret::new("TOKEN") };
    let request = token_request(&with(""), grant, &nobody, &Values::new());
    assert_eq!(request.unwrap_err(), BuildError::NoSecret);
}

#[test]
fn names_params_and_headers() {
    let more = "
        token.auth = 'post'
        token.rename = { client_id = 'client_key', grant_type = '' }
        token.params = { type = 'web_server' }
        token.headers = { Accept = 'application/vnd.some+json', X-Version = '2' }
    ";
    insta::assert_snapshot!(exchange(more), @r"
        Post https://a.example/token
        accept: application/vnd.some+json
        x-version: 2
        content-type: application/x-www-form-urlencoded

        code=CODE&redirect_uri=https%3A%2F%2Fv.example%2Fcb&client_key=id%3A1&client_secret=s+ec%2Fret&type=web_server
        ");
    let provider = with(
        "
        authorize.rename = { client_id = 'client_key', response_type = '' }
        authorize.scope_param = ''
        authorize.pkce = 'off'
        authorize.params = { access_type = 'off line' }
    ",
    );
    let scopes = Scopes::split("a b", &[' ']);
    let inputs = AuthorizeInputs {
        client_id: "id",
        redirect_uri: "https://v.example/cb?x=1",
        scopes: &scopes,
        state: &Ticket::new("S&T"),
        code_challenge: "C",
        values: &Values::new(),
    };
    insta::assert_snapshot!(authorize_url(&provider, &inputs).unwrap(), @"https://a.example/authorize?client_key=id&redirect_uri=https%3A%2F%2Fv.example%2Fcb%3Fx%3D1&state=S%26T&access_type=off%20line");
}

#[test]
fn refreshes_that_are_their_own() {
    insta::assert_snapshot!(refreshed("
        token.auth = 'none'
        [refresh]
        url = 'https://b.example/refresh?v=1'
        method = 'GET'
        grant = 'renew'
        send = 'access_token'
        params = { a = 'b' }
    ", &Values::new()), @r"
        Get https://b.example/refresh?v=1&grant_type=renew&access_token=TOKEN&client_id=id%3A1&a=b
        accept: application/json
        ");
    let host = "
        token.response.metadata = { instance_url = '/instance_url' }
        refresh.url = '{instance_url}/refresh'
        hosts.instance_url = ['.some.example']
    ";
    let at = |value: &str| values(&[("instance_url", value)]);
    assert!(
        refreshed(host, &at("https://eu.some.example")).starts_with("Post https://eu.some.example/refresh\n")
    );
    let secret = secret();
    let grant = Grant::Refresh { token: &Secret::new("TOKEN") };
    for foreign in ["https://evil.example", "eu.some.example.evil.example", "eu.some.example@evil.example"] {
        assert!(token_request(&with(host), grant, &client(&secret), &at(foreign)).is_err(), "{foreign}");
    }
}

#[test]
fn a_host_in_an_answer_passes_its_rule_or_is_not_taken() {
    let some = with(
        "
        token.response.metadata = { instance_url = '/instance_url' }
        hosts.instance_url = ['.some.example']
    ",
    );
    let answer = |host| response(200, &[], format!(r#"{{"access_token":"A","instance_url":"{host}"}}"#));
    let good = answer("https://eu.some.example");
    assert_eq!(read(&some, AnswerKind::Code, &good), "granted Bearer A instance_url=https://eu.some.example");
    let evil = answer("https://evil.example");
    assert_eq!(
        read(&some, AnswerKind::Code, &evil),
        "unreadable 200: it names a host outside the file's suffixes"
    );
    assert_eq!(read(&some, AnswerKind::Refresh, &evil), "granted Bearer A");
}

#[test]
fn further_tokens() {
    let some = with(
        "
        [tokens.bot]
        access_token = '/bot/token'
        refresh_token = '/bot/refresh'
        expires_in = '/bot/life'
        scope = '/bot/scope'
    ",
    );
    let body = r#"{"access_token":"A","bot":{"token":"B","refresh":"C","life":"60","scope":["x","y"]}}"#;
    for kind in [AnswerKind::Code, AnswerKind::Refresh] {
        let said = read(&some, kind, &response(200, &[], body));
        assert_eq!(said, "granted Bearer A bot=(B refresh=C life=60 scopes=x+y)");
    }
    assert_eq!(
        read(&some, AnswerKind::Code, &response(200, &[], r#"{"access_token":"A"}"#)),
        "granted Bearer A"
    );
}

#[test]
fn revocations() {
    insta::assert_snapshot!(revoked("revoke.url = 'https://a.example/revoke'"), @r"
        Post https://a.example/revoke
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/x-www-form-urlencoded

        token=R%7Bclient_id%7D&token_type_hint=refresh_token
        ");
    insta::assert_snapshot!(revoked("token.auth = 'none'\nrevoke = { url = 'https://a.example/revoke', token = 'access' }"), @r"
        Post https://a.example/revoke
        accept: application/json
        content-type: application/x-www-form-urlencoded

        token=A%2F1&token_type_hint=access_token&client_id=id%3A1
        ");
    insta::assert_snapshot!(revoked("
        [revoke]
        url = 'https://a.example/applications/{client_id}/grant'
        method = 'DELETE'
        token = 'access'
        body = { access_token = '{token}', note = '{client_id}' }
        headers = { Content-Type = 'application/json' }
    "), @r#"
        Delete https://a.example/applications/id%3A1/grant
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        content-type: application/json

        {"access_token":"A/1","note":"id:1"}
        "#);
    insta::assert_snapshot!(revoked("
        [revoke]
        url = 'https://a.example/tokens/{token}'
        method = 'DELETE'
        auth = 'none'
        token = 'access'
    "), @r"
        Delete https://a.example/tokens/A%2F1
        accept: application/json
        ");
}

#[test]
fn identities() {
    let some = with("identity = { url = 'https://a.example/me', id = '/data/id', name = '/data/name' }");
    let identity = some.identity.as_ref().unwrap();
    let read = |status, body: &str| read_identity(identity, &response(status, &[], body));
    let found = read(200, "\u{feff}{\"data\":{\"id\":42}}").unwrap();
    assert_eq!((found.id.as_str(), found.name), ("42", None));
    assert_eq!(read(403, "{}"), Err(ProfileFault::Status(403)));
    assert_eq!(read(200, "<html>"), Err(ProfileFault::NotJson));
    for nobody in ["{}", r#"{"data":{"id":null}}"#, r#"{"data":{"id":""}}"#, "[]"] {
        assert_eq!(read(200, nobody), Err(ProfileFault::NoId), "{nobody}");
    }
    let long = format!(r#"{{"data":{{"id":"{}"}}}}"#, "x".repeat(5000));
    assert_eq!(read(200, &long), Err(ProfileFault::NoId));
}
