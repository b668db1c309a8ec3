//! What is told of a request to operators: an id, a span, one line and its metrics, all by the route's pattern.
//!
//! A path, a query or a body never stands there: they hold tickets, codes and the names of end users.

use super::State;
use super::headers::X_REQUEST_ID;
use crate::domain::whole_millis;
use crate::ports::{ChanceExt, Clock};
use crate::telemetry::{logs::request_span, metrics, traces};
use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::http::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tracing::Span;
use uuid::Builder;

/// The trace that a caller is in (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One request under way. Dropped before its end, it tells that the client went away.
pub(super) struct Watch {
    request_id: String,
    method: &'static str,
    pattern: &'static str,
    /// Good answers are millions: a line for each would cost as much as the answer. At level `info` a line tells only of the
    /// others.
    millions: bool,
    clock: Arc<dyn Clock>,
    started: Duration,
    span: Span,
    ended: bool,
}

impl Watch {
    /// Takes the id the request came with, or makes one.
    pub(super) fn begin(
        state: &State,
        request: &HttpRequest,
        (pattern, millions): (&'static str, bool),
    ) -> Self {
        let given = request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = given.filter(|id| is_request_id(id)).map_or_else(|| new_id(state), str::to_owned);
        let method = method_name(request.method());
        let span = request_span(&request_id, method, pattern);
        let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        traces::request_began(&span, &request_id, traceparent);
        let started = state.clock.monotonic();
        let clock = Arc::clone(&state.clock);
        Self { request_id, method, pattern, millions, clock, started, span, ended: false }
    }

    /// The id, safe in headers and logs.
    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The span in which the request is worked on.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Tells how it ended.
    pub(super) fn end(mut self, status: StatusCode) {
        self.ended = true;
        self.tell(status.as_u16());
    }

    fn tell(&self, status: u16) {
        let took = self.clock.monotonic().saturating_sub(self.started);
        let ms = whole_millis(took);
        self.span.in_scope(|| {
            if self.ended && self.millions && status == 200 {
                tracing::debug!(status, ms, "answered");
            } else if self.ended {
                tracing::info!(status, ms, "answered");
            } else {
                tracing::info!(status, ms, "the client went away before the answer");
            }
        });
        traces::request_answered(&self.span, status);
        metrics::request(self.pattern, self.method, status, took);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            // 499 is no registered status: servers before us named this case so, and dashboards know it.
            self.tell(499);
        }
    }
}

fn is_request_id(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(good)
}

/// A UUID of version 7 (RFC 9562 section 5.7): log lines sort by it.
fn new_id(state: &State) -> String {
    let millis = u64::try_from(state.clock.now().as_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &state.chance.bytes()).into_uuid().to_string()
}

/// Anybody can make up a method, and a metric's label must not grow with them.
fn method_name(method: &Method) -> &'static str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    known.iter().zip(names).find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tame_request_ids_are_taken_over() {
        for good in ["a", "0193-abc_D.e", &"x".repeat(64)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["", "a b", "a\n", "ä", "a;b", &"x".repeat(65)] {
            assert!(!is_request_id(bad), "{bad}");
        }
    }

    #[test]
    fn made_up_methods_share_a_name() {
        assert_eq!(method_name(&Method::DELETE), "DELETE");
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
