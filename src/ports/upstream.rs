//! The one door out: a request to a provider and what became of it.
//!
//! The errors tell apart what the refresh protocol must tell apart: a request of which no byte was sent may be made again;
//! one whose answer was lost may have taken effect.

use crate::domain::Secret;
use async_trait::async_trait;
use std::time::Duration;
use url::Url;

/// Methods that provider files may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "HTTP's own words")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What is sent as a body, encoded by whoever built the request.
#[derive(Clone)]
pub struct OutboundBody {
    /// The media type.
    pub content_type: &'static str,
    /// The encoded text.
    pub text: Secret,
}

/// A request to a provider. `Debug` shows the method and the host only: all else may hold secrets.
#[derive(Clone)]
pub struct OutboundRequest {
    /// The method.
    pub method: Method,
    /// The whole URL, query included.
    pub url: Url,
    /// Further headers, in order.
    pub headers: Vec<(String, Secret)>,
    /// The body, where there is one.
    pub body: Option<OutboundBody>,
    /// For the whole of it, from the first look-up to the last byte; the adapter's own default where absent.
    pub timeout: Option<Duration>,
}

impl std::fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.method, self.url.host_str().unwrap_or("?"))
    }
}

/// A complete answer, its body read to the end. `Debug` leaves the body out.
#[derive(Clone)]
pub struct OutboundResponse {
    /// The status.
    pub status: u16,
    /// Headers with lower-case names; values that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// The body, 256 KiB at most.
    pub body: Vec<u8>,
}

impl OutboundResponse {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for OutboundResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

/// Why there is no complete answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UpstreamError {
    /// No byte of the request was sent: it had no effect and may be made again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have arrived, and the answer was lost, late, cut short or too large.
    #[error("no usable answer: {0}")]
    Lost(String),
}

/// Sends requests to providers: https, no redirects, checked addresses, bounded time and size.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// One request, sent at most once.
    async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, UpstreamError>;
}
