//! The providers that products of other companies run on: what is sent to each, and what their answers are read as.

use super::golden::journey;
use super::{built_in, read, response, shown, values};
use crate::catalog::Values;
use crate::domain::{AccessToken, ClientSecret};
use crate::wire::{
    AnswerKind, CallbackFault, Revocation, bearer_get, check_hmac, read_callback, read_identity,
    revocation_outcome,
};
use std::time::Duration;

/// The answer to a code.
fn code(id: &str, status: u16, body: &str) -> String {
    read(&built_in(id), AnswerKind::Code, &response(status, &[], body))
}

/// The answer to a refresh.
fn refresh(id: &str, status: u16, body: &str) -> String {
    read(&built_in(id), AnswerKind::Refresh, &response(status, &[], body))
}

fn ended(id: &str, status: u16) -> Revocation {
    revocation_outcome(&built_in(id), &response(status, &[], ""))
}

#[test]
fn github() {
    let github = built_in("github");
    insta::assert_snapshot!(journey(&github, "repo user:email", &Values::new()), @r#"
        https://github.com/login/oauth/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=repo%20user%3Aemail

        Post https://github.com/login/oauth/access_token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://github.com/login/oauth/access_token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH&client_id=id%3A1&client_secret=s+ec%2Fret

        Delete https://api.github.com/applications/id%3A1/grant
        accept: application/json
        authorization: Basic aWQ6MTpzIGVjL3JldA==
        x-github-api-version: 2022-11-28
        content-type: application/json

        {"access_token":"ACCESS"}
        "#);
    // Asked for with spaces, answered with commas.
    insta::assert_snapshot!(code("github", 200, r#"{"access_token":"gho_16C7","scope":"repo,gist","token_type":"bearer"}"#), @"granted bearer gho_16C7 scopes=repo+gist");
    // A GitHub App whose tokens expire.
    let expiring = r#"{"access_token":"ghu_16C7","expires_in":28800,"refresh_token":"ghr_1B4a","refresh_token_expires_in":15897600,"scope":"","token_type":"bearer"}"#;
    insta::assert_snapshot!(refresh("github", 200, expiring), @"granted bearer ghu_16C7 refresh=ghr_1B4a life=28800 refresh_life=15897600");
    // Refusals come with status 200.
    let refusal = |error: &str| {
        let body = format!(
            r#"{{"error":"{error}","error_description":"The code passed is incorrect or expired.","error_uri":"https://docs.github.com"}}"#
        );
        code("github", 200, &body)
    };
    insta::assert_snapshot!(refusal("bad_verification_code"), @"refused grant bad_verification_code 200");
    insta::assert_snapshot!(refusal("bad_refresh_token"), @"refused grant bad_refresh_token 200");
    insta::assert_snapshot!(refusal("incorrect_client_credentials"), @"refused client incorrect_client_credentials 200");
    insta::assert_snapshot!(refusal("redirect_uri_mismatch"), @"refused client redirect_uri_mismatch 200");
    insta::assert_snapshot!(refusal("unverified_user_email"), @"refused other unverified_user_email 200");
    assert_eq!((ended("github", 204), ended("github", 422)), (Revocation::Revoked, Revocation::Failed));
    let identity = github.identity.as_ref().unwrap();
    let request = bearer_get(&github, &identity.url, &AccessToken::new("ACCESS"), &Values::new()).unwrap();
    insta::assert_snapshot!(shown(&request), @r"
        Get https://api.github.com/user
        accept: application/json
        authorization: Bearer ACCESS
        ");
    let found = read_identity(identity, &response(200, &[], r#"{"login":"octocat","id":583231}"#)).unwrap();
    assert_eq!((found.id.as_str(), found.name.as_deref()), ("583231", Some("octocat")));
}

#[test]
fn microsoft() {
    let microsoft = built_in("microsoft");
    let everybody = values(&[("tenant", &microsoft.variables["tenant"].default)]);
    insta::assert_snapshot!(journey(&microsoft, "User.Read offline_access", &everybody), @r"
        https://login.microsoftonline.com/common/oauth2/v2.0/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=User.Read%20offline_access&response_mode=query

        Post https://login.microsoftonline.com/common/oauth2/v2.0/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://login.microsoftonline.com/common/oauth2/v2.0/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH&client_id=id%3A1&client_secret=s+ec%2Fret

        no revocation
        ");
    let own = journey(&microsoft, "User.Read", &values(&[("tenant", "acme.onmicrosoft.com")]));
    assert!(
        own.starts_with("https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/authorize?"),
        "{own}"
    );
    let pattern = microsoft.variables["tenant"].pattern.as_ref().unwrap();
    assert!(!pattern.matches("") && !pattern.matches("../x") && !pattern.matches("a/b"));
}

#[test]
fn microsoft_answers() {
    let answer = r#"{"token_type":"Bearer","scope":"User.Read","expires_in":3736,"ext_expires_in":3736,"access_token":"eyJ0","refresh_token":"AwAB","id_token":"e30.e30.x"}"#;
    insta::assert_snapshot!(code("microsoft", 200, answer), @"granted Bearer eyJ0 refresh=AwAB life=3736 scopes=User.Read+offline_access");
    // Nobody was away from the keyboard: no refresh token, and its scope is not claimed.
    insta::assert_snapshot!(code("microsoft", 200, r#"{"token_type":"Bearer","scope":"User.Read","expires_in":3736,"access_token":"eyJ0"}"#), @"granted Bearer eyJ0 life=3736 scopes=User.Read");
    let refusal = r#"{"error":"invalid_grant","error_description":"AADSTS70008: The provided authorization code or refresh token has expired","error_codes":[70008]}"#;
    insta::assert_snapshot!(refresh("microsoft", 400, refusal), @"refused grant invalid_grant 400");
    insta::assert_snapshot!(refresh("microsoft", 401, r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided","error_codes":[7000215]}"#), @"refused client invalid_client 401");
    // Somebody may have to sign in again, or a policy forbids it today: no end of the connection.
    insta::assert_snapshot!(refresh("microsoft", 400, r#"{"error":"interaction_required","error_codes":[50079]}"#), @"refused other interaction_required 400");
}

#[test]
fn notion() {
    let notion = built_in("notion");
    insta::assert_snapshot!(journey(&notion, "", &Values::new()), @r#"
        https://api.notion.com/v1/oauth/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&owner=user

        Post https://api.notion.com/v1/oauth/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        notion-version: 2022-06-28
        content-type: application/json

        {"code":"CODE","code_verifier":"VERIFIER","grant_type":"authorization_code","redirect_uri":"https://vault.example/authorization-success/T/p"}

        Post https://api.notion.com/v1/oauth/token
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        notion-version: 2022-06-28
        content-type: application/json

        {"grant_type":"refresh_token","refresh_token":"REFRESH"}

        Post https://api.notion.com/v1/oauth/revoke
        accept: application/json
        authorization: Basic aWQlM0ExOnMrZWMlMkZyZXQ=
        notion-version: 2022-06-28
        content-type: application/json

        {"token":"ACCESS"}
        "#);
    assert!(!journey(&notion, "never sent", &Values::new()).contains("scope"), "it has no scopes");
    let answer = |more: &str| {
        format!(
            r#"{{"access_token":"ntn_1","token_type":"bearer","bot_id":"b3414d65","workspace_id":"j565j4d7","workspace_name":"Acme","workspace_icon":null,
            "owner":{{"type":"user","user":{{"object":"user","id":"u1"}}}},"duplicated_template_id":null,"request_id":"r1"{more}}}"#
        )
    };
    insta::assert_snapshot!(code("notion", 200, &answer("")), @"granted bearer ntn_1 bot=b3414d65 owner=u1 workspace=j565j4d7 workspace_name=Acme");
    insta::assert_snapshot!(refresh("notion", 200, &answer(r#","refresh_token":"nrt_2""#)), @"granted bearer ntn_1 refresh=nrt_2 bot=b3414d65 owner=u1 workspace=j565j4d7 workspace_name=Acme");
    insta::assert_snapshot!(refresh("notion", 400, r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#), @"refused grant invalid_grant 400");
    insta::assert_snapshot!(refresh("notion", 401, r#"{"error":"invalid_client"}"#), @"refused client invalid_client 401");
    insta::assert_snapshot!(refresh("notion", 429, r#"{"object":"error","status":429,"code":"rate_limited"}"#), @"busy 429 after unsaid");
    assert_eq!((ended("notion", 200), ended("notion", 400)), (Revocation::Revoked, Revocation::Failed));
}

#[test]
fn hubspot() {
    let hubspot = built_in("hubspot");
    let optional = values(&[("optional_scopes", "crm.objects.deals.read automation")]);
    insta::assert_snapshot!(journey(&hubspot, "oauth crm.objects.contacts.read", &optional), @r"
        https://app.hubspot.com/oauth/authorize?optional_scope=crm.objects.deals.read%20automation&response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=oauth%20crm.objects.contacts.read

        Post https://api.hubapi.com/oauth/2026-03/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://api.hubapi.com/oauth/2026-03/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH&client_id=id%3A1&client_secret=s+ec%2Fret

        no revocation
        ");
    let alone = journey(&hubspot, "oauth", &values(&[("optional_scopes", "")]));
    assert!(!alone.contains("optional_scope"), "{alone}");
    let answer = r#"{"token_type":"bearer","refresh_token":"na1-ab12","hub_id":62515,"scopes":["oauth","crm.objects.contacts.read"],"access_token":"AAA1234-TOKEN","expires_in":1800}"#;
    insta::assert_snapshot!(code("hubspot", 200, answer), @"granted bearer AAA1234-TOKEN refresh=na1-ab12 life=1800 scopes=oauth+crm.objects.contacts.read portal=62515");
    insta::assert_snapshot!(refresh("hubspot", 400, r#"{"error":"invalid_grant","error_description":"missing or unknown refresh token"}"#), @"refused grant invalid_grant 400");
    insta::assert_snapshot!(refresh("hubspot", 400, r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}"#), @"refused other http_400 400");
}

#[test]
fn salesforce() {
    let salesforce = built_in("salesforce");
    let host = &salesforce.variables["hostname"];
    let production = values(&[("hostname", &host.default)]);
    insta::assert_snapshot!(journey(&salesforce, "api refresh_token", &production), @r"
        https://login.salesforce.com/services/oauth2/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256&scope=api%20refresh_token&prompt=consent

        Post https://login.salesforce.com/services/oauth2/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&code_verifier=VERIFIER&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://login.salesforce.com/services/oauth2/token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH&client_id=id%3A1&client_secret=s+ec%2Fret

        Post https://login.salesforce.com/services/oauth2/revoke
        accept: application/json
        content-type: application/x-www-form-urlencoded

        token=REFRESH
        ");
    let pattern = host.pattern.as_ref().unwrap();
    for good in [
        "test.salesforce.com",
        "acme.my.salesforce.com",
        "acme--dev.sandbox.my.salesforce.com",
        "acme.my.site.com",
    ] {
        assert!(pattern.matches(good), "{good}");
    }
    for bad in [
        "salesforce.com.evil.example",
        "evil-salesforce.com",
        "evil.example",
        "login.salesforce.com:8443",
        "login.salesforce.com/x",
    ] {
        assert!(!pattern.matches(bad), "{bad}");
    }
}

#[test]
fn salesforce_answers() {
    let salesforce = built_in("salesforce");
    let answer = |instance: &str| {
        let body = format!(
            r#"{{"access_token":"00Dx!AR8","signature":"c2ln","scope":"refresh_token api","instance_url":"{instance}","id":"https://login.salesforce.com/id/00Dx/005x","token_type":"Bearer","issued_at":"1278448384422"}}"#
        );
        body
    };
    let there = "https://acme.my.salesforce.com";
    insta::assert_snapshot!(code("salesforce", 200, &answer(there)), @"granted Bearer 00Dx!AR8 scopes=refresh_token+api id=https://login.salesforce.com/id/00Dx/005x instance_url=https://acme.my.salesforce.com");
    for elsewhere in [
        "https://acme.my.salesforce.com.evil.example",
        "https://evil.example/.salesforce.com",
        "http://acme.my.salesforce.com",
    ] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(code("salesforce", 200, &answer(elsewhere)), @"unreadable 200: it names a host outside the file's suffixes");
        }
    }
    // The answer says nothing of a lifetime, so the file does.
    assert_eq!(salesforce.refresh.assumed_lifetime, Some(Duration::from_mins(15)));
    assert_eq!(salesforce.margin(Duration::from_mins(15)), Duration::from_secs(90));
    insta::assert_snapshot!(refresh("salesforce", 400, r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#), @"refused grant invalid_grant 400");
    insta::assert_snapshot!(refresh("salesforce", 400, r#"{"error":"invalid_client_id","error_description":"client identifier invalid"}"#), @"refused client invalid_client_id 400");
    insta::assert_snapshot!(refresh("salesforce", 400, r#"{"error":"inactive_user","error_description":"user is inactive"}"#), @"refused other inactive_user 400");
    assert_eq!(
        (ended("salesforce", 200), ended("salesforce", 400)),
        (Revocation::Revoked, Revocation::Failed)
    );
}

#[test]
fn shopify() {
    let shopify = built_in("shopify");
    let shop = values(&[("subdomain", "acme-store")]);
    insta::assert_snapshot!(journey(&shopify, "read_products write_orders", &shop), @r"
        https://acme-store.myshopify.com/admin/oauth/authorize?response_type=code&client_id=id%3A1&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&state=STATE&scope=read_products%2Cwrite_orders

        Post https://acme-store.myshopify.com/admin/oauth/access_token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=authorization_code&code=CODE&redirect_uri=https%3A%2F%2Fvault.example%2Fauthorization-success%2FT%2Fp&client_id=id%3A1&client_secret=s+ec%2Fret&expiring=1

        Post https://acme-store.myshopify.com/admin/oauth/access_token
        accept: application/json
        content-type: application/x-www-form-urlencoded

        grant_type=refresh_token&refresh_token=REFRESH&client_id=id%3A1&client_secret=s+ec%2Fret

        Delete https://acme-store.myshopify.com/admin/api_permissions/current.json
        accept: application/json
        x-shopify-access-token: ACCESS
        ");
    let answer = r#"{"access_token":"f85632530bf277ec","scope":"write_orders,read_customers","expires_in":3600,"refresh_token":"shprt_1","refresh_token_expires_in":7776000}"#;
    insta::assert_snapshot!(code("shopify", 200, answer), @"granted Bearer f85632530bf277ec refresh=shprt_1 life=3600 refresh_life=7776000 scopes=write_orders+read_customers");
    insta::assert_snapshot!(refresh("shopify", 200, answer), @"granted Bearer f85632530bf277ec refresh=shprt_1 life=3600 refresh_life=7776000 scopes=write_orders+read_customers");
    insta::assert_snapshot!(refresh("shopify", 400, r#"{"error":"invalid_grant","error_description":"The refresh token is invalid"}"#), @"refused grant invalid_grant 400");
    insta::assert_snapshot!(refresh("shopify", 401, r#"{"error":"invalid_client"}"#), @"refused client invalid_client 401");
    assert_eq!((ended("shopify", 200), ended("shopify", 403)), (Revocation::Revoked, Revocation::Failed));
}

#[test]
fn shopify_signs_its_callbacks_and_names_the_shop() {
    let (shopify, secret) = (built_in("shopify"), ClientSecret::new("hush"));
    let query = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
    // The example of Shopify's documentation; openssl dgst -sha256 -hmac hush says the same.
    let signed = "code=0907a61c0c8d55e99db179b68161bc00&hmac=700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf&shop=some-shop.myshopify.com&state=0.6784241404160823&timestamp=1337178173";
    let callback = read_callback(&shopify, &query(signed)).unwrap();
    assert_eq!(callback.captured["shop"], "some-shop.myshopify.com");
    assert_eq!(check_hmac(&shopify, &query(signed), Some(&secret)), Ok(()));
    let other = signed.replace("some-shop", "other-shop");
    assert_eq!(check_hmac(&shopify, &query(&other), Some(&secret)), Err(CallbackFault::Signature));
    let evil = signed.replace("myshopify.com", "myshopify.com.evil.example");
    assert_eq!(read_callback(&shopify, &query(&evil)).unwrap_err(), CallbackFault::Host("shop".to_owned()));
}
