//! Logs on standard error, filtered as the configuration says, and traces to a collector, if the environment names one.

use crate::config::LogFormat;
use og_http::traces::{self, Traces, TracesError};
use std::{io::IsTerminal as _, panic::PanicHookInfo, sync::OnceLock};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// A log filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "log: {text:?} is not a filter: {source}. Write for example \"info\" or \"warn,og_consensus=debug\""
)]
pub struct LogFilterError {
    text: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The configuration's filter, or that of `RUST_LOG`.
    #[error(transparent)]
    Filter(#[from] LogFilterError),
    /// The environment's variables for traces.
    #[error(transparent)]
    Traces(#[from] TracesError),
}

/// Starts logging; `RUST_LOG` in the environment takes precedence over `filter`. `service` is the name of whoever makes spans, if
/// somebody does; what hands them to a collector is returned, if the environment names one.
///
/// # Errors
/// [`LoggingError`] if the filter or the environment cannot be understood.
pub(crate) fn start(
    (filter, format): (&str, LogFormat),
    service: Option<&str>,
) -> Result<Option<Traces>, LoggingError> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(&text).map_err(|source| LogFilterError { text, source })?;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Spans that are made for a collector are none of the log's.
    let no_traces = filter_fn(|place| place.target() != traces::TARGET);
    let filter = filter.and(no_traces.with_max_level_hint(LevelFilter::TRACE));
    let traces = service.map(Traces::of_environment).transpose()?.flatten();
    let mut layers = vec![lines.with_filter(filter).boxed()];
    layers.extend(traces.as_ref().map(|traces| traces.layer().boxed()));
    // A second start, in a test that runs two nodes, keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    std::panic::set_hook(Box::new(log_panic));
    Ok(traces)
}

/// Why the first panic of the process happened: others follow from it.
static FIRST_PANIC: OnceLock<String> = OnceLock::new();

/// Why the process cannot go on.
pub(crate) fn first_panic() -> String {
    let reason = FIRST_PANIC.get().cloned();
    reason.unwrap_or_else(|| "the log says why".to_owned())
}

/// A panic is a bug, or a disk or database that failed where nothing can go on without it: the
/// log says so like everything else, on one line.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let reason = panic.payload_as_str().unwrap_or("no reason given");
    let _ = FIRST_PANIC.set(reason.to_owned());
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, reason, "this cannot go on");
}
