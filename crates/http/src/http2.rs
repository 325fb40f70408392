//! HTTP/2 on one connection, within the bounds that hold for HTTP/1.1 and those of its own.

use crate::{
    connection::Connection,
    server::{
        CONNECTION_LIFETIME, HEAD_TIMEOUT, LAST_ANSWER_TIMEOUT, MAX_HEAD_BYTES, WRITE_STALL_TIMEOUT,
    },
};
use axum::{Router, body::Body, extract::Request};
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::ServiceExt as _;

/// Requests that one connection may have in progress.
pub const MAX_STREAMS: u32 = 128;
/// Bytes of one request's body that a client may send before they are taken in.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same for all requests of a connection together.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one answer that wait in memory for the client.
const MAX_SEND_BYTES: usize = 64 * 1024;
/// Requests that a client may take back before they are looked at; then the connection is closed
/// (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Requests refused for mistakes in them; then the connection is closed (CVE-2025-8671).
const MAX_ERROR_RESETS: usize = 64;
/// How often a client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client without requests may take to close, once it has been asked to.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers one connection's requests until it ends, is idle, is too old, asks nothing by `first_head`, or everything closes.
///
/// # Errors
/// The client broke the protocol or was lost.
pub(crate) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    app: Router,
    connection: Connection,
    first_head: Instant,
) -> Result<(), hyper::Error> {
    let mut closing = connection.clone();
    let activity = Activity::default();
    let begun = activity.clone();
    let asked = Arc::new(Notify::new());
    let first = asked.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        asked.notify_one();
        request.extensions_mut().insert(connection.clone());
        let answering = begun.begin();
        let response = app.clone().oneshot(request);
        async move { Ok::<_, Infallible>(response.await?.map(|body| paced(body, answering))) }
    });
    let mut conversation = pin!(builder().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut conversation => return ended,
        Err(_) = timeout_at(first_head, first.notified()) => {}
        () = activity.ceased(HEAD_TIMEOUT) => {}
        _ = timeout(CONNECTION_LIFETIME, closing.closing()) => {}
    }
    conversation.as_mut().graceful_shutdown();
    tokio::select! {
        ended = conversation => ended,
        () = activity.ceased(GOODBYE_TIMEOUT) => Ok(()),
        () = sleep(LAST_ANSWER_TIMEOUT) => Ok(()),
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// The number of a connection's requests that are being answered.
#[derive(Clone, Default)]
struct Activity(Arc<watch::Sender<usize>>);

/// A request that is being answered, until this is dropped.
struct Answering(Activity);

impl Activity {
    fn begin(&self) -> Answering {
        self.0.send_modify(|count| *count += 1);
        Answering(self.clone())
    }

    /// Resolves when no request was in progress for so long.
    async fn ceased(&self, period: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // The sender is held here, so neither wait fails.
            let _ = count.wait_for(|count| *count == 0).await;
            if timeout(period, count.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// `body`, broken off if the client takes nothing of it for [`WRITE_STALL_TIMEOUT`].
///
/// A client stops one answer by giving it no window. Nothing polls a body then, so a task has to
/// watch the time, and let go of what the answer holds.
fn paced(mut body: Body, answering: Answering) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let (sender, frames) = mpsc::channel(1);
    tokio::spawn(async move {
        let _answering = answering;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame.transpose().map_err(io::Error::other).transpose(),
                () = sender.closed() => return,
            };
            let is_last = frame.is_none();
            let sent = timeout(WRITE_STALL_TIMEOUT, sender.send(frame)).await;
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    });
    Body::new(StreamBody::new(stream::unfold(
        frames,
        async |mut frames| {
            let frame = frames.recv().await.unwrap_or_else(|| {
                let reason = "the client took nothing of the answer for too long";
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
            });
            Some((frame?, frames))
        },
    )))
}
