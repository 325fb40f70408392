//! Why there is no result: what one node said or did, and what clients are told.

use crate::http::{FetchError, excerpt, read_bounded};
use axum::http::StatusCode;
use hyper::{Response, body::Incoming};
use serde::Deserialize;

/// Bytes of a node's error that are read.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What a node says of a request that is at fault.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    /// What is wrong. The input's name stands at the beginning, in `'`, where it is the only one at fault.
    message: String,
    /// The input at fault, perhaps with the way into its JSON.
    input: Option<String>,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, message: &str, input: Option<&str>) -> Self {
        Self {
            status,
            message: excerpt(message),
            input: input.map(excerpt),
        }
    }

    /// The parameter at fault, and what is wrong with it. `call` says what the client calls an input.
    pub(crate) fn told(self, call: impl FnOnce(&str) -> String) -> (Option<String>, String) {
        let Some(input) = self.input else {
            return (None, self.message);
        };
        let param = call(&input);
        let message = match self.message.strip_prefix(&format!("'{input}'")) {
            Some(reason) => format!("'{param}'{reason}"),
            None => self.message,
        };
        (Some(param), message)
    }
}

/// Why no node's answer can be passed on.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A node says that the request itself is at fault.
    Rejected(Rejection),
    /// The nodes have more to do than they take on.
    Busy(String),
    /// Every node that was tried failed; the last one's reason.
    NoneAnswered(String),
}

/// Why one node gave no result.
pub(super) enum PostError {
    /// The request is at fault, and would be elsewhere.
    Rejected(Rejection),
    /// The node has more to do than it takes on.
    Busy(String),
    /// The answer was not there within [`crate::config::JOB_TIMEOUT`].
    Late,
    /// The node is at fault: another may do better.
    Failed(String),
}

impl From<FetchError> for PostError {
    fn from(error: FetchError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A node's error, as far as it is of interest.
#[derive(Deserialize)]
struct NodeError {
    error: NodeErrorDetail,
}

#[derive(Deserialize)]
struct NodeErrorDetail {
    message: String,
    input: Option<String>,
}

impl PostError {
    /// What an answer that is none says.
    pub(super) async fn from_response(response: Response<Incoming>) -> Self {
        let status = response.status();
        let body = read_bounded(response, MAX_ERROR_BYTES).await;
        Self::from_answer(status, &body.unwrap_or_default())
    }

    /// For the log, and for clients where no node answers.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Rejected(rejection) => &rejection.message,
            Self::Busy(reason) | Self::Failed(reason) => reason,
            Self::Late => "it took longer than an answer may take",
        }
    }

    /// That there is no answer, for this reason.
    pub(super) fn without_answer(&self) -> RunError {
        RunError::NoneAnswered(self.reason().to_owned())
    }

    fn from_answer(status: StatusCode, body: &[u8]) -> Self {
        let error = serde_json::from_slice::<NodeError>(body).map(|body| body.error);
        let NodeErrorDetail { message, input } = error.unwrap_or_else(|_| NodeErrorDetail {
            message: String::from_utf8_lossy(body).into_owned(),
            input: None,
        });
        let rejection = Rejection::new(status, &message, input.as_deref());
        match status {
            StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Self::Rejected(rejection),
            StatusCode::TOO_MANY_REQUESTS => Self::Busy(rejection.message),
            _ => Self::Failed(format!("{status}: {}", rejection.message)),
        }
    }
}
