//! Why a job has no result, as clients see it: in the status and body of a response, or as the last event of an answer.

use crate::worker::JobError;
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use og_types::JobFailure;
use serde_json::json;

/// An error as clients see it: `{"error": {"code", "message", "input"}}` with its HTTP status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The input of the job at fault, if it is one.
    input: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            input: None,
        }
    }
}

/// What an error is, as a status and as clients and operators name it.
pub(crate) const fn kind(error: &JobError) -> (StatusCode, &'static str) {
    match error {
        JobError::Version(..) | JobError::Request(_) => (StatusCode::BAD_REQUEST, "bad_request"),
        JobError::Input(_) | JobError::Refused(_) => (StatusCode::BAD_REQUEST, "bad_input"),
        JobError::UnknownModel(_) => (StatusCode::NOT_FOUND, "unknown_model"),
        JobError::Used(_) => (StatusCode::CONFLICT, "request_id_used"),
        JobError::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "busy"),
        JobError::Model(_) => (StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
        JobError::Node(_) => (StatusCode::INTERNAL_SERVER_ERROR, "node_failed"),
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let (status, code) = kind(&error);
        if let JobError::Node(reason) = &error {
            tracing::error!(
                reason,
                "a job failed for a reason of this node: check its disk and memory"
            );
            let message = "the node failed: its operator finds the reason in its log";
            return Self::new(status, code, message);
        }
        let input = match &error {
            JobError::Input(error) => error.input().map(str::to_owned),
            JobError::Refused(refusal) => refusal.input.clone(),
            _ => None,
        };
        Self {
            input,
            ..Self::new(status, code, error.to_string())
        }
    }
}

impl From<Failure> for JobFailure {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, &failure.message, failure.input.as_deref())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self {
            code,
            message,
            input,
            ..
        } = self;
        let error = json!({ "code": code, "message": message, "input": input });
        let body = Json(json!({ "error": error }));
        let retry = [(header::RETRY_AFTER, "1")];
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => (self.status, retry, body).into_response(),
            status => (status, body).into_response(),
        }
    }
}
