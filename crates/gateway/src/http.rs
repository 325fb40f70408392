//! Talking to nodes and validators: clients bounded in time, every answer bounded in size.

use crate::{
    config::{CONNECT_TIMEOUT, MAX_REASON_BYTES},
    error::error_chain,
    server::ServeError,
};
use axum::body::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, Uri,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use og_http::{HEAD_TIMEOUT, REQUESTS_PER_LANE};
use std::{error::Error, future::Future, time::Duration};
use tokio::time::timeout;

/// How long a connection without requests is kept: not as long as nodes and validators keep it, who may close it just when a
/// request is on its way.
const IDLE: Duration = Duration::from_secs(20);
const _: () = assert!(IDLE.as_secs() < HEAD_TIMEOUT.as_secs());
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

/// Makes connections, and keeps them between requests.
pub(crate) type Client = legacy::Client<HttpConnector, Full<Bytes>>;

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

impl From<legacy::Error> for FetchError {
    fn from(error: legacy::Error) -> Self {
        Self::Transport(error_chain(&error))
    }
}

impl From<hyper::Error> for FetchError {
    fn from(error: hyper::Error) -> Self {
        Self::Transport(error_chain(&error))
    }
}

/// A client with a connection of HTTP/1.1 for each request in progress. Request and answer are each written in one go, which
/// over HTTP/2 takes several writes and tasks.
pub(crate) fn client() -> Client {
    builder().build(connector())
}

/// A client whose requests share one connection to each node, over HTTP/2.
pub(crate) fn shared_client() -> Client {
    builder()
        .http2_only(true)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector())
}

fn builder() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE);
    builder
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector
}

/// The address of a path at `url`, which is whose it is: `of`.
///
/// # Errors
/// [`ServeError::Address`] if it is none.
pub(crate) fn address(of: &'static str, url: &str, path: &str) -> Result<Uri, ServeError> {
    let wrong = |reason: String| ServeError::Address {
        of,
        url: url.to_owned(),
        reason,
    };
    let address = format!("{url}{path}").parse::<Uri>();
    let address = address.map_err(|error| wrong(error.to_string()))?;
    match (address.scheme_str(), address.authority()) {
        (Some("http"), Some(_)) => Ok(address),
        _ => Err(wrong(
            "it has to begin with http:// and name a host".to_owned(),
        )),
    }
}

/// A request with a body of this media type.
pub(crate) fn post(
    address: &Uri,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address.clone();
    let media_type = HeaderValue::from_static(media_type);
    request.headers_mut().insert(CONTENT_TYPE, media_type);
    request
}

/// What `asked` comes to, if it does within `duration`.
///
/// # Errors
/// [`FetchError`] if it does not, or fails.
pub(crate) async fn within<T, E>(
    duration: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    E: From<FetchError>,
{
    let late = || FetchError::Transport(format!("nothing came within {} s", duration.as_secs()));
    timeout(duration, asked).await.map_err(|_| late())?
}

/// The body of `response`, of at most `maximum` bytes.
pub(crate) async fn read_bounded(
    response: Response<Incoming>,
    maximum: usize,
) -> Result<Bytes, FetchError> {
    let body = Limited::new(response.into_body(), maximum);
    let read = body.collect().await.map(Collected::to_bytes);
    read.map_err(
        |error: Box<dyn Error + Send + Sync>| match error.is::<LengthLimitError>() {
            true => FetchError::TooLong(maximum),
            false => FetchError::Transport(error_chain(&*error)),
        },
    )
}

/// The next bytes of an answer that comes in pieces; `None` after the last.
pub(crate) async fn chunk(body: &mut Incoming) -> Result<Option<Bytes>, FetchError> {
    while let Some(frame) = body.frame().await {
        // What is no data is trailers, which nodes do not send.
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
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
