//! Traces for an OpenTelemetry collector (OTLP over HTTP, protobuf): the span of each request, and in it the span of each
//! call to a provider, both with the request's id.
//!
//! They are the spans of the log, told once more under the names of OpenTelemetry's semantic conventions for HTTP. Nothing
//! is in them that the log may not hold: patterns in place of paths, hosts in place of URLs, no header, no body. Who
//! carries them to the collector is told from above; a collector that does not answer costs spans and never a request.
//!
//! What a caller says in `traceparent` (W3C Trace Context) is not to be trusted: it gives the trace id, the parent's id and
//! the flag that asks for the trace to be kept, all of fixed form, and nothing else of it is read.

mod export;

use crate::domain::ProviderId;
use export::{Bounded, Told};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// For one batch of spans, all tries of it together.
const PATIENCE: Duration = Duration::from_secs(5);

/// True once spans are exported; without it nothing here does any work.
static ON: OnceLock<Follow> = OnceLock::new();

/// Whether the trace that a caller names is gone on with.
type Follow = bool;

/// Where traces go and how many.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// The collector's address for traces, in messages; who carries them knows it too.
    pub url: String,
    /// The name of this service in traces.
    pub service: String,
    /// Which part of the traces that begin here is kept, 0 to 1.
    pub sample: f64,
    /// Go on with the trace that a caller names in `traceparent`.
    pub follow: bool,
}

/// Traces could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoTraces(String);

/// What collects spans and hands them over in the background.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    follow: Follow,
}

impl Traces {
    /// Spans will be carried by `client`, on a thread of their own.
    pub fn new(options: TraceOptions, client: impl HttpClient + 'static) -> Result<Self, NoTraces> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(options.url)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| NoTraces(error.to_string()))?;
        // Empty at first: by default the library reads the environment, and settings have one place.
        let resource = Resource::builder_empty()
            .with_service_name(options.service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let waiting = Arc::new(AtomicUsize::new(0));
        let told = Told::new(exporter, Arc::clone(&waiting));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.sample))))
            .with_span_processor(Bounded::new(told, waiting))
            .build();
        Ok(Self { provider, follow: options.follow })
    }

    /// What makes spans of the log into spans of traces. Events stay in the log.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("grantkeep"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|about| about.is_span() && about.target().starts_with("grantkeep")))
    }

    /// From now on spans are made.
    pub(super) fn begin(&self) {
        ON.get_or_init(|| self.follow);
    }

    /// Hands over what is left. Blocks, a few seconds at most.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last spans of traces were not handed over");
        }
    }
}

/// The request's id, kept with its span for the calls that are made in it.
struct RequestId(String);

/// The one header that is looked at.
struct Parent<'a>(&'a str);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }
    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// A request begins in a span of the log; `traceparent` is what its caller sent. To be called before the span is entered.
pub fn request_began(span: &Span, id: &str, traceparent: Option<&str>) {
    let Some(follow) = ON.get() else { return };
    if let Some(text) = traceparent.filter(|_| *follow) {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(text));
        if parent.span().span_context().is_valid() {
            // An error says that the span is not kept: it has been filtered out.
            let _ = span.set_parent(parent);
        }
    }
    span.with_subscriber(|(span, to)| {
        let span = to.downcast_ref::<Registry>().and_then(|spans| spans.span(span));
        if let Some(span) = span {
            span.extensions_mut().replace(RequestId(id.to_owned()));
        }
    });
}

/// A request was answered with that status.
pub fn request_answered(span: &Span, status: u16) {
    if ON.get().is_some() {
        span.set_attribute(export::STATUS, i64::from(status));
    }
}

/// The span of one call to a provider. The host is the provider's; a URL may hold secrets and is not told.
pub fn provider_call(provider: &ProviderId, method: &'static str, host: &str) -> Span {
    let within = Span::current();
    let span = tracing::error_span!("provider_call", %provider, method, host);
    if ON.get().is_some() {
        let id = within.with_subscriber(|(span, to)| {
            let span = to.downcast_ref::<Registry>()?.span(span)?;
            span.scope().find_map(|span| Some(span.extensions().get::<RequestId>()?.0.clone()))
        });
        if let Some(id) = id.flatten() {
            span.set_attribute(export::REQUEST_ID, id);
        }
    }
    span
}

/// What came of a call: the answer's status, or a word for why there was none.
pub fn provider_answered(span: &Span, outcome: Result<u16, &'static str>) {
    if ON.get().is_none() {
        return;
    }
    match outcome {
        Ok(status) => span.set_attribute(export::STATUS, i64::from(status)),
        Err(word) => span.set_attribute(export::ERROR, word),
    }
}
