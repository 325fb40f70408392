//! JSON-RPC errors: Ethereum's codes and words where Ethereum has them.

use crate::{chain::SubmitError, index::IndexError};
use alloy_primitives::Bytes;
use jsonrpsee::types::ErrorObjectOwned;

/// Ethereum's code for a request that is well-formed and cannot be served.
pub const CODE_SERVER: i32 = -32000;
/// A record that will never be admitted.
pub const CODE_RECORD_REFUSED: i32 = -32010;
/// A record that cannot be admitted now.
pub const CODE_RECORD_NOT_NOW: i32 = -32011;
/// A record is final, but no certificate that covers it has arrived yet: ask again.
pub const CODE_UNCERTIFIED: i32 = -32012;
/// Ethereum's code for history that is not kept any more.
pub const CODE_PRUNED: i32 = 4444;
/// Ethereum's code for an answer that would be too large (EIP-1474).
pub const CODE_LIMIT_EXCEEDED: i32 = -32005;
/// Ethereum's code for a request that took too long.
pub const CODE_TIMEOUT: i32 = -32002;
/// JSON-RPC's code for what is no JSON.
pub const CODE_PARSE_ERROR: i32 = -32700;
/// JSON-RPC's code for what is no request.
pub const CODE_INVALID_REQUEST: i32 = -32600;
/// JSON-RPC's code for what is not there, which Ethereum uses of subscriptions too.
pub const CODE_METHOD_NOT_FOUND: i32 = -32601;
/// Ethereum's code for a call that reverted.
pub const CODE_REVERTED: i32 = 3;
const CODE_INVALID_PARAMS: i32 = -32602;
const CODE_INTERNAL: i32 = -32603;

pub(crate) fn with_code(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

/// A request that cannot be served.
pub(crate) fn server(message: impl Into<String>) -> ErrorObjectOwned {
    with_code(CODE_SERVER, message)
}

/// A parameter that is wrong.
pub(crate) fn invalid(message: impl Into<String>) -> ErrorObjectOwned {
    with_code(CODE_INVALID_PARAMS, message)
}

/// A call that reverted, with its revert data.
pub(crate) fn reverted(reason: Option<String>, data: Bytes) -> ErrorObjectOwned {
    let message = match reason {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(CODE_REVERTED, message, Some(data))
}

/// The node is at fault. The cause goes to the log, not to the client.
pub(crate) fn internal(cause: &dyn std::error::Error) -> ErrorObjectOwned {
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    tracing::error!(
        cause = text,
        "a request failed for a reason of this node: check its disk"
    );
    with_code(CODE_INTERNAL, "the node failed; its log says why")
}

impl From<IndexError> for ErrorObjectOwned {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Pruned { .. }
            | IndexError::StatePruned { .. }
            | IndexError::UnknownOrPruned { .. } => with_code(CODE_PRUNED, error.to_string()),
            IndexError::TooManyLogs { .. } => with_code(CODE_LIMIT_EXCEEDED, error.to_string()),
            error => internal(&error),
        }
    }
}

/// The error for a transaction that is not taken.
pub(crate) fn transaction_error(error: SubmitError) -> ErrorObjectOwned {
    match error {
        SubmitError::Refused(reason) | SubmitError::NotNow(reason) => server(reason),
        SubmitError::Internal(_) => internal(&error),
    }
}

/// The error for a record that is not taken.
pub(crate) fn record_error(error: SubmitError) -> ErrorObjectOwned {
    match error {
        SubmitError::Refused(reason) => with_code(CODE_RECORD_REFUSED, reason),
        SubmitError::NotNow(reason) => with_code(CODE_RECORD_NOT_NOW, reason),
        SubmitError::Internal(_) => internal(&error),
    }
}
