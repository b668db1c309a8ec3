//! Parameters into a body or a query.

use crate::catalog::{BodyKind, HttpMethod};
use crate::domain::Secret;
use crate::ports::{Method, OutboundBody, OutboundRequest};
use std::collections::BTreeMap;
use url::Url;

/// A request with `pairs` where `kind` puts them; a GET has no body, so there they stand in the query.
pub(super) fn request(
    method: HttpMethod,
    mut url: Url,
    kind: BodyKind,
    pairs: &[(&str, &str)],
    headers: Vec<(String, Secret)>,
) -> OutboundRequest {
    let kind = if method == HttpMethod::Get { BodyKind::Query } else { kind };
    let body = match kind {
        _ if pairs.is_empty() => None,
        BodyKind::Query => {
            url.query_pairs_mut().extend_pairs(pairs);
            None
        }
        BodyKind::Form => Some(OutboundBody {
            content_type: "application/x-www-form-urlencoded",
            text: Secret::new(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()),
        }),
        BodyKind::Json => {
            let object: BTreeMap<&str, &str> = pairs.iter().copied().collect();
            // A map of strings always has a JSON text.
            let text = serde_json::to_string(&object).unwrap_or_default();
            Some(OutboundBody { content_type: "application/json", text: Secret::new(text) })
        }
    };
    OutboundRequest { method: method_of(method), url, headers, body, timeout: None }
}

fn method_of(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::Get,
        HttpMethod::Post => Method::Post,
        HttpMethod::Put => Method::Put,
        HttpMethod::Patch => Method::Patch,
        HttpMethod::Delete => Method::Delete,
    }
}

/// The headers of every request: the answer as JSON, then what the file adds. The content type belongs to the body.
pub(super) fn headers(
    authorization: Option<Secret>,
    further: &BTreeMap<String, String>,
) -> Vec<(String, Secret)> {
    let mut headers = vec![("accept".to_owned(), Secret::new("application/json"))];
    headers.extend(authorization.map(|value| ("authorization".to_owned(), value)));
    for (name, value) in further {
        let name = name.to_ascii_lowercase();
        if name == "content-type" {
            continue;
        }
        headers.retain(|(ours, _)| *ours != name);
        headers.push((name, Secret::new(value.as_str())));
    }
    headers
}
