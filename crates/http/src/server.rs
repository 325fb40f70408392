//! A server that no client can hold for longer than a named limit, and that stops in time.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, warn};

/// Longest wait for a request's head to be complete, counted from when the connection is open or
/// the answer before has been sent. So it bounds idle connections too.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request head, in bytes; also how much of a body is buffered at a time.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Longest time that a client may take in nothing of an answer that is being sent.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Age at which a connection is closed after its next answer, however busy it is: whoever takes a
/// byte now and then gives way to others.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Longest time that the last answer on such a connection may take: more than any request does.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time that requests in progress may take after a shutdown began.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next connection is accepted when the system has no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` over HTTP/1.1 on `listener`, at most `maximum_connections` at once (more wait in
/// the system's queue), until `shutdown` completes. Then requests in progress are answered, for at
/// most [`DRAIN_TIMEOUT`].
pub async fn serve(
    listener: TcpListener,
    app: Router,
    maximum_connections: usize,
    shutdown: impl Future<Output = ()> + Send,
) {
    let permits = Arc::new(Semaphore::new(maximum_connections));
    let (open, closing) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, permit) = accept(&listener, &permits) => {
                let (app, closing) = (app.clone(), closing.clone());
                tokio::spawn(async move {
                    converse(stream, app, closing).await;
                    drop(permit);
                });
            }
        }
    }
    drop((listener, closing));
    // Every connection holds a receiver until it ends.
    open.send_replace(());
    if timeout(DRAIN_TIMEOUT, open.closed()).await.is_err() {
        warn!(
            connections = open.receiver_count(),
            "shutting down: requests that took too long are cut off"
        );
    }
}

/// The next connection, with its place among those that may be open.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed; without a permit the connection would be unbounded.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_of_connection(&error) => debug!(%error, "a connection was lost"),
            Err(error) => {
                warn!(%error, "connections cannot be accepted; check the limit of open files");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error of `accept` is about the connection, not about the listener.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Answers one connection's requests until it ends, is too old, or everything is `closing`.
async fn converse(stream: TcpStream, app: Router, mut closing: watch::Receiver<()>) {
    // It fails only on a connection that is gone already.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_TIMEOUT));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(
                TokioIo::new(Box::pin(stream)),
                TowerToHyperService::new(app)
            )
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = close(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER_TIMEOUT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

/// Resolves when a connection shall take no more requests.
async fn close(closing: &mut watch::Receiver<()>) {
    // The sender outlives every connection.
    let told = closing.changed();
    let _ = timeout(CONNECTION_LIFETIME, told).await;
}
