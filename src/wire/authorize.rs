//! The authorization request (RFC 6749 section 4.1.1) as a URL for the browser.

use super::BuildError;
use crate::catalog::{Pkce, Provider, Rename, Values};
use crate::domain::{Scopes, Ticket};
use url::Url;

/// What one authorization request is made of.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names of RFC 6749 section 4.1.1 and RFC 7636 section 4.3")]
pub struct AuthorizeInputs<'a> {
    pub client_id: &'a str,
    /// Exactly as it will be sent at the token endpoint.
    pub redirect_uri: &'a str,
    pub scopes: &'a Scopes,
    pub state: &'a Ticket,
    /// S256; left out where the provider file says `pkce = "off"`.
    pub code_challenge: &'a str,
    /// Variables of the integration and of the session.
    pub values: &'a Values,
}

/// Where to send the browser.
pub fn authorize_url(provider: &Provider, inputs: &AuthorizeInputs<'_>) -> Result<Url, BuildError> {
    let rules = &provider.authorize;
    let mut url = provider.fill(&rules.url, inputs.values)?;
    let mut ours = vec![
        ("response_type", "code"),
        ("client_id", inputs.client_id),
        ("redirect_uri", inputs.redirect_uri),
        ("state", inputs.state.expose()),
    ];
    if rules.pkce == Pkce::S256 {
        ours.push(("code_challenge", inputs.code_challenge));
        ours.push(("code_challenge_method", "S256"));
    }
    let scopes = inputs.scopes.join(rules.scope_separator.encode_utf8(&mut [0; 4]));
    let scope = rules.scope_param.as_deref().filter(|_| !inputs.scopes.is_empty());
    // A variable left empty in the file's own query sends nothing rather than an empty parameter.
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(_, value)| !value.is_empty()).collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(renamed(&ours, &rules.rename))
        .extend_pairs(scope.map(|name| (name, scopes.as_str())))
        .extend_pairs(&rules.params);
    // Both spell a space in a form (RFC 6749 appendix B), but not every authorization server reads `+` as one.
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    Ok(url)
}

/// `pairs` under the provider's own names, without those it wants dropped.
pub(super) fn renamed<'a>(pairs: &[(&'a str, &'a str)], rename: &'a Rename) -> Vec<(&'a str, &'a str)> {
    let theirs = |&(name, value): &(&'a str, &'a str)| match rename.get(name) {
        Some(Some(other)) => Some((other.as_str(), value)),
        Some(None) => None,
        None => Some((name, value)),
    };
    pairs.iter().filter_map(theirs).collect()
}
