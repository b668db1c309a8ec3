//! The document of the public API, OpenAPI 3.1 (spec.openapis.org/oas/v3.1.0), made of the code that answers.
//!
//! Paths, methods and access come from the route table; fields from the structs that handlers read and write, by utoipa's
//! derives; refusals from the problem table. What is left to say stands beside each handler, as a [`Description`]; the match
//! in `handlers::described` wants one for every route. Nothing is read from a request here, and nobody is asked.

mod description;
mod document;
mod refusals;
mod schemas;
mod words;

pub(super) use description::{Description, Tag};
pub(super) use schemas::{GivenScopes, KeyScopesGiven, Networks, ProviderIds, ReturnUrls};
pub(super) use words::{
    ActionWord, ConnectionStatus, EventWord, FinishWord, KeyScopeWord, ReasonWord, RefreshState,
    RevocationWord,
};

use crate::crypto::hash::sha256_hex;
use actix_web::web::Bytes;
use std::sync::LazyLock;

/// The document as it is sent, and its entity tag (RFC 9110 section 8.8.3).
pub(super) struct Written {
    pub(super) body: Bytes,
    pub(super) etag: String,
}

/// Made once: it depends on nothing but the program.
pub(super) fn written() -> &'static Written {
    static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
        let body = serde_json::to_vec(&document()).unwrap_or_default();
        let etag = format!("\"{}\"", sha256_hex(&body));
        Written { body: body.into(), etag }
    });
    &WRITTEN
}

/// The document, for whoever holds answers against it.
pub fn document() -> serde_json::Value {
    document::of(super::ROUTES)
}

#[cfg(test)]
mod tests;
