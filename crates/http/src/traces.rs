//! Hands the spans of requests to a collector of OpenTelemetry, if the environment names one: OTLP over HTTP, in protobuf.
//!
//! Only spans of [`TARGET`] go out. What they hold is decided where they are made, and is never what was asked or answered.

mod context;
mod environment;

pub use context::{PARENT_HEADER, Parent, header, trace_id};
pub use environment::TracesError;

use opentelemetry::{Key, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

/// The target of spans that go to the collector. The log leaves them out.
pub const TARGET: &str = "og::request";

/// Hands spans out, in batches, on a thread of its own. As many as `OTEL_BSP_MAX_QUEUE_SIZE` says (2,048) wait at most: with a
/// collector that is slow or not there the others are lost, and nothing waits for it.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// As the environment's standard variables say; `None` if they name no collector. `service` is the name of whose spans
    /// they are, unless they give another.
    ///
    /// # Errors
    /// [`TracesError`] if they say what cannot be done.
    pub fn of_environment(service: &str) -> Result<Option<Self>, TracesError> {
        let collector = environment::collector(|name| std::env::var(name).ok())?;
        collector.map(|url| Self::to(&url, service)).transpose()
    }

    /// To the collector that takes spans at the address `url`.
    ///
    /// # Errors
    /// [`TracesError`] if it is no address.
    pub fn to(url: &str, service: &str) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .build()
            .map_err(|error| TracesError::Exporter(error.to_string()))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(service));
        Ok(Self(provider.build()))
    }

    /// What a subscriber does with spans.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("og"))
            .with_context_activation(false)
            .with_level(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        layer.with_filter(Targets::new().with_target(TARGET, Level::INFO))
    }

    /// Hands out what waits, and ends. Blocks for as long as the collector takes, a few seconds at most.
    pub fn shutdown(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces did not reach the collector");
        }
    }
}

/// Whose spans they are: as the environment says, or else `service`.
fn resource(service: &str) -> Resource {
    let found = Resource::builder().build();
    let name = found.get(&Key::from_static_str("service.name"));
    match name {
        // What the library says where nothing is known.
        Some(name) if !name.as_str().starts_with("unknown_service") => found,
        _ => Resource::builder()
            .with_service_name(service.to_owned())
            .build(),
    }
}
