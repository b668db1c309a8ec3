//! OAuth on the wire, without I/O: requests are values, answers are read into closed enums, and somebody above sends them.
//!
//! It may not know the store, tenants or connections, and reads neither clock nor configuration. What differs between
//! providers comes from the catalog, never from an `if`. RFC 6749, 6750, 7009, 7636 and 9207; RFC 9700 for what to refuse.

mod authorize;
mod callback;
mod client;
mod encode;
mod error_code;
pub mod pkce;
mod profile;
mod retry_after;
mod revoke;
mod token_body;
mod token_request;
mod token_response;

pub use authorize::{AuthorizeInputs, authorize_url};
pub use callback::{Callback, CallbackFault, IssuerFault, Returned, check_hmac, check_issuer, read_callback};
pub use client::ClientCredentials;
pub use error_code::{RefusalClass, is_client_fault};
pub use profile::{IdentityFound, ProfileFault, bearer_get, read_identity, read_metadata};
pub use revoke::{Revocation, revocation_outcome, revoke_request};
pub use token_request::{Grant, token_request};
pub use token_response::{AnswerKind, FurtherTokens, TokenAnswer, TokenSet, read_token_answer};

use crate::catalog::{FillError, Provider};
use crate::crypto::hash;

/// Why a request could not be built.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BuildError {
    /// A URL of the provider file could not be filled in.
    #[error(transparent)]
    Url(#[from] FillError),
    /// The provider wants a client secret, and the integration has none.
    #[error("the integration has no client secret, and the provider asks for one")]
    NoSecret,
}

/// A short text that differs when anything differs that decides where secrets of `provider` go, and how.
pub fn fingerprint(provider: &Provider) -> String {
    hash::sha256_hex(provider.canonical_text().as_bytes())
}

#[cfg(test)]
mod tests;
