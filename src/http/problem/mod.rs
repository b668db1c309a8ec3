//! Refusals as RFC 9457 problems: one table from refusal to status, title and what a caller can do.
//!
//! `type` is `about:blank`: `code` is what programs switch on. No cause chain, no value that the caller sent.

use super::openapi::{KeyScopeWord, ReasonWord};
use crate::domain::{Refusal, SessionFault};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;
use utoipa::ToSchema;

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal (RFC 9457). Switch on `code`; `detail` is for people and may change.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// Always `about:blank`.
    r#type: &'static str,
    /// What the code means, for people.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened here and what to do, for people.
    detail: Cow<'a, str>,
    /// What programs switch on.
    code: &'static str,
    #[serde(flatten)]
    more: More<'a>,
    /// The id under which the log has this request.
    request_id: &'a str,
}

/// Extension members (RFC 9457 section 3.2), each only where it says something.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ProblemMembers)]
pub(super) struct More<'a> {
    /// The field that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// Why the end user has to connect again.
    #[schema(value_type = Option<ReasonWord>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The connection it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    /// The scope that the key lacks.
    #[schema(value_type = Option<KeyScopeWord>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    needed_scope: Option<&'static str>,
    /// The provider's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_error: Option<&'a str>,
    /// Whole seconds to wait, as the header says.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// The table.
pub(super) fn status_and_title(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::InvalidRequest { .. } => (StatusCode::BAD_REQUEST, "The request is not right"),
        Refusal::Unauthenticated => (StatusCode::UNAUTHORIZED, "No valid credential"),
        Refusal::InsufficientScope { .. } | Refusal::OutsideKeyLimits { .. } => {
            (StatusCode::FORBIDDEN, "This key may not do that")
        }
        Refusal::SessionRefused(_) => (StatusCode::FORBIDDEN, "This browser cannot go on"),
        Refusal::NotFound { .. } => (StatusCode::NOT_FOUND, "Not found"),
        Refusal::MethodNotAllowed { .. } => {
            (StatusCode::METHOD_NOT_ALLOWED, "This path does not take that method")
        }
        Refusal::ConnectionNotFound => (StatusCode::NOT_FOUND, "No such connection"),
        Refusal::EndUserMismatch => (StatusCode::CONFLICT, "Somebody else began this authorization"),
        Refusal::Conflict { .. } => (StatusCode::CONFLICT, "Not possible as things stand"),
        Refusal::ReauthorizationRequired { .. } => {
            (StatusCode::CONFLICT, "The end user has to connect again")
        }
        Refusal::SessionExpired => (StatusCode::GONE, "This authorization is over"),
        Refusal::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        Refusal::IntegrationMisconfigured { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The provider does not accept this integration")
        }
        Refusal::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Refusal::ProviderRefused { .. } => (StatusCode::BAD_GATEWAY, "The provider said no"),
        Refusal::ProviderUnavailable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "The provider gives no usable answer")
        }
        Refusal::RefreshHeld { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "Refreshes are held by the operator")
        }
        Refusal::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Too much at once"),
        Refusal::StoreUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "The store does not answer"),
        Refusal::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours"),
    }
}

/// What a caller can act on.
pub(super) fn detail(refusal: &Refusal) -> Cow<'_, str> {
    match refusal {
        Refusal::InvalidRequest { field: Some(field), detail } => format!("`{field}` {detail}").into(),
        Refusal::InvalidRequest { field: None, detail }
        | Refusal::OutsideKeyLimits { detail }
        | Refusal::Conflict { detail } => detail.into(),
        Refusal::InsufficientScope { needed } => {
            format!("The key lacks the scope `{}`; make one that has it.", needed.as_str()).into()
        }
        Refusal::NotFound { what } => format!("Not found: {what}.").into(),
        Refusal::MethodNotAllowed { allowed } => format!("This path takes {allowed}.").into(),
        Refusal::TooLarge { limit } => format!("A body may have {limit} bytes at most.").into(),
        Refusal::IntegrationMisconfigured { error } if error == "not_enabled" => {
            "The provider is not enabled: enable it with /enable-provider, under the client id of the connection.".into()
        }
        Refusal::IntegrationMisconfigured { error } => {
            format!("The provider answered `{error}` to the client id and secret: mend them with PATCH /v1/integrations/<provider>.").into()
        }
        Refusal::ProviderRefused { error } => format!("The provider answered `{error}`.").into(),
        other => plain_detail(other).into(),
    }
}

fn plain_detail(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unauthenticated => {
            "Send `Authorization: Bearer` with an API key, or Basic with the e-mail address and password of a verified account."
        }
        Refusal::ConnectionNotFound => {
            "There is no such connection: send the end user through /authorize-<provider> to make one."
        }
        Refusal::EndUserMismatch => {
            "The end user or the code verifier is not the one that the authorization was begun with. It is void: begin anew."
        }
        Refusal::ReauthorizationRequired { .. } => {
            "The grant can give no more tokens: send the end user through /authorize-<provider> again."
        }
        Refusal::SessionExpired => "The authorization expired, was used, or was given up: begin anew.",
        Refusal::RateLimited { .. } => "Wait for as long as Retry-After says.",
        Refusal::ProviderUnavailable { .. } => {
            "The provider could not be asked, or gave no usable answer. Try again after Retry-After."
        }
        Refusal::RefreshHeld { .. } => {
            "The token has expired, and whoever runs this server has it refresh nothing at this provider for the moment. Nothing is lost: try again after Retry-After."
        }
        Refusal::Overloaded { .. } => {
            "This server is answering as much as it can, or as much as one tenant may ask of it at once. Nothing was done: try again after Retry-After."
        }
        Refusal::StoreUnavailable { .. } => {
            "Nothing was changed that an answer has not told you. Try again after Retry-After."
        }
        Refusal::SessionRefused(fault) => session_detail(*fault),
        _ => "The log has it under the request id.",
    }
}

fn session_detail(fault: SessionFault) -> &'static str {
    match fault {
        SessionFault::State => {
            "The answer belongs to no authorization that is under way: it was used, or is too old."
        }
        SessionFault::Cookie => {
            "The authorization was opened in another browser: it can only be finished there."
        }
        SessionFault::Path => "The answer came to a path that is not the one it was meant for.",
        SessionFault::Issuer => "The answer does not say that it comes from the provider that was asked.",
        SessionFault::Link => "The link is unknown, was used, or is too old.",
        SessionFault::Form => {
            "The request did not come from the page that this browser was shown: open the link again."
        }
    }
}

/// Whole seconds, rounded up, one at least (RFC 9110 section 10.2.3).
fn retry_after(refusal: &Refusal) -> Option<u64> {
    match refusal {
        Refusal::RateLimited { retry_after }
        | Refusal::ProviderUnavailable { retry_after }
        | Refusal::RefreshHeld { retry_after }
        | Refusal::Overloaded { retry_after }
        | Refusal::StoreUnavailable { retry_after } => {
            let up = u64::from(*retry_after > Duration::from_secs(retry_after.as_secs()));
            Some((retry_after.as_secs() + up).max(1))
        }
        _ => None,
    }
}

fn more(refusal: &Refusal) -> More<'_> {
    let none = More { retry_after: retry_after(refusal), ..More::default() };
    match refusal {
        Refusal::InvalidRequest { field, .. } => More { field: field.as_deref(), ..none },
        Refusal::InsufficientScope { needed } => More { needed_scope: Some(needed.as_str()), ..none },
        Refusal::ReauthorizationRequired { reason, connection } => More {
            reason: Some(reason.as_str()),
            connection: connection.as_ref().map(crate::domain::ConnectionId::as_str),
            ..none
        },
        Refusal::IntegrationMisconfigured { error } | Refusal::ProviderRefused { error } => {
            More { provider_error: Some(error), ..none }
        }
        _ => none,
    }
}

/// A response of the refusal's status, with the headers that go with it and no body yet.
pub(super) fn head(refusal: &Refusal) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status_and_title(refusal).0);
    if let Some(seconds) = retry_after(refusal) {
        response.insert_header((RETRY_AFTER, seconds));
    }
    match refusal {
        // Never a Basic challenge: a browser would ask its user for a password.
        Refusal::Unauthenticated => {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"grantkeep\""));
        }
        Refusal::MethodNotAllowed { allowed } => {
            response.insert_header((ALLOW, allowed.as_str()));
        }
        Refusal::TooLarge { .. } => {
            response.force_close();
        }
        _ => {}
    }
    response
}

fn told<'a>(refusal: &'a Refusal, request_id: &'a str) -> Problem<'a> {
    let (status, title) = status_and_title(refusal);
    Problem {
        r#type: "about:blank",
        title,
        status: status.as_u16(),
        detail: detail(refusal),
        code: refusal.code(),
        more: more(refusal),
        request_id,
    }
}

/// The refusal as a problem.
pub(super) fn problem(refusal: &Refusal, request_id: &str) -> HttpResponse {
    let body = serde_json::to_vec(&told(refusal, request_id)).unwrap_or_default();
    head(refusal).insert_header((CONTENT_TYPE, MEDIA_TYPE)).body(body)
}

/// The refusal as it would be told, for the document.
pub(super) fn example(refusal: &Refusal, request_id: &str) -> serde_json::Value {
    serde_json::to_value(told(refusal, request_id)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
