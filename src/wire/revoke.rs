//! Ending a grant at the provider: RFC 7009, or whatever the file describes.

use super::error_code::is_client_fault;
use super::{BuildError, ClientCredentials, encode};
use crate::catalog::{BodyKind, ClientAuth, Provider, Revoke, RevokeToken, Values};
use crate::domain::{AccessToken, RefreshToken};
use crate::ports::{OutboundRequest, OutboundResponse};
use std::collections::BTreeMap;

/// What became of a revocation that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider says that it is done.
    Revoked,
    /// It does not accept the client (RFC 7009 section 2.2.1, RFC 6749 section 5.2).
    ClientRefused,
    /// It says something else.
    Failed,
}

/// The request that ends one token and its kin; `None` where the provider has no such thing.
pub fn revoke_request(
    provider: &Provider,
    access: &AccessToken,
    refresh: Option<&RefreshToken>,
    client: &ClientCredentials<'_>,
    values: &Values,
) -> Result<Option<OutboundRequest>, BuildError> {
    let Some(rules) = &provider.revoke else { return Ok(None) };
    let (token, hint) = match (rules.token, refresh) {
        (RevokeToken::Refresh, Some(refresh)) => (refresh.expose(), "refresh_token"),
        _ => (access.expose(), "access_token"),
    };
    let filled = |map: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        map.iter().map(|(name, text)| (name.clone(), fill(text, token, client.client_id))).collect()
    };
    let url = provider.fill_with(&rules.url, values, &|name| match name {
        "token" => Some(token.to_owned()),
        "client_id" => Some(client.client_id.to_owned()),
        _ => None,
    })?;
    let own_body = filled(&rules.body);
    let mut pairs: Vec<(&str, &str)> = super::token_request::as_pairs(&own_body).collect();
    if !rules.names_token() {
        pairs.extend([("token", token), ("token_type_hint", hint)]);
    }
    // A public client has nothing to prove; where the token itself is the proof, its id is not asked for either.
    if rules.auth == ClientAuth::Post || !rules.names_token() {
        pairs.extend(client.params(rules.auth)?);
    }
    let headers = encode::headers(client.header(rules.auth)?, &filled(&rules.headers));
    Ok(Some(encode::request(rules.method, url, body_kind(provider, rules), &pairs, headers)))
}

/// RFC 7009 section 2.2: 200 whatever the token was. A provider that says `false` where its answers say `ok` means it.
pub fn revocation_outcome(provider: &Provider, response: &OutboundResponse) -> Revocation {
    let body: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
    let ok =
        provider.token.response.ok.as_ref().and_then(|at| body.as_ref()?.pointer(at.as_str())?.as_bool());
    if (200..300).contains(&response.status) && ok != Some(false) {
        return Revocation::Revoked;
    }
    let code = body.as_ref().and_then(|body| body.get("error")?.as_str());
    if response.status == 401 || code.is_some_and(is_client_fault) {
        return Revocation::ClientRefused;
    }
    Revocation::Failed
}

fn fill(text: &str, token: &str, client_id: &str) -> String {
    // The id first: a token is chosen by others and could hold the other placeholder.
    text.replace("{client_id}", client_id).replace("{token}", token)
}

/// RFC 7009 is form-encoded; another body is as its own content type says, else as at the token endpoint.
fn body_kind(provider: &Provider, rules: &Revoke) -> BodyKind {
    let content_type = rules.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    match content_type.map(|(_, value)| value.as_str()) {
        Some("application/json") => BodyKind::Json,
        None if rules.names_token() => provider.token.body,
        _ => BodyKind::Form,
    }
}
