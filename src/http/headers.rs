//! Headers that every answer has, and those that every page has.

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use url::Url;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
/// URLs of ours hold tickets.
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const ORIGIN_ONLY: HeaderValue = HeaderValue::from_static("strict-origin");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const TWO_YEARS: HeaderValue = HeaderValue::from_static("max-age=63072000");
const DENY: HeaderValue = HeaderValue::from_static("DENY");
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// Browsers hold the redirects behind a form against `form-action`, and a provider may go on to hosts of its own: behind the
/// page's button any place of the scheme is fine. There is nothing on it that could put in another form.
const ASKING_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self' https:; frame-ancestors 'none'; base-uri 'none'",
);
/// The same for providers without TLS, which only `upstream.allow_insecure` lets in.
const ASKING_POLICY_WITHOUT_TLS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self' https: http:; frame-ancestors 'none'; base-uri 'none'",
);

/// The headers of a page whose button leads on to `place`. Its referrer is our origin and no more, and is there at all because
/// without one a browser calls the page's own origin `null` (Fetch, "append a request Origin header").
pub(super) fn asking(response: &mut HttpResponse, place: &Url) {
    let policy = if place.scheme() == "http" { ASKING_POLICY_WITHOUT_TLS } else { ASKING_POLICY };
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(REFERRER_POLICY, ORIGIN_ONLY);
}

/// Adds them. What the handler says of caching, of referrers and of its page's policy stays.
pub(super) fn add(response: &mut HttpResponse, request_id: &str, https: bool) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    if !headers.contains_key(REFERRER_POLICY) {
        headers.insert(REFERRER_POLICY, NO_REFERRER);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, TWO_YEARS);
    }
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, SAME_ORIGIN);
    if headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html")) {
        headers.insert(X_FRAME_OPTIONS, DENY);
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
        }
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, value);
    }
}
