//! The bridge's spans: each goes on with the trace of whoever asked, and to whatever collects them where that is configured.
//!
//! A span carries ids and codes, never text of others. Where the standard's variables name no collector
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`, <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>), spans still give lines and requests
//! their trace. A collector that is away costs spans and nothing else: they wait in a queue of limited length, in a thread of their own.

use crate::api::Failure;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use protocol::id::{SandboxId, SessionId};
use protocol::trace::{TRACE_HEADER, TraceParent};
use std::time::Duration;
use tracing::field::display;
use tracing::{Instrument as _, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

/// Variables that name a collector, the more special one first.
pub const ENDPOINT_VARIABLES: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// What the bridge is called where `OTEL_SERVICE_NAME` does not say.
const SERVICE: &str = "farhand-bridge";
/// How long the end of the bridge waits for the last spans.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The collector cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("OTEL_EXPORTER_OTLP_ENDPOINT does not lead to a collector: {0}; give its base URL, or leave it out")]
pub struct CollectorError(String);

/// Where spans go.
#[derive(Clone, Debug)]
pub struct Spans(SdkTracerProvider);

impl Spans {
    /// Spans that go to the collector of the standard's variables, or nowhere. To be called outside of an asynchronous runtime.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CollectorError> {
        let is_set = |name: &&str| variable(name).is_some_and(|value| !value.trim().is_empty());
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is_off || !ENDPOINT_VARIABLES.iter().any(is_set) {
            return Ok(Self(SdkTracerProvider::builder().build()));
        }
        Self::to_collector(None)
    }

    /// Spans that go to this address, where there is one, else to that of the standard's variables.
    pub fn to_collector(url: Option<&str>) -> Result<Self, CollectorError> {
        let exporter = SpanExporter::builder().with_http();
        let exporter = match url {
            Some(url) => exporter.with_endpoint(url),
            None => exporter,
        };
        let exporter = exporter.build().map_err(|error| CollectorError(error.to_string()))?;
        let is_named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
        let resource = Resource::builder();
        let resource = if is_named { resource } else { resource.with_service_name(SERVICE) };
        let builder = SdkTracerProvider::builder().with_batch_exporter(exporter);
        Ok(Self(builder.with_resource(resource.build()).build()))
    }

    /// What makes spans of this program's own ones. Of what they say, nothing goes along.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        opentelemetry::global::set_tracer_provider(self.0.clone());
        let is_own = filter_fn(|metadata| {
            metadata.is_span()
                && *metadata.level() <= tracing::Level::INFO
                && metadata.target().starts_with("sandbox_bridge")
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(is_own)
    }

    /// Sends what is left, within a second.
    pub fn flush(&self) {
        // What does not arrive is lost, as it would be without a collector.
        let _ = self.0.shutdown_with_timeout(FLUSH_TIMEOUT);
    }
}

/// The filter of lines, by `FARHAND_LOG`. Spans pass always: lines tell of them, and other processes' traces go through them.
pub(crate) fn line_filter() -> EnvFilter {
    EnvFilter::try_from_env("FARHAND_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}

/// The present span as others are told of it; `None` where nothing follows spans.
#[must_use]
pub fn current() -> Option<TraceParent> {
    parent_of(&Span::current())
}

/// A span as others are told of it.
#[must_use]
pub fn parent_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let known = context.span().span_context().clone();
    known.is_valid().then(|| TraceParent::new(known.trace_id().to_bytes(), known.span_id().to_bytes()))
}

/// Makes a span that was just opened part of somebody else's trace.
pub fn go_on(span: &Span, parent: TraceParent) {
    // It fails for a span that others were told of already, and where nothing follows spans.
    let _ = span.set_parent(context_of(parent));
}

/// Somebody else's span.
#[must_use]
pub fn context_of(parent: TraceParent) -> opentelemetry::Context {
    let flags = if parent.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, span_id) =
        (TraceId::from_bytes(parent.trace_bytes()), SpanId::from_bytes(parent.span_bytes()));
    let known = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    opentelemetry::Context::new().with_remote_span_context(known)
}

/// Middleware: each call of the edge is a span in the edge's trace.
pub(crate) async fn follow(request: Request, next: Next) -> Result<Response, Failure> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let name = format!("{} {path}", request.method());
    let span = tracing::info_span!(
        "call",
        otel.name = name,
        otel.kind = "server",
        http.response.status_code = tracing::field::Empty,
        sandbox = tracing::field::Empty,
        session = tracing::field::Empty,
        generation = tracing::field::Empty,
        turn = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    let header = request.headers().get(TRACE_HEADER).and_then(|value| value.to_str().ok());
    if let Some(parent) = header.and_then(TraceParent::parse) {
        go_on(&span, parent);
    }
    if let Some(own) = parent_of(&span) {
        span.record("trace_id", own.trace_id());
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    Ok(response)
}

/// Says what the present call is about.
pub(crate) fn about(sandbox: &SandboxId, session: Option<(&SessionId, u64)>) {
    let span = Span::current();
    span.record("sandbox", display(sandbox));
    if let Some((session, generation)) = session {
        span.record("session", display(session));
        span.record("generation", generation);
    }
}
