//! The answer of a token endpoint (RFC 6749 sections 5.1 and 5.2), as providers really give it.

use super::error_code::RefusalClass;
use crate::catalog::Provider;
use crate::domain::{AccessToken, RefreshToken, Scopes, Timestamp};
use crate::ports::OutboundResponse;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// A code was exchanged.
    Code,
    /// A token was refreshed, the main one or a further one: the answer holds it where `[refresh.response]` says.
    Refresh,
}

/// What became of a token request that was answered completely.
#[derive(Clone, Debug)]
pub enum TokenAnswer {
    /// Tokens.
    Granted(Box<TokenSet>),
    /// A clear no.
    Refused {
        /// Whose fault it is.
        class: RefusalClass,
        /// The provider's own code, or `http_<status>`: printable ASCII, 64 characters at most.
        error: String,
        /// The HTTP status.
        status: u16,
    },
    /// 429, 5xx, or a refusal that says to come back: nothing is known to have happened.
    Busy {
        /// What `Retry-After` says, a day at most.
        retry_after: Option<Duration>,
        /// The HTTP status.
        status: u16,
    },
    /// An answer that makes no sense. The request may have taken effect.
    Unreadable {
        /// What was wrong with it; holds nothing of its content.
        reason: &'static str,
        /// The HTTP status.
        status: u16,
    },
}

impl TokenAnswer {
    /// True when it may be the client secret that was refused: with `invalid_client` and its kin, or with a 401 that says no
    /// more (RFC 6749 section 5.2). The request had no effect then.
    pub fn blames_client(&self) -> bool {
        match self {
            Self::Refused { class: RefusalClass::ClientFault, .. } => true,
            Self::Refused { class: RefusalClass::Other, status, .. } => *status == 401,
            _ => false,
        }
    }
}

/// The tokens of one answer.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// 1 to 16,384 printable ASCII characters.
    pub access_token: AccessToken,
    /// `None`: the answer has none, so an earlier one stays in use.
    pub refresh_token: Option<RefreshToken>,
    /// As the provider spells it; `Bearer` where it does not say.
    pub token_type: String,
    /// From now on; `None` where the provider does not say. Never zero, ten years at most.
    pub expires_in: Option<Duration>,
    /// The same for the refresh token.
    pub refresh_expires_in: Option<Duration>,
    /// What was granted; `None` where the provider does not say, which means what was asked.
    pub scopes: Option<Scopes>,
    /// What the file wants copied to the connection.
    pub metadata: BTreeMap<String, String>,
    /// Further tokens of the grant, by name; those that the answer lacks are left out.
    pub more: BTreeMap<String, FurtherTokens>,
}

/// A further token of the grant.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in TokenSet")]
pub struct FurtherTokens {
    pub access_token: AccessToken,
    pub refresh_token: Option<RefreshToken>,
    pub expires_in: Option<Duration>,
    pub scopes: Option<Scopes>,
}

/// Reads a complete answer. `now` is only for a `Retry-After` that is a date.
pub fn read_token_answer(
    provider: &Provider,
    kind: AnswerKind,
    response: &OutboundResponse,
    now: Timestamp,
) -> TokenAnswer {
    super::token_body::read(provider, kind, response, now)
}
