//! What a collector of traces gets of a request, in the names that OpenTelemetry defines. Nothing of what was asked or answered is
//! in it.

use super::Seen;
use og_http::traces::{self, Parent};
use tracing::{Span, field::Empty};

/// The span of a request that was let in, as a child of the client's.
pub(super) fn begin(id: &str, route: &str, parent: Option<&Parent>) -> Span {
    let span = tracing::info_span!(
        target: traces::TARGET,
        "request",
        otel.name = format!("POST {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.route = route,
        http.response.status_code = Empty,
        gen_ai.request.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        og.request = id,
        og.streamed = Empty,
    );
    if let Some(parent) = parent {
        parent.adopt(&span);
    }
    span
}

/// Adds what is known when the request has ended.
pub(super) fn finish(span: &Span, seen: &Seen) {
    if let Some(status) = seen.status {
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }
    if let Some(model) = &seen.model {
        span.record("gen_ai.request.model", model);
    }
    if let Some(usage) = seen.usage {
        span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
        span.record("gen_ai.usage.output_tokens", usage.answer_tokens);
    }
    span.record("og.streamed", seen.is_streamed);
}
