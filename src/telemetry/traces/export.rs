//! On the way to the collector: how many spans may wait, what is counted, and the names that spans go by.

use crate::telemetry::metrics;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Context, Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// OpenTelemetry's semantic conventions for HTTP spans.
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const ERROR: &str = "error.type";
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const HOST: &str = "server.address";
/// Names of ours.
pub(super) const REQUEST_ID: &str = "grantkeep.request_id";
const PROVIDER: &str = "grantkeep.provider";

/// Spans that may wait for the collector; what comes beyond them is dropped and counted. Some 2 MB at most.
const LONGEST_QUEUE: usize = 4096;
/// Spans handed over at once.
const BATCH: usize = 512;
/// How long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(2);

/// Takes what has ended, as long as not too much waits. Never blocks.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
}

impl Bounded {
    pub fn new(to: Told, waiting: Arc<AtomicUsize>) -> Self {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(LONGEST_QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        Self { inner: BatchSpanProcessor::builder(to).with_batch_config(config).build(), waiting }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        // Counted here, and not left to the library, which drops in silence.
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= LONGEST_QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::trace_spans("dropped", 1);
        } else {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Hands batches over, counts them, and says so once when the collector goes away and once when it is back.
#[derive(Debug)]
pub(super) struct Told {
    inner: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl Told {
    pub fn new(inner: opentelemetry_otlp::SpanExporter, waiting: Arc<AtomicUsize>) -> Self {
        Self { inner, waiting, failing: AtomicBool::new(false) }
    }
}

impl SpanExporter for Told {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        batch.iter_mut().for_each(rename);
        let outcome = self.inner.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the collector takes no traces; they are dropped until it does");
            }
            Ok(()) if was_failing => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        metrics::trace_spans(if outcome.is_ok() { "sent" } else { "failed" }, count);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// From the words of our log to those of OpenTelemetry. Done here, on the exporter's thread, so that a request pays
/// nothing for it.
fn rename(span: &mut SpanData) {
    let (kind, names): (_, &[(&str, &str)]) = match span.name.as_ref() {
        "request" => (SpanKind::Server, &[("id", REQUEST_ID), ("method", METHOD), ("route", ROUTE)]),
        "provider_call" => (SpanKind::Client, &[("provider", PROVIDER), ("method", METHOD), ("host", HOST)]),
        _ => return,
    };
    for attribute in &mut span.attributes {
        if let Some((_, name)) = names.iter().find(|(ours, _)| *ours == attribute.key.as_str()) {
            attribute.key = Key::from_static_str(name);
        }
    }
    let method = text(&span.attributes, METHOD);
    // A host is no name of an operation: there would be as many as there are providers' hosts.
    let name = match kind {
        SpanKind::Server => format!("{method} {}", text(&span.attributes, ROUTE)),
        _ => method,
    };
    span.status = status(&kind, &span.attributes);
    span.span_kind = kind;
    span.name = name.into();
}

/// An error is what the one who answers is to blame for: of a server 5xx, of a client's call also 4xx and no answer.
fn status(kind: &SpanKind, attributes: &[KeyValue]) -> Status {
    let worst = if *kind == SpanKind::Server { 500 } else { 400 };
    let code = attributes.iter().find_map(|attribute| match attribute.value {
        Value::I64(code) if attribute.key.as_str() == STATUS => Some(code),
        _ => None,
    });
    let unanswered = attributes.iter().any(|attribute| attribute.key.as_str() == ERROR);
    if unanswered || code.is_some_and(|code| code >= worst) { Status::error("") } else { Status::Unset }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.as_str().into_owned()).unwrap_or_default()
}
