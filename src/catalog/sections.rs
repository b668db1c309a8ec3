//! From the tables of a file to the parts of a provider. A part is `None` only after a fault, or where the file has none.

use super::fields::values;
use super::parts::{
    AfterConnect, Authorize, BodyKind, CallbackRules, ClientAuth, FurtherToken, HostRule, Identity,
    OldAccess, OnUnknown, Pkce, Pointer, Refresh, RefreshWith, ResponsePointers, Revoke, RevokeToken,
    Rotation, TokenEndpoint,
};
use super::reader::{At, Table};
use super::template::{Template, is_host_name};
use super::variables::{AskedAt, Pattern, Variable};
use crate::domain::parse_duration;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an authorization request has and a file may rename; `state` and the scopes hold more than the request together.
const AUTHORIZE_PARAMS: [&str; 5] =
    ["response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method"];
const TOKEN_PARAMS: [&str; 8] = [
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "client_id",
    "client_secret",
    "refresh_token",
    "access_token",
];

/// What is filled into a revocation, besides what every URL knows.
pub(super) const REVOKED: [&str; 2] = ["token", "client_id"];

/// When a URL is used: it decides what is known by then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UsedFor {
    /// Before the callback.
    Browser,
    /// After the callback: captured parameters are known.
    Code,
    /// After the connect: metadata is known.
    Later,
    /// As later, and the token to end.
    Revocation,
}

/// Every URL of the file with its place, for the checks that need more than the URL.
#[derive(Default)]
pub(super) struct Urls(pub(super) Vec<(At<Template>, UsedFor)>);

impl Urls {
    fn keep(&mut self, at: Option<At<Template>>, used: UsedFor) -> Option<Template> {
        let at = at?;
        let template = at.value.clone();
        self.0.push((at, used));
        Some(template)
    }
}

pub(super) fn issuer(file: &mut Table<'_>, urls: &mut Urls) -> Option<Template> {
    urls.keep(file.url("issuer"), UsedFor::Browser)
}

pub(super) fn variables(file: &mut Table<'_>) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    for (name, mut table) in file.named("variables") {
        table.check_name(&name.value, &name);
        let title = table.text("title").map_or_else(|| name.value.clone(), |at| at.value);
        let pattern = pattern(&mut table);
        let mut sample = |key| match table.text(key) {
            Some(at) if pattern.as_ref().is_some_and(|pattern: &Pattern| !pattern.matches(&at.value)) => {
                table.fault_at(&at, format!("`{}` does not match the pattern", table.name_of(key)), None);
                String::new()
            }
            at => at.map(|at| at.value).unwrap_or_default(),
        };
        let (default, example) = (sample("default"), sample("example"));
        let moments = [("integration", AskedAt::Integration), ("authorize", AskedAt::Authorize)];
        let at = table.choice("at", AskedAt::Integration, &moments).unwrap_or(AskedAt::Integration);
        table.finish();
        variables.insert(name.value, Variable { title, pattern, default, example, at });
    }
    variables
}

fn pattern(table: &mut Table<'_>) -> Option<Pattern> {
    let at = table.text("pattern")?;
    let pattern = Pattern::parse(&at.value);
    if let Err(what) = &pattern {
        table.fault_at(&at, format!("`{}` {what}", table.name_of("pattern")), None);
    }
    pattern.ok()
}

pub(super) fn authorize(mut table: Table<'_>, urls: &mut Urls) -> Option<Authorize> {
    let url = urls.keep(table.required_url("url"), UsedFor::Browser);
    let scope_param = match table.any_text("scope_param") {
        Some(at) => Some(at.value).filter(|name| !name.is_empty()),
        None => Some("scope".to_owned()),
    };
    let rename = table.rename(&AUTHORIZE_PARAMS);
    let mut sent = AUTHORIZE_PARAMS.to_vec();
    sent.push("state");
    sent.extend(scope_param.as_deref());
    let params = table.params(&sent);
    let scope_separator = scope_separator(&mut table, ' ');
    let pkce = table.choice("pkce", Pkce::S256, &[("S256", Pkce::S256), ("off", Pkce::Off)]);
    if pkce == Some(Pkce::S256) && rename.get("code_challenge") == Some(&None) {
        table.fault("`authorize.rename` drops `code_challenge`", Some("say `pkce = \"off\"`"));
    }
    let code_param = table.text("code_param").map_or_else(|| "code".to_owned(), |at| at.value);
    if ["state", "error", "iss"].contains(&code_param.as_str()) {
        table.fault(format!("`authorize.code_param` cannot be `{code_param}`"), None);
    }
    let code_lifetime = table.duration("code_lifetime");
    table.finish();
    Some(Authorize {
        url: url?,
        params,
        rename,
        scope_param,
        scope_separator: scope_separator?,
        pkce: pkce?,
        code_param,
        code_lifetime,
    })
}

fn scope_separator(table: &mut Table<'_>, usual: char) -> Option<char> {
    let Some(at) = table.any_text("scope_separator") else { return Some(usual) };
    let mut letters = at.value.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    if letter.is_none() {
        let what = format!("`{}` must be one character", table.name_of("scope_separator"));
        table.fault_at(&at, what, None);
    }
    letter
}

/// `separator` is what stands between scopes where they are asked for.
pub(super) fn token(mut table: Table<'_>, separator: char, urls: &mut Urls) -> Option<TokenEndpoint> {
    let url = urls.keep(table.required_url("url"), UsedFor::Code);
    let auth = table.auth(ClientAuth::Basic);
    let bodies = [("form", BodyKind::Form), ("json", BodyKind::Json), ("query", BodyKind::Query)];
    let body = table.choice("body", BodyKind::Form, &bodies);
    let rename = table.rename(&TOKEN_PARAMS);
    let params = table.params(&TOKEN_PARAMS);
    let headers = table.headers(&[]);
    if headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        table.fault(
            "`token.headers` cannot say the content type",
            Some("`token.body` does: form, json or query"),
        );
    }
    let pointer = |text: &str| Pointer(text.to_owned());
    let usual = ResponsePointers {
        access_token: pointer("/access_token"),
        refresh_token: Some(pointer("/refresh_token")),
        expires_in: Some(pointer("/expires_in")),
        refresh_expires_in: None,
        token_type: Some(pointer("/token_type")),
        scope: Some(pointer("/scope")),
        scope_separator: separator,
        refresh_scope: None,
        ok: None,
        error: Some(pointer("/error")),
        metadata: BTreeMap::new(),
    };
    let response = response(table.table("response"), &usual);
    table.finish();
    Some(TokenEndpoint { url: url?, auth: auth?, body: body?, params, headers, rename, response: response? })
}

/// What the table does not say is as in `usual`.
fn response(mut table: Table<'_>, usual: &ResponsePointers) -> Option<ResponsePointers> {
    let access_token = match table.any_text("access_token") {
        Some(at) => table.checked_pointer("access_token", at),
        None => Some(usual.access_token.clone()),
    };
    let refresh_token = table.pointer("refresh_token", usual.refresh_token.as_ref());
    let expires_in = table.pointer("expires_in", usual.expires_in.as_ref());
    let refresh_expires_in = table.pointer("refresh_expires_in", usual.refresh_expires_in.as_ref());
    let token_type = table.pointer("token_type", usual.token_type.as_ref());
    let scope = table.pointer("scope", usual.scope.as_ref());
    let scope_separator = scope_separator(&mut table, usual.scope_separator);
    let refresh_scope =
        table.text("refresh_scope").map(|at| at.value).or_else(|| usual.refresh_scope.clone());
    let ok = table.pointer("ok", usual.ok.as_ref());
    let error = table.pointer("error", usual.error.as_ref());
    let metadata = Some(table.pointers("metadata")).filter(|own| !own.is_empty());
    table.finish();
    Some(ResponsePointers {
        access_token: access_token?,
        refresh_token,
        expires_in,
        refresh_expires_in,
        token_type,
        scope,
        scope_separator: scope_separator?,
        refresh_scope,
        ok,
        error,
        metadata: metadata.unwrap_or_else(|| usual.metadata.clone()),
    })
}

pub(super) fn tokens(file: &mut Table<'_>) -> BTreeMap<String, FurtherToken> {
    let mut tokens = BTreeMap::new();
    for (name, mut table) in file.named("tokens") {
        table.check_name(&name.value, &name);
        let access_token = table.required_text("access_token");
        let access_token = access_token.and_then(|at| table.checked_pointer("access_token", at));
        let refresh_token = table.pointer("refresh_token", None);
        let expires_in = table.pointer("expires_in", None);
        let scope = table.pointer("scope", None);
        table.finish();
        let token =
            access_token.map(|access_token| FurtherToken { access_token, refresh_token, expires_in, scope });
        tokens.extend(token.map(|token| (name.value, token)));
    }
    tokens
}

pub(super) fn refresh(
    mut table: Table<'_>,
    token: Option<&TokenEndpoint>,
    urls: &mut Urls,
) -> Option<Refresh> {
    let url = urls.keep(table.url("url"), UsedFor::Later);
    let method = table.method();
    let grant = table.text("grant").map_or_else(|| "refresh_token".to_owned(), |at| at.value);
    let tokens = [("refresh_token", RefreshWith::RefreshToken), ("access_token", RefreshWith::AccessToken)];
    let send = table.choice("send", RefreshWith::RefreshToken, &tokens);
    let params = table.params(&TOKEN_PARAMS);
    let rotations = [("none", Rotation::None), ("grace", Rotation::Grace), ("strict", Rotation::Strict)];
    let rotation = table.choice("rotation", Rotation::None, &rotations);
    let grace = table.duration("grace").unwrap_or(Duration::from_mins(10));
    let ways = [("retry", OnUnknown::Retry), ("reauthorize", OnUnknown::Reauthorize)];
    let on_unknown = table.choice("on_unknown", OnUnknown::Retry, &ways);
    let old_access = old_access(&mut table);
    let [margin, min_age, assumed_lifetime, idle_limit, absolute_limit] =
        ["margin", "min_age", "assumed_lifetime", "idle_limit", "absolute_limit"]
            .map(|key| table.duration(key));
    let own = table.table("response");
    let own_response = own.is_present();
    // Without a token endpoint there is nothing to inherit, and a fault already.
    let response = token.and_then(|token| response(own, &token.response));
    table.finish();
    Some(Refresh {
        url,
        method: method?,
        grant,
        send: send?,
        params,
        rotation: rotation?,
        grace,
        on_unknown: on_unknown?,
        old_access: old_access?,
        margin,
        min_age,
        assumed_lifetime,
        idle_limit,
        absolute_limit,
        response: response?,
        own_response,
    })
}

fn old_access(table: &mut Table<'_>) -> Option<OldAccess> {
    let Some(at) = table.text("old_access") else { return Some(OldAccess::Valid) };
    let old_access = match at.value.as_str() {
        "valid" => Some(OldAccess::Valid),
        "killed" => Some(OldAccess::Killed),
        span => parse_duration(span).ok().map(OldAccess::For),
    };
    if old_access.is_none() {
        let what = format!("`refresh.old_access` cannot be `{}`", at.value);
        table.fault_at(&at, what, Some("valid, killed or a duration such as 10m"));
    }
    old_access
}

pub(super) fn revoke(mut table: Table<'_>, token: Option<&TokenEndpoint>, urls: &mut Urls) -> Option<Revoke> {
    let url = urls.keep(table.url("url"), UsedFor::Revocation);
    let method = table.method();
    let auth = table.auth(token.map_or(ClientAuth::Basic, |token| token.auth));
    let tokens = [("refresh", RevokeToken::Refresh), ("access", RevokeToken::Access)];
    let which = table.choice("token", RevokeToken::Refresh, &tokens);
    let body = table.map("body");
    for at in body.values() {
        table.check_filled(at, &REVOKED);
    }
    let headers = table.headers(&REVOKED);
    let body = values(body);
    table.finish();
    Some(Revoke { url: url?, method: method?, auth: auth?, token: which?, body, headers })
}

pub(super) fn callback(mut table: Table<'_>) -> CallbackRules {
    let mut capture = Vec::new();
    for at in table.texts("capture") {
        table.check_name(&at.value, &at);
        if ["code", "state", "error", "iss"].contains(&at.value.as_str()) {
            table.fault_at(&at, format!("`callback.capture` cannot copy `{}`", at.value), None);
        }
        capture.push(at.value);
    }
    let mut hmac = table.table("hmac");
    let param = if hmac.is_present() { hmac.required_text("param") } else { None };
    hmac.choice("algorithm", (), &[("sha256", ())]);
    hmac.finish();
    table.finish();
    CallbackRules { capture, hmac: param.map(|at| at.value) }
}

pub(super) fn identity(mut table: Table<'_>, urls: &mut Urls) -> Option<Identity> {
    let url = urls.keep(table.url("url"), UsedFor::Later);
    let id = if url.is_some() { table.required_text("id") } else { table.text("id") };
    let id = id.and_then(|at| table.checked_pointer("id", at));
    let name = table.pointer("name", None);
    table.finish();
    Some(Identity { url: url?, id: id?, name })
}

pub(super) fn after_connect(file: &mut Table<'_>, urls: &mut Urls) -> Vec<AfterConnect> {
    let mut steps = Vec::new();
    for mut table in file.tables("after_connect") {
        let url = urls.keep(table.required_url("url"), UsedFor::Later);
        let metadata = table.pointers("metadata");
        if metadata.is_empty() {
            table.fault("`after_connect.metadata` copies nothing", None);
        }
        table.finish();
        steps.extend(url.map(|url| AfterConnect { url, metadata }));
    }
    steps
}

pub(super) fn hosts(file: &mut Table<'_>) -> BTreeMap<String, At<HostRule>> {
    let mut hosts = BTreeMap::new();
    for (name, rules) in file.lists("hosts") {
        for rule in &rules.value {
            let bare = rule.value.strip_prefix('.').unwrap_or(&rule.value);
            // One label would accept a whole top-level domain.
            if !is_host_name(bare) || !bare.contains('.') || bare.bytes().any(|b| b.is_ascii_uppercase()) {
                let what = format!("`hosts.{name}`: `{}` is no suffix such as .example.com", rule.value);
                file.fault_at(rule, what, None);
            }
        }
        if rules.value.is_empty() {
            file.fault_at(&rules, format!("`hosts.{name}` accepts nothing"), None);
        }
        let rule = HostRule(rules.value.into_iter().map(|rule| rule.value).collect());
        hosts.insert(name, At { value: rule, span: rules.span });
    }
    hosts
}
