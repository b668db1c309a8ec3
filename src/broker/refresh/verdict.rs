//! What an answer to a refresh means, for the connection and for the caller. No I/O.
//!
//! The classes are those of section 9 of the design: what was not sent may be sent again, what was answered is known, what was
//! lost is unknown, and a refusal is final only where nothing before it puts it in doubt.

use crate::catalog::{OnUnknown, Provider, Rotation};
use crate::domain::{ConnectionId, ReauthorizationReason, Refusal, Timestamp};
use crate::ports::{OutboundResponse, UpstreamError};
use crate::vault::{Doubt, Status, Trouble};
use crate::wire::{self, AnswerKind, RefusalClass, TokenAnswer, TokenSet};
use std::time::Duration;

/// What a request brought.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Tokens.
    Granted(Box<TokenSet>),
    /// Nothing.
    Nothing(Nothing),
}

/// A request that brought nothing.
#[derive(Debug)]
pub(super) struct Nothing {
    pub class: Class,
    /// The provider's own code, or our word for what happened.
    pub error: String,
    /// What the provider said about when to come back.
    pub retry_after: Option<Duration>,
    /// It may be the client secret that was refused: another one may be tried.
    pub blames_client: bool,
    /// The host did not answer, or said that it cannot: it may be left alone for a while.
    pub blames_host: bool,
}

impl Nothing {
    /// For a reason of ours, before anything was sent.
    pub fn ours(class: Class, error: &str) -> Self {
        let error = error.to_owned();
        Self { class, error, retry_after: None, blames_client: false, blames_host: false }
    }
}

/// Why a request brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// No byte was sent.
    NotSent,
    /// The answer was lost or made no sense: it may have taken effect.
    Unknown,
    /// A complete 429 or 5xx.
    Busy,
    /// The provider no longer takes this refresh token.
    InvalidGrant,
    /// The provider does not take the tenant's registration.
    ClientFault,
    /// Another refusal.
    Refused,
}

impl Class {
    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Busy => "busy",
            Self::InvalidGrant => "invalid_grant",
            Self::ClientFault => "client_fault",
            Self::Refused => "refused",
        }
    }
}

/// Reads what became of a request.
pub(super) fn of(
    provider: &Provider,
    answer: Result<OutboundResponse, UpstreamError>,
    now: Timestamp,
) -> Verdict {
    let nothing = |class, error: &str, blames_host| Nothing { blames_host, ..Nothing::ours(class, error) };
    let response = match answer {
        Ok(response) => response,
        Err(UpstreamError::NotSent(_)) => {
            return Verdict::Nothing(nothing(Class::NotSent, "not_reached", true));
        }
        Err(UpstreamError::Lost(_)) => {
            return Verdict::Nothing(nothing(Class::Unknown, "answer_lost", true));
        }
    };
    let answer = wire::read_token_answer(provider, AnswerKind::Refresh, &response, now);
    let blames_client = answer.blames_client();
    let refused =
        |class, error: String| Verdict::Nothing(Nothing { blames_client, ..nothing(class, &error, false) });
    match answer {
        TokenAnswer::Granted(set) => Verdict::Granted(set),
        TokenAnswer::Busy { retry_after, status } => {
            // A 429 is an answer: the host is well, and only this client asks too much.
            let busy = nothing(Class::Busy, &format!("http_{status}"), status != 429);
            Verdict::Nothing(Nothing { retry_after, ..busy })
        }
        TokenAnswer::Unreadable { .. } => {
            Verdict::Nothing(nothing(Class::Unknown, "unreadable_answer", false))
        }
        TokenAnswer::Refused { class: RefusalClass::InvalidGrant, error, .. } => {
            refused(Class::InvalidGrant, error)
        }
        TokenAnswer::Refused { class: RefusalClass::ClientFault, error, .. } => {
            refused(Class::ClientFault, error)
        }
        TokenAnswer::Refused { error, .. } => refused(Class::Refused, error),
    }
}

/// Whether to ask for the end user again without sending anything: an earlier attempt's outcome is unknown, and trying the old
/// token again is no use or could do harm.
pub(super) fn hopeless(provider: &Provider, unknown_since: Option<Timestamp>, now: Timestamp) -> bool {
    let Some(since) = unknown_since else { return false };
    let rules = &provider.refresh;
    let in_grace = || now.since(since) < rules.grace;
    match rules.rotation {
        Rotation::None => false,
        Rotation::Grace if in_grace() => false,
        Rotation::Grace | Rotation::Strict => rules.on_unknown == OnUnknown::Reauthorize,
    }
}

/// What follows for the connection: its status, and whether its refresh token is in doubt.
pub(super) fn consequence(provider: &Provider, class: Class, trouble: &Trouble) -> (Status, Doubt) {
    let rotates = provider.refresh.rotation != Rotation::None;
    let in_doubt = rotates && (trouble.unknown_since.is_some() || trouble.doubted);
    match class {
        Class::InvalidGrant if in_doubt => {
            (Status::ReauthorizationRequired(ReauthorizationReason::RefreshOutcomeUnknown), Doubt::None)
        }
        Class::InvalidGrant => (Status::ReauthorizationRequired(ReauthorizationReason::Revoked), Doubt::None),
        // Also where nothing is spent: the old access token may have been killed.
        Class::Unknown => (Status::Failing, Doubt::Unknown),
        Class::Busy if rotates => (Status::Failing, Doubt::Answered),
        Class::Busy | Class::NotSent | Class::ClientFault | Class::Refused => (Status::Failing, Doubt::None),
    }
}

/// What the caller hears.
pub(super) fn refusal(status: Status, nothing: &Nothing, id: &ConnectionId, wait: Duration) -> Refusal {
    if let Status::ReauthorizationRequired(reason) = status {
        return Refusal::ReauthorizationRequired { reason, connection: Some(id.clone()) };
    }
    let error = nothing.error.clone();
    match nothing.class {
        Class::ClientFault => Refusal::IntegrationMisconfigured { error },
        Class::Refused => Refusal::ProviderRefused { error },
        _ => Refusal::ProviderUnavailable { retry_after: wait },
    }
}

/// What the caller hears until the next try. A registration that is not accepted is named each time: it is for the tenant to
/// mend, and no waiting helps.
pub(super) fn pausing(trouble: &Trouble, wait: Duration) -> Refusal {
    match &trouble.last_error {
        Some(error) if wire::is_client_fault(error) => {
            Refusal::IntegrationMisconfigured { error: error.clone() }
        }
        _ => Refusal::ProviderUnavailable { retry_after: wait },
    }
}
