//! The spans of questions to nodes, for a collector of traces: whom, and what came of it. Nothing of what was asked or answered is
//! in them.

use super::PostError;
use hyper::Uri;
use og_http::traces;
use tracing::{Span, field::Empty};

/// The span of a question to a node, within that of the request.
pub(super) fn begin(url: &Uri) -> Span {
    tracing::info_span!(
        target: traces::TARGET,
        "node",
        otel.name = format!("POST {}", url.path()),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = "POST",
        url.full = %url,
        "error.type" = Empty,
    )
}

/// Notes in the span why there is no answer that can be passed on.
pub(super) fn fail(span: &Span, error: &PostError) {
    let kind = match error {
        PostError::Rejected(_) => "rejected",
        PostError::Busy(_) => "busy",
        PostError::Late => "late",
        PostError::Failed(_) => "failed",
    };
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}
