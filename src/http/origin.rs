//! Whether a form was sent from one of our own pages, as far as the browser says: `Sec-Fetch-Site` (Fetch Metadata), and
//! `Origin` (RFC 6454 section 7). OWASP Cross-Site Request Forgery Prevention has both as a second wall beside the token.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// False where the browser says that it was another page. `own` is our origin as browsers write it. A browser that says
/// nothing at all is too old to, and has only the token to show.
pub(super) fn is_own_page(headers: &HeaderMap, own: &str) -> bool {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let own = origin.is_none_or(|origin| origin == own.as_bytes());
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        // A browser that is set to send no referrer calls its own page's origin `null` too.
        Some(b"same-origin") => own || origin == Some(b"null"),
        Some(_) => false,
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_are_ours() {
        let ours = "https://vault.example";
        for (site, origin, own) in [
            (None, None, true),
            (None, Some(ours), true),
            (None, Some("null"), false),
            (None, Some("https://vault.example.evil.example"), false),
            (None, Some("http://vault.example"), false),
            (None, Some(""), false),
            (Some("same-origin"), Some(ours), true),
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), Some("https://evil.example"), false),
            (Some("same-site"), Some(ours), false),
            (Some("cross-site"), None, false),
            (Some("none"), None, false),
            (Some(""), None, false),
        ] {
            let mut headers = HeaderMap::new();
            let mut put = |name, value: Option<&'static str>| {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            };
            put(SEC_FETCH_SITE, site);
            put(ORIGIN, origin);
            assert_eq!(is_own_page(&headers, ours), own, "{site:?} {origin:?}");
        }
    }
}
