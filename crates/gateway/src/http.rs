//! Talking to nodes and validators: clients bounded in time, every answer bounded in size.

use crate::{
    config::{CONNECT_TIMEOUT, MAX_REASON_BYTES},
    error::error_chain,
};
use og_http::REQUESTS_PER_LANE;
use std::time::Duration;

/// Bytes of one answer that a node may send before they are read: clients that are slow hold up to so much.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all answers on a connection together: enough that slow clients do not hold up the others.
const CONNECTION_WINDOW_BYTES: u32 = 128 * STREAM_WINDOW_BYTES;
/// How often a node with requests is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const _: () =
    assert!(CONNECTION_WINDOW_BYTES as usize >= REQUESTS_PER_LANE * STREAM_WINDOW_BYTES as usize);

/// Why a question to another process got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No connection, no answer in time, or an answer cut short.
    #[error("no answer: {0}")]
    Transport(String),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer is not what was asked for.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // reqwest's own text stops at "error sending request"; the sources say why.
        // Whose answer it is, the log says; clients need not know where nodes are.
        Self::Transport(error_chain(&error.without_url()))
    }
}

/// A client that follows no redirects and gives up on connections in time.
///
/// # Errors
/// What the TLS or resolver set-up reports.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// A client for nodes. It has one connection to each node, over HTTP/2.
///
/// # Errors
/// What the resolver's set-up reports.
pub(crate) fn node_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build()
}

/// The body of `response`, of at most `maximum` bytes.
pub(crate) async fn read_bounded(
    mut response: reqwest::Response,
    maximum: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > maximum {
            return Err(FetchError::TooLong(maximum));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The start of a text from another process, fit to be shown: bounded, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut excerpt = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if excerpt.len() + character.len_utf8() > MAX_REASON_BYTES {
            break;
        }
        excerpt.push(character);
    }
    excerpt
}
