//! Every key of the format is read, and every one that is left out has its default.

use super::{least_and, provider};
use crate::catalog::{
    BodyKind, ClientAuth, HttpMethod, OldAccess, OnUnknown, Pkce, Pointer, RefreshWith, RevokeToken, Rotation,
};
use std::time::Duration;

const EVERYTHING: &str = r#"
name = "Some"
categories = ["a", "b"]
docs = "https://a.example/docs"
protocol = "oauth2"
issuer = "https://{shop}.a.example"
iss_required = true
[variables.shop]
title = "Shop name"
pattern = "[a-z0-9][a-z0-9-]*"
default = ""
example = "acme"
at = "authorize"
[authorize]
url = "https://{shop}.a.example/authorize?fixed=1"
params = { access_type = "offline" }
rename = { client_id = "client_key", response_type = "" }
scope_param = "user_scope"
scope_separator = ","
pkce = "off"
code_param = "auth_code"
code_lifetime = "30s"
[token]
url = "https://{shop}.a.example/token"
auth = "basic_raw"
body = "json"
params = { expiring = "1" }
headers = { X-Version = "2" }
rename = { client_id = "client_key" }
[token.response]
access_token = "/data/access_token"
refresh_token = "/data/refresh_token"
expires_in = "/data/expires_in"
refresh_expires_in = "/data/refresh_expires_in"
token_type = ""
scope = "/data/scope"
scope_separator = ";"
refresh_scope = "offline"
ok = "/ok"
error = "/data/error"
metadata = { instance_url = "/instance_url" }
[tokens.bot]
access_token = "/bot/access_token"
[refresh]
url = "https://{instance_url}/refresh"
method = "GET"
grant = "again"
send = "access_token"
params = { a = "b" }
rotation = "grace"
grace = "3m"
on_unknown = "reauthorize"
old_access = "10m"
margin = "1m"
min_age = "24h"
assumed_lifetime = "1h"
idle_limit = "90d"
absolute_limit = "365d"
[refresh.response]
access_token = "/access_token"
[revoke]
url = "https://a.example/revoke/{client_id}"
method = "DELETE"
auth = "post"
token = "access"
body = { access_token = "{token}" }
headers = { X-Version = "3" }
[callback]
capture = ["realmId"]
hmac = { param = "hmac", algorithm = "sha256" }
[identity]
url = "https://{instance_url}/me"
id = "/sub"
name = "/email"
[[after_connect]]
url = "https://a.example/sites"
metadata = { cloud_id = "/0/id" }
[[after_connect]]
url = "https://a.example/sites/{cloud_id}/{realmId}"
metadata = { site = "/name" }
[hosts]
instance_url = [".salesforce.com", ".force.com"]
"#;

fn at(text: &str) -> Pointer {
    Pointer(text.to_owned())
}

#[test]
fn the_head_and_the_authorization_endpoint() {
    let some = provider(EVERYTHING);
    assert_eq!((some.name.as_str(), some.docs.as_str()), ("Some", "https://a.example/docs"));
    assert_eq!(some.categories, ["a", "b"]);
    assert!(some.iss_required);
    let shop = &some.variables["shop"];
    assert_eq!((shop.title.as_str(), shop.example.as_str(), shop.is_required()), ("Shop name", "acme", true));
    let authorize = &some.authorize;
    assert_eq!(authorize.params["access_type"], "offline");
    assert_eq!(authorize.rename["client_id"].as_deref(), Some("client_key"));
    assert_eq!(authorize.rename["response_type"], None);
    assert_eq!(authorize.scope_param.as_deref(), Some("user_scope"));
    assert_eq!((authorize.scope_separator, authorize.pkce), (',', Pkce::Off));
    assert_eq!(authorize.code_param, "auth_code");
    assert_eq!(authorize.code_lifetime, Some(Duration::from_secs(30)));
}

#[test]
fn the_token_endpoint_and_refreshes() {
    let some = provider(EVERYTHING);
    assert_eq!((some.token.auth, some.token.body), (ClientAuth::BasicRaw, BodyKind::Json));
    assert_eq!((&*some.token.params["expiring"], &*some.token.headers["X-Version"]), ("1", "2"));
    let answer = &some.token.response;
    assert_eq!((&answer.access_token, &answer.token_type), (&at("/data/access_token"), &None));
    assert_eq!(answer.refresh_expires_in, Some(at("/data/refresh_expires_in")));
    assert_eq!((&answer.ok, &answer.error), (&Some(at("/ok")), &Some(at("/data/error"))));
    assert_eq!((answer.scope_separator, answer.refresh_scope.as_deref()), (';', Some("offline")));
    let refreshed = &some.refresh.response;
    assert_eq!((refreshed.scope_separator, refreshed.refresh_scope.as_deref()), (';', Some("offline")));
    assert_eq!(some.tokens["bot"].access_token, at("/bot/access_token"));
    assert_eq!(some.tokens["bot"].refresh_token, None);
    let refresh = &some.refresh;
    assert_eq!(some.refresh_url().as_str(), "https://{instance_url}/refresh");
    assert_eq!((refresh.method, refresh.send), (HttpMethod::Get, RefreshWith::AccessToken));
    assert_eq!((refresh.grant.as_str(), &*refresh.params["a"]), ("again", "b"));
    assert_eq!((refresh.rotation, refresh.on_unknown), (Rotation::Grace, OnUnknown::Reauthorize));
    assert_eq!(refresh.grace, Duration::from_mins(3));
    assert_eq!(refresh.old_access, OldAccess::For(Duration::from_mins(10)));
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!((refresh.min_age, refresh.idle_limit, refresh.absolute_limit), (days(1), days(90), days(365)));
    assert_eq!(
        (refresh.margin, refresh.assumed_lifetime),
        (Some(Duration::from_mins(1)), Some(Duration::from_hours(1)))
    );
    // Its own access token, the rest inherited.
    assert!(refresh.own_response);
    assert_eq!(refresh.response.access_token, at("/access_token"));
    assert_eq!(refresh.response.expires_in, answer.expires_in);
}

#[test]
fn what_comes_after() {
    let some = provider(EVERYTHING);
    let revoke = some.revoke.as_ref().unwrap();
    assert_eq!(
        (revoke.method, revoke.auth, revoke.token),
        (HttpMethod::Delete, ClientAuth::Post, RevokeToken::Access)
    );
    assert!(revoke.names_token());
    assert_eq!((&*revoke.body["access_token"], &*revoke.headers["X-Version"]), ("{token}", "3"));
    assert_eq!(some.callback.capture, ["realmId"]);
    assert_eq!(some.callback.hmac.as_deref(), Some("hmac"));
    let identity = some.identity.as_ref().unwrap();
    assert_eq!((&identity.id, &identity.name), (&at("/sub"), &Some(at("/email"))));
    assert_eq!(some.after_connect.len(), 2);
    assert_eq!(some.after_connect[0].metadata["cloud_id"], at("/0/id"));
    let rule = &some.hosts["instance_url"];
    assert_eq!(rule.accept("https://NA1.salesforce.com/").as_deref(), Some("na1.salesforce.com"));
    assert_eq!(rule.accept("na1.my.force.com").as_deref(), Some("na1.my.force.com"));
    for foreign in [
        "salesforce.com",
        ".salesforce.com",
        "evilsalesforce.com",
        "a.salesforce.com.evil.example",
        "",
        "https://a.salesforce.com/path",
        "https://u@a.salesforce.com",
        "http://a.salesforce.com",
        "a.salesforce.com:8443",
        "evil.example/.salesforce.com",
        "evil.example?.salesforce.com",
    ] {
        assert_eq!(rule.accept(foreign), None, "{foreign}");
    }
}

#[test]
fn defaults() {
    let least = least_and("");
    assert_eq!((least.categories.len(), least.docs.as_str(), least.issuer.is_none()), (0, "", true));
    let authorize = &least.authorize;
    assert_eq!(authorize.scope_param.as_deref(), Some("scope"));
    assert_eq!(
        (authorize.scope_separator, authorize.pkce, authorize.code_param.as_str()),
        (' ', Pkce::S256, "code")
    );
    let answer = &least.token.response;
    assert_eq!((answer.scope_separator, answer.refresh_scope.as_deref()), (' ', None));
    assert_eq!((least.token.auth, least.token.body), (ClientAuth::Basic, BodyKind::Form));
    let answer = &least.token.response;
    assert_eq!((&answer.access_token, &answer.error), (&at("/access_token"), &Some(at("/error"))));
    assert_eq!((&answer.ok, &answer.refresh_expires_in), (&None, &None));
    let refresh = &least.refresh;
    assert_eq!((refresh.method, refresh.grant.as_str()), (HttpMethod::Post, "refresh_token"));
    assert_eq!((refresh.rotation, refresh.on_unknown), (Rotation::None, OnUnknown::Retry));
    assert_eq!((refresh.old_access, refresh.grace), (OldAccess::Valid, Duration::from_mins(10)));
    assert!(!refresh.own_response && refresh.response == *answer);
    assert_eq!(least.refresh_url(), &least.token.url);
    assert!(least.revoke.is_none() && least.identity.is_none() && least.needs_secret());
}

#[test]
fn empty_text_is_the_default_or_none() {
    let some = least_and(
        r#"
        [token.response]
        scope = ""
        error = ""
        [refresh]
        url = ""
        margin = ""
        [revoke]
        url = ""
        [identity]
        url = ""
        id = "/sub"
        "#,
    );
    assert_eq!((&some.token.response.scope, &some.token.response.error), (&None, &None));
    assert!(some.refresh.url.is_none() && some.refresh.margin.is_none());
    assert!(some.revoke.is_none() && some.identity.is_none());
}
