//! The authorization response (RFC 6749 section 4.1.2, RFC 9207) as it comes back through the browser: trusted in nothing.

use super::error_code::sanitized;
use crate::catalog::{FillError, Provider, Values};
use crate::crypto::hash;
use crate::domain::{AuthorizationCode, ClientSecret, Ticket};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a browser brought back.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Binds it to a session.
    pub state: Ticket,
    /// A code or a refusal.
    pub returned: Returned,
    /// Who says so (RFC 9207): for [`check_issuer`].
    pub iss: Option<String>,
    /// The parameters that the file wants copied to the connection.
    pub captured: BTreeMap<String, String>,
}

/// A code or a refusal.
#[derive(Clone, Debug)]
pub enum Returned {
    /// To be exchanged.
    Code(AuthorizationCode),
    /// The provider's own code: printable ASCII, 64 characters at most.
    Error(String),
}

impl Returned {
    /// True when the end user said no.
    pub fn is_denial(&self) -> bool {
        // The second pair is LinkedIn's, https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
        let denials = ["access_denied", "user_cancelled_login", "user_cancelled_authorize"];
        matches!(self, Self::Error(code) if denials.contains(&code.as_str()))
    }
}

/// Why a callback is not one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallbackFault {
    /// RFC 6749 section 3.1: a parameter must not stand there twice.
    #[error("a parameter stands in the callback twice")]
    Repeated,
    /// Without a state it belongs to no session.
    #[error("the callback has no state")]
    NoState,
    /// Neither a code nor an error, or both.
    #[error("the callback must have either a code or an error")]
    NoOutcome,
    /// A captured parameter names a host that the file does not accept.
    #[error("`{0}` is not a host under the suffixes of the provider file")]
    Host(String),
    /// The provider signs its callbacks, and this one is not signed by it.
    #[error("the callback is not signed by the provider")]
    Signature,
}

/// Why an issuer is not accepted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum IssuerFault {
    /// The provider file says that there must be one.
    #[error("the callback has no `iss`, and this provider always sends one")]
    Missing,
    /// Another issuer than the one that was asked: RFC 9207 section 2.4.
    #[error("the callback comes from another issuer")]
    Other,
    /// The expected issuer depends on a value that is not there.
    #[error(transparent)]
    Unknown(#[from] FillError),
}

/// Reads the decoded query of a callback. The signature and the issuer are checked apart: both need the session.
pub fn read_callback(provider: &Provider, query: &[(String, String)]) -> Result<Callback, CallbackFault> {
    let mut params: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in query {
        if params.insert(name, value).is_some() {
            return Err(CallbackFault::Repeated);
        }
    }
    // RFC 6749 section 3.1: a parameter without a value is treated as if it were left out.
    params.retain(|_, value| !value.is_empty());
    let state = params.get("state").ok_or(CallbackFault::NoState)?;
    let returned = match (params.get(provider.authorize.code_param.as_str()), params.get("error")) {
        (Some(code), None) => Returned::Code(AuthorizationCode::new(*code)),
        (None, Some(error)) => Returned::Error(sanitized(error).unwrap_or_else(|| "unnamed".to_owned())),
        _ => return Err(CallbackFault::NoOutcome),
    };
    let mut captured = BTreeMap::new();
    for name in &provider.callback.capture {
        let Some(value) = params.get(name.as_str()) else { continue };
        if provider.hosts.get(name).is_some_and(|rule| rule.accept(value).is_none()) {
            return Err(CallbackFault::Host(name.clone()));
        }
        captured.insert(name.clone(), (*value).to_owned());
    }
    let iss = params.get("iss").map(|iss| (*iss).to_owned());
    Ok(Callback { state: Ticket::new(*state), returned, iss, captured })
}

/// Checks the signature over a callback where the provider makes one: HMAC-SHA-256 under the client secret over the other
/// parameters, sorted by name and joined as `name=value&…`, in hexadecimal
/// (<https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant>).
pub fn check_hmac(
    provider: &Provider,
    query: &[(String, String)],
    client_secret: Option<&ClientSecret>,
) -> Result<(), CallbackFault> {
    let Some(param) = &provider.callback.hmac else { return Ok(()) };
    let secret = client_secret.ok_or(CallbackFault::Signature)?;
    let mut signed: Vec<&(String, String)> = query.iter().filter(|(name, _)| name != param).collect();
    signed.sort();
    // Escaped, so that no value can pass for two parameters.
    let part = |text: &str| text.replace('%', "%25").replace('&', "%26");
    let pair =
        |(name, value): &(String, String)| format!("{}={}", part(name).replace('=', "%3D"), part(value));
    let message = signed.into_iter().map(pair).collect::<Vec<_>>().join("&");
    let mac = hash::hmac_sha256(secret.expose().as_bytes(), message.as_bytes());
    let expected = mac.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let given = query.iter().find(|(name, _)| name == param).map_or("", |(_, value)| value);
    let same = hash::same(expected.as_bytes(), given.to_ascii_lowercase().as_bytes());
    if same { Ok(()) } else { Err(CallbackFault::Signature) }
}

/// Checks `iss` (RFC 9207 section 2.4): simple string comparison, no normalization.
pub fn check_issuer(provider: &Provider, values: &Values, iss: Option<&str>) -> Result<(), IssuerFault> {
    match (provider.expected_issuer(values)?, iss) {
        (Some(_), None) if provider.iss_required => Err(IssuerFault::Missing),
        (Some(expected), Some(given)) if expected != given => Err(IssuerFault::Other),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{BuiltIn, Catalog};
    use std::sync::Arc;

    fn with(more: &str) -> Arc<Provider> {
        let text = format!(
            "name = 'Some'\nprotocol = 'oauth2'\nauthorize.url = 'https://a.example/a'\ntoken.url = 'https://a.example/t'\n{more}"
        );
        let catalog = Catalog::load(&[BuiltIn { id: "some", text: text.leak() }], &[], false).unwrap();
        Arc::clone(catalog.iter().next().unwrap())
    }

    fn query(text: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    fn fault(more: &str, text: &str) -> CallbackFault {
        read_callback(&with(more), &query(text)).unwrap_err()
    }

    #[test]
    fn a_code_or_a_refusal() {
        let good =
            read_callback(&with(""), &query("state=S&code=C%2B1&iss=https%3A%2F%2Fa.example&x=y")).unwrap();
        assert_eq!((good.state.expose(), good.iss.as_deref()), ("S", Some("https://a.example")));
        assert!(matches!(&good.returned, Returned::Code(code) if code.expose() == "C+1"));
        assert!(good.captured.is_empty() && !good.returned.is_denial());
        let denied = read_callback(&with(""), &query("state=S&error=access_denied&code=")).unwrap();
        assert!(denied.returned.is_denial());
        let failed = read_callback(&with(""), &query("state=S&error=%1B%5Bserver_error")).unwrap();
        assert!(matches!(&failed.returned, Returned::Error(code) if code == "[server_error"));
        let renamed =
            read_callback(&with("authorize.code_param = 'auth_code'"), &query("state=S&auth_code=C"))
                .unwrap();
        assert!(matches!(renamed.returned, Returned::Code(_)));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(fault("", "state=S&state=T&code=C"), CallbackFault::Repeated);
        assert_eq!(fault("", "state=S&code=C&code=C"), CallbackFault::Repeated);
        assert_eq!(fault("", "state=S&code=C&x=1&x=1"), CallbackFault::Repeated);
        assert_eq!(fault("", "code=C"), CallbackFault::NoState);
        assert_eq!(fault("", "state=&code=C"), CallbackFault::NoState);
        assert_eq!(fault("", ""), CallbackFault::NoState);
        assert_eq!(fault("", "state=S"), CallbackFault::NoOutcome);
        assert_eq!(fault("", "state=S&code=C&error=access_denied"), CallbackFault::NoOutcome);
    }

    #[test]
    fn only_what_the_file_lists_is_captured() {
        let more =
            "callback.capture = ['realmId', 'accounts-server']\nhosts.accounts-server = ['.zoho.example']";
        let text = "state=S&code=C&realmId=42&other=1&accounts-server=https%3A%2F%2Feu.zoho.example";
        let good = read_callback(&with(more), &query(text)).unwrap();
        let captured: Vec<_> = good.captured.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(captured, ["accounts-server=https://eu.zoho.example", "realmId=42"]);
        let evil = "state=S&code=C&accounts-server=https%3A%2F%2Fevil.example";
        assert_eq!(fault(more, evil), CallbackFault::Host("accounts-server".to_owned()));
    }

    #[test]
    fn issuers_are_compared_as_text() {
        let check = |more: &str, iss| check_issuer(&with(more), &Values::new(), iss);
        let known = "issuer = 'https://a.example'";
        let required = "issuer = 'https://a.example'\niss_required = true";
        assert_eq!(check("", Some("https://any.example")), Ok(()));
        assert_eq!(check(known, None), Ok(()));
        assert_eq!(check(required, None), Err(IssuerFault::Missing));
        assert_eq!(check(required, Some("https://a.example")), Ok(()));
        for other in
            ["https://a.example/", "https://A.example", "https://a.example:443", "https://b.example", ""]
        {
            assert_eq!(check(known, Some(other)), Err(IssuerFault::Other), "{other}");
        }
        let unknown = "issuer = 'https://{shop}.shops.example.com'\nvariables.shop = {}";
        assert!(matches!(check(unknown, Some("x")), Err(IssuerFault::Unknown(_))));
    }

    #[test]
    fn signatures() {
        let some = with("callback.hmac = { param = 'hmac', algorithm = 'sha256' }");
        let secret = ClientSecret::new("hush");
        // The example of Shopify's documentation; openssl dgst -sha256 -hmac hush says the same.
        let signed = "code=0907a61c0c8d55e99db179b68161bc00&shop=some-shop.myshopify.com&state=0.6784241404160823&timestamp=1337178173";
        let mac = "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf";
        let check = |text: &str, secret| check_hmac(&some, &query(text), secret);
        assert_eq!(check(&format!("hmac={mac}&{signed}"), Some(&secret)), Ok(()));
        assert_eq!(check(&format!("{signed}&hmac={}", mac.to_uppercase()), Some(&secret)), Ok(()));
        for bad in [
            signed.to_owned(),
            format!("{signed}&hmac="),
            format!("{signed}&hmac={mac}0"),
            format!("{}&hmac={mac}", signed.replace("some-shop", "evil-shop")),
            format!("{signed}&hmac={mac}&extra=1"),
            // Two parameters must not pass for one with an ampersand in it.
            format!("{}&hmac={mac}", signed.replace("&shop=", "%26shop%3D")),
        ] {
            assert_eq!(check(&bad, Some(&secret)), Err(CallbackFault::Signature), "{bad}");
        }
        assert_eq!(check(&format!("hmac={mac}&{signed}"), None), Err(CallbackFault::Signature));
        assert_eq!(check_hmac(&with(""), &query("state=S"), None), Ok(()));
    }
}
