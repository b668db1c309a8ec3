//! Parameters as they come: form bodies, queries, and the client's proof in either place.

use super::answer::OAuthError;
use super::fault::Grant;
use crate::domain::ClientSecret;
use actix_web::HttpRequest;
use actix_web::http::header;
use base64::{Engine, engine::general_purpose::STANDARD};

/// Name and value pairs in the order they came.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The body of a POST; none where it is not form-encoded.
    pub(super) fn of(request: &HttpRequest, body: &[u8]) -> Option<Self> {
        use actix_web::HttpMessage;
        let mime = request.content_type();
        mime.eq_ignore_ascii_case("application/x-www-form-urlencoded").then(|| Self::parse(body))
    }

    /// The first value; an empty one counts as left out (RFC 6749 section 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// True when the parameter stands there more than once (RFC 6749 section 3.1 forbids it).
    pub(super) fn doubled(&self, name: &str) -> bool {
        self.all(name).nth(1).is_some()
    }

    /// True when any parameter does.
    pub(super) fn any_doubled(&self) -> bool {
        self.0.iter().any(|(name, _)| self.doubled(name))
    }

    /// The grant that is asked for, where it is one of ours.
    pub(super) fn grant(&self) -> Option<Grant> {
        match self.get("grant_type")? {
            "authorization_code" => Some(Grant::AuthorizationCode),
            "refresh_token" => Some(Grant::RefreshToken),
            _ => None,
        }
    }
}

/// The client id and secret, from the one place where they stand (RFC 6749 section 2.3.1).
pub(super) fn client_of(request: &HttpRequest, form: &Form) -> Result<(String, ClientSecret), OAuthError> {
    const TWICE: OAuthError =
        OAuthError::new("invalid_request", "the client proved itself in two ways at once");
    const NONE: OAuthError = OAuthError::client("a client id and secret are needed, by Basic or in the form");
    let posted = (form.get("client_id"), form.get("client_secret"));
    let Some(header) = request.headers().get(header::AUTHORIZATION) else {
        let (Some(id), Some(secret)) = posted else { return Err(NONE) };
        return Ok((id.to_owned(), ClientSecret::new(secret)));
    };
    let (id, secret) = header.to_str().ok().and_then(basic).ok_or(NONE)?;
    // The id alone may stand in the form too, as long as it is the same.
    if posted.1.is_some() || posted.0.is_some_and(|posted| posted != id) {
        return Err(TWICE);
    }
    Ok((id, secret))
}

/// Reads `Basic base64(form(id):form(secret))`.
fn basic(header: &str) -> Option<(String, ClientSecret)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let id = form_decoded(id);
    (!id.is_empty()).then(|| (id, ClientSecret::new(form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
pub(super) fn bearer_of(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_decoded() {
        let header = format!("Basic {}", STANDARD.encode("a%3Ab:s%20e+c%2Br"));
        let (id, secret) = basic(&header).unwrap();
        assert_eq!((id.as_str(), secret.expose()), ("a:b", "s e c+r"));
        assert!(basic("Bearer abc").is_none());
    }
}
