//! Around and inside a sealed request: the headers that relays and gateways read, and the JSON that
//! was sealed.

use super::CHUNKED_RESPONSE_MEDIA_TYPE;
use alloy_primitives::B256;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The header that names the gateway that a request is sealed for.
pub const TEE_ID_HEADER: &str = "x-tee-id";
/// The header that says that the answer is wanted in chunks.
pub const STREAM_HEADER: &str = "x-ohttp-stream";

/// What relays and clients put into a request for themselves: no part of the question.
const LABELS: [&str; 4] = ["user", "metadata", "x-request-id", "request_id"];
/// Says what a request is for, if it is no conversation.
const ENDPOINT: &str = "endpoint";
const WEB_SEARCH: &str = "web_search";

/// Why what was sealed is no conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InnerError {
    /// It is not a JSON object.
    #[error("the sealed request is not a JSON object: {0}")]
    Json(String),
    /// It asks to search the web.
    #[error("web search is not configured on this gateway: give the model what you have found")]
    WebSearch,
    /// It is for something else that nobody knows.
    #[error("the sealed request's endpoint is not known: leave it out for a conversation")]
    Endpoint,
}

/// The gateway that [`TEE_ID_HEADER`] names, by 64 hexadecimal digits, with or without `0x`.
pub fn tee_id(header: &[u8]) -> Option<B256> {
    let digits = std::str::from_utf8(header.trim_ascii()).ok()?;
    digits.parse().ok()
}

/// Whether the answer is wanted in chunks, as [`STREAM_HEADER`] or `Accept` says.
pub fn wants_chunks(stream: Option<&[u8]>, accept: Option<&[u8]>) -> bool {
    let is = |header: Option<&[u8]>, expected: &str| {
        header.is_some_and(|header| header.eq_ignore_ascii_case(expected.as_bytes()))
    };
    is(stream, "true") || is(accept, CHUNKED_RESPONSE_MEDIA_TYPE)
}

/// The conversation in what was sealed, as a body for `/v1/chat/completions`: without what is no part
/// of the question, and with `stream` as the headers have it. Nothing else is written differently.
///
/// # Errors
/// [`InnerError`]; the client is at fault.
pub fn question(inner: &[u8], chunked: bool) -> Result<Vec<u8>, InnerError> {
    let json = |error: serde_json::Error| InnerError::Json(error.to_string());
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(inner).map_err(json)?;
    for label in LABELS {
        fields.remove(label);
    }
    if let Some(endpoint) = fields.remove(ENDPOINT) {
        let name = serde_json::from_str::<String>(endpoint.get());
        return Err(match name.is_ok_and(|name| name == WEB_SEARCH) {
            true => InnerError::WebSearch,
            false => InnerError::Endpoint,
        });
    }
    let stream = RawValue::from_string(chunked.to_string()).map_err(json)?;
    fields.insert("stream".to_owned(), stream);
    serde_json::to_vec(&fields).map_err(json)
}
