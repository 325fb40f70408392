//! Errors as clients see them: OpenAI's shape, an HTTP status that fits, a sentence that helps.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use og_dialects::Fault;
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds after which a client that was told to come back should do so.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// A sentence for people.
    pub message: String,
    /// The class of error, for example `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field of the request that is at fault, where one is.
    pub param: Option<String>,
    /// A name for programs, for example `model_not_found`.
    pub code: &'static str,
}

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    param: Option<String>,
    message: String,
}

impl ApiError {
    /// An error with this status, name and sentence.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            param: None,
            message: message.into(),
        }
    }

    /// The request is at fault: `param` is the field, `message` what is wrong with it.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).about(param)
    }

    /// Something that the gateway needs is not there right now.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// The gateway itself failed. The cause goes to the log, not to the client.
    pub(crate) fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(
            cause = error_chain(cause),
            "a request failed for a reason of this gateway: check its disk"
        );
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the gateway failed; its log says why",
        )
    }

    /// The same as the formats of language models have it.
    pub(crate) fn into_dialect(self) -> og_dialects::ApiError {
        let fault = match self.status {
            StatusCode::NOT_FOUND => Fault::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Fault::TooLarge,
            StatusCode::TOO_MANY_REQUESTS => Fault::TooMany,
            StatusCode::BAD_GATEWAY => Fault::Upstream,
            StatusCode::SERVICE_UNAVAILABLE => Fault::Busy,
            StatusCode::REQUEST_TIMEOUT => Fault::Timeout,
            status if status.is_client_error() => Fault::Request,
            _ => Fault::Internal,
        };
        og_dialects::ApiError {
            fault,
            message: self.message,
            param: self.param,
            code: Some(self.code),
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub(crate) fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        }
    }
}

impl From<og_dialects::ApiError> for ApiError {
    fn from(error: og_dialects::ApiError) -> Self {
        let status = StatusCode::from_u16(error.fault.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: error.code.unwrap_or("refused"),
            param: error.param,
            message: error.message,
        }
    }
}

/// An error with everything that caused it, for the log.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorDetail {
                kind: self.kind(),
                message: self.message,
                param: self.param,
                code: self.code,
            },
        };
        let mut response = (self.status, Json(body)).into_response();
        if matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }
}
