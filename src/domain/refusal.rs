//! Every way in which Grantkeep says no. The doors turn it into RFC 9457 problems; nothing else does.
//!
//! A refusal carries what a caller can act on and never a cause chain: causes are logged where they happened.

use super::{ConnectionId, KeyScope};
use std::time::Duration;

/// Why a connection needs its end user again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReauthorizationReason {
    /// The provider says that the grant is no longer good.
    Revoked,
    /// The refresh token is past its known life, or there is none and the access token has expired.
    RefreshTokenExpired,
    /// A single-use refresh token was sent and nobody saw the answer.
    RefreshOutcomeUnknown,
    /// The grant no longer covers what was asked.
    ScopesReduced,
    /// The integration is no longer the one that the grant was made under.
    IntegrationChanged,
}

impl ReauthorizationReason {
    /// The reason as it stands in answers and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::RefreshTokenExpired => "refresh_token_expired",
            Self::RefreshOutcomeUnknown => "refresh_outcome_unknown",
            Self::ScopesReduced => "scopes_reduced",
            Self::IntegrationChanged => "integration_changed",
        }
    }

    /// The reason of that text.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Revoked,
            Self::RefreshTokenExpired,
            Self::RefreshOutcomeUnknown,
            Self::ScopesReduced,
            Self::IntegrationChanged,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }
}

/// What was wrong with a browser that came to an authorization page or came back from a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFault {
    /// The state is unknown, was used, or has expired.
    State,
    /// The browser is not the one that opened the session.
    Cookie,
    /// The path names another tenant or provider.
    Path,
    /// The issuer is missing or not the provider's (RFC 9207).
    Issuer,
    /// The link is unknown, was used, or has expired.
    Link,
    /// The button was not pressed on the page that this browser was shown.
    Form,
}

impl SessionFault {
    /// The word in audit records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Cookie => "cookie",
            Self::Path => "path",
            Self::Issuer => "issuer",
            Self::Link => "link",
            Self::Form => "form",
        }
    }
}

/// Every way in which Grantkeep says no.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum Refusal {
    /// Something in the request is wrong; `field` names it where one field is at fault.
    InvalidRequest { field: Option<String>, detail: String },
    /// No credential, or not a good one. Never says which part was wrong.
    Unauthenticated,
    /// A good credential that may not do this.
    InsufficientScope { needed: KeyScope },
    /// A good credential that may not be used for this provider, or from this address.
    OutsideKeyLimits { detail: String },
    /// A browser that may not go on.
    SessionRefused(SessionFault),
    /// Nothing here by that name for this caller.
    NotFound { what: String },
    /// The method is not one of this path's.
    MethodNotAllowed { allowed: String },
    /// No connection of that name for this caller.
    ConnectionNotFound,
    /// The finisher named another end user, or could not show the verifier. The session is gone.
    EndUserMismatch,
    /// Somebody else changed it first, or it is not in a state for this.
    Conflict { detail: String },
    /// The end user has to connect again.
    ReauthorizationRequired { reason: ReauthorizationReason, connection: Option<ConnectionId> },
    /// The session is past its ten minutes, was used, or was destroyed.
    SessionExpired,
    /// The body is larger than `limit` bytes.
    TooLarge { limit: usize },
    /// The provider does not accept the tenant's own registration; `error` is the provider's code.
    IntegrationMisconfigured { error: String },
    /// Too many of these; try after this long.
    RateLimited { retry_after: Duration },
    /// The provider answered and said no; `error` is its own code.
    ProviderRefused { error: String },
    /// The provider could not be asked or gave no usable answer.
    ProviderUnavailable { retry_after: Duration },
    /// The operator holds refreshes that spend a refresh token (`refresh.hold`), and the token has expired.
    RefreshHeld { retry_after: Duration },
    /// As many requests are being answered as this server, or this tenant on it, may have.
    Overloaded { retry_after: Duration },
    /// The store could not be asked; nothing was changed that the answer does not say.
    StoreUnavailable { retry_after: Duration },
    /// A fault of ours. The log has it under the request id.
    Internal,
}

impl Refusal {
    /// A wrong or missing field.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::InvalidRequest { field: Some(field.to_owned()), detail: detail.into() }
    }

    /// A request that is wrong as a whole.
    pub fn request(detail: impl Into<String>) -> Self {
        Self::InvalidRequest { field: None, detail: detail.into() }
    }

    /// The stable code of RFC 9457 answers, redirects and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } | Self::MethodNotAllowed { .. } => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::InsufficientScope { .. } | Self::OutsideKeyLimits { .. } => "insufficient_scope",
            Self::SessionRefused(_) => "session_refused",
            Self::NotFound { .. } => "not_found",
            Self::ConnectionNotFound => "connection_not_found",
            Self::EndUserMismatch => "end_user_mismatch",
            Self::Conflict { .. } => "conflict",
            Self::ReauthorizationRequired { .. } => "reauthorization_required",
            Self::SessionExpired => "session_expired",
            Self::TooLarge { .. } => "too_large",
            Self::IntegrationMisconfigured { .. } => "integration_misconfigured",
            Self::RateLimited { .. } => "rate_limited",
            Self::ProviderRefused { .. } => "provider_refused",
            Self::ProviderUnavailable { .. } | Self::RefreshHeld { .. } => "provider_unavailable",
            Self::Overloaded { .. } => "overloaded",
            Self::StoreUnavailable { .. } => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}
