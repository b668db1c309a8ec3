//! One call to a provider, in a span of its own.
//!
//! The span says which provider, which method and which host, and what came of it. The URL, headers and body stay out of
//! it: they hold codes, tokens and secrets. Nothing is sent along for tracing: a provider has no use for our ids, and one
//! of them in its logs would tie end users to requests.

use crate::domain::ProviderId;
use crate::ports::{Method, OutboundRequest, OutboundResponse, Upstream, UpstreamError};
use crate::telemetry::traces;
use tracing::Instrument;

/// Sends one request to that provider.
pub(super) async fn call(
    upstream: &dyn Upstream,
    provider: &ProviderId,
    request: OutboundRequest,
) -> Result<OutboundResponse, UpstreamError> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    };
    let span = traces::provider_call(provider, method, request.url.host_str().unwrap_or("?"));
    let answer = upstream.send(request).instrument(span.clone()).await;
    let outcome = match &answer {
        Ok(response) => Ok(response.status),
        Err(UpstreamError::NotSent(_)) => Err("not_sent"),
        Err(UpstreamError::Lost(_)) => Err("answer_lost"),
    };
    traces::provider_answered(&span, outcome);
    answer
}
