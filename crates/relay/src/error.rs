//! What goes wrong, as operators and as clients see it.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a relay could not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It was told of no node of the chain.
    #[error("the relay's configuration names no JSON-RPC URL: give it at least one")]
    NoRpc,
    /// A URL of a node is none. It is told by its number: URLs may hold keys.
    #[error("JSON-RPC URL number {0} is none: give one that begins with http:// or https://")]
    RpcUrl(usize),
    /// TLS could not be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// An error as clients read it: `{"error": "<text>"}` with its HTTP status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// The relay has as much to do as it can, or this client has its share.
    pub(crate) fn busy() -> Self {
        let message = "the relay is busy, or you have your share of it: try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// The gateway did not do its part.
    pub(crate) fn gateway(message: &str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.message }));
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, [(header::RETRY_AFTER, "1")], body).into_response()
            }
            status => (status, body).into_response(),
        }
    }
}
