//! The spans of requests to services, for a collector of traces: whom, and what came of it. Nothing of what was asked or answered is
//! in them, and the services learn nothing of the trace: they belong to others.

use crate::{AskError, error::Failure};
use hyper::StatusCode;
use og_http::traces;
use tracing::{Instrument as _, Span, field::Empty};

/// Asks the server at `url` within a span, which lasts until its answer was read and belongs to the job's.
///
/// # Errors
/// Those of `asked`.
pub(crate) async fn traced<T>(
    url: &str,
    path: &str,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let span = tracing::info_span!(
        target: traces::TARGET,
        "service",
        otel.name = format!("POST {path}"),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.response.status_code = Empty,
        url.full = format!("{url}/{path}"),
        "error.type" = Empty,
    );
    let result = asked.instrument(span.clone()).await;
    if let Err(failure) = &result {
        let kind = match failure.error {
            AskError::Refused(_) => "refused",
            AskError::Busy(_) => "busy",
            AskError::Failed(_) => "failed",
        };
        span.record("error.type", kind);
        span.record("otel.status_code", "ERROR");
    }
    result
}

/// Notes with what status the server has begun its answer.
pub(crate) fn answered(status: StatusCode) {
    Span::current().record("http.response.status_code", status.as_u16());
}
