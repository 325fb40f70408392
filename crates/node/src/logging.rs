//! Logs on standard error, filtered as the configuration says.

use std::io::IsTerminal as _;
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
pub(crate) fn start(filter: &str) -> Result<(), LogFilterError> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(&text).map_err(|source| LogFilterError { text, source })?;
    // A second start, in a test that runs two nodes, keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}
