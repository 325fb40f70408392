//! The span of a job, for the node's collector of traces: which request, which model, how it ended. Nothing of what was asked
//! or answered is in it.

use crate::{failure::kind, worker::JobError};
use og_http::traces::{self, Parent};
use og_types::{JobResult, RequestId};
use tracing::{Instrument as _, Span, field::Empty};

/// Does the work of a job within its span, which lasts to the end of the work and belongs to the gateway's.
///
/// # Errors
/// The work's.
pub(crate) async fn traced(
    id: RequestId,
    parent: Option<Parent>,
    work: impl Future<Output = Result<JobResult, JobError>>,
) -> Result<JobResult, JobError> {
    let span = tracing::info_span!(
        target: traces::TARGET,
        "job",
        otel.name = "POST /v1/jobs",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.route = "/v1/jobs",
        gen_ai.request.model = Empty,
        "error.type" = Empty,
        og.request_id = %id,
    );
    if let Some(parent) = parent {
        parent.adopt(&span);
    }
    let result = work.instrument(span.clone()).await;
    note(&span, &result);
    result
}

fn note(span: &Span, result: &Result<JobResult, JobError>) {
    match result {
        Ok(result) => {
            let model = result.record.record.model;
            span.record("gen_ai.request.model", tracing::field::display(model));
        }
        Err(error) => {
            let (status, code) = kind(error);
            span.record("error.type", code);
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}
