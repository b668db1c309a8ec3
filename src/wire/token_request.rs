//! The token request: a code (RFC 6749 section 4.1.3) or a refresh (section 6).

use super::authorize::renamed;
use super::{BuildError, ClientCredentials, encode};
use crate::catalog::{HttpMethod, Provider, RefreshWith, Values};
use crate::domain::{AuthorizationCode, CodeVerifier, Secret};
use crate::ports::OutboundRequest;
use std::collections::BTreeMap;

/// What is exchanged for tokens.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names of RFC 6749 and RFC 7636")]
pub enum Grant<'a> {
    Code {
        code: &'a AuthorizationCode,
        /// Exactly as it was sent to the authorization endpoint.
        redirect_uri: &'a str,
        /// `None` where no challenge was sent.
        code_verifier: Option<&'a CodeVerifier>,
    },
    /// The token to send, which is the access token where the file says `send = "access_token"`: see [`crate::catalog::RefreshWith`].
    Refresh { token: &'a Secret },
}

/// The request that exchanges `grant`. The redirect URI, variables and captured parameters come from whoever keeps them.
pub fn token_request(
    provider: &Provider,
    grant: Grant<'_>,
    client: &ClientCredentials<'_>,
    values: &Values,
) -> Result<OutboundRequest, BuildError> {
    let rules = &provider.token;
    let (method, template, further, mut pairs) = match grant {
        Grant::Code { code, redirect_uri, code_verifier } => {
            let mut pairs = vec![
                ("grant_type", "authorization_code"),
                ("code", code.expose()),
                ("redirect_uri", redirect_uri),
            ];
            pairs.extend(code_verifier.map(|verifier| ("code_verifier", verifier.expose())));
            (HttpMethod::Post, &rules.url, &rules.params, pairs)
        }
        Grant::Refresh { token } => {
            let refresh = &provider.refresh;
            let name = match refresh.send {
                RefreshWith::RefreshToken => "refresh_token",
                RefreshWith::AccessToken => "access_token",
            };
            let pairs = vec![("grant_type", refresh.grant.as_str()), (name, token.expose())];
            (refresh.method, provider.refresh_url(), &refresh.params, pairs)
        }
    };
    pairs.extend(client.params(rules.auth)?);
    let mut pairs = renamed(&pairs, &rules.rename);
    pairs.extend(as_pairs(further));
    let url = provider.fill(template, values)?;
    let headers = encode::headers(client.header(rules.auth)?, &rules.headers);
    Ok(encode::request(method, url, rules.body, &pairs, headers))
}

pub(super) fn as_pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}
