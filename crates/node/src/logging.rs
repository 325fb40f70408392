//! Logs on standard error, filtered as the configuration says.

use crate::config::LogFormat;
use std::{io::IsTerminal as _, panic::PanicHookInfo, sync::OnceLock};
use tracing_subscriber::EnvFilter;

/// A log filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "log: {text:?} is not a filter: {source}. Write for example \"info\" or \"warn,og_consensus=debug\""
)]
pub struct LogFilterError {
    text: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging; `RUST_LOG` in the environment takes precedence over `filter`.
///
/// # Errors
/// [`LogFilterError`] if the filter cannot be understood.
pub(crate) fn start((filter, format): (&str, LogFormat)) -> Result<(), LogFilterError> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(&text).map_err(|source| LogFilterError { text, source })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start, in a test that runs two nodes, keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
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
