//! A server that no client can hold for longer than a named limit, and that stops in time.

use crate::{
    connection::Connection,
    http2,
    shares::{Share, Shares},
    tls::{Tls, speaks_http2},
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    future::Future,
    io::{self, Write as _},
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// Longest wait for a request's head to be complete, counted from when the connection is open (with
/// TLS: when hands are shaken) or the answer before has been sent. So it bounds idle connections too.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request head, in bytes; also how much of a body is buffered at a time.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Longest time that a client may take in nothing of an answer that is being sent.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Age at which a connection is closed after its next answer, however busy it is: whoever takes a
/// byte now and then gives way to others.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Longest time that the last answer on such a connection may take: more than any request does.
pub(crate) const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time that requests in progress may take after a shutdown began.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next connection is accepted when the system has no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client begins with that speaks HTTP/2 without TLS (RFC 9113, section 3.3): no method of HTTP/1.1 is called so.
const HTTP2_BEGINNING: &[u8] = b"PRI";
/// What a client is told that has its share of connections.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

/// What a server speaks.
#[derive(Clone, Debug)]
pub enum Transport {
    /// HTTP/1.1 alone: no more requests are in progress than there are connections, and so `app` need not bound them.
    Http1,
    /// HTTP/1.1, and HTTP/2 with clients that begin with it: each connection may have [`crate::MAX_STREAMS`] requests in
    /// progress, so `app` has to bound them.
    Plain,
    /// The same over TLS.
    Tls(Tls),
}

/// Serves `app` on `listener`. There are as many connections at once as `places` (more wait in the system's queue; a client
/// that has its share is refused), until `shutdown` completes. Then requests in progress are answered, for at most
/// [`DRAIN_TIMEOUT`].
pub async fn serve(
    listener: TcpListener,
    app: Router,
    transport: Transport,
    places: Shares,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (open, closing) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, peer, place) = accept(&listener, &places, &transport) => {
                let connection = Connection::new(peer, closing.clone(), place);
                tokio::spawn(converse(stream, app.clone(), transport.clone(), connection));
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

/// The next connection, whose it is, and its place among those that may be open.
async fn accept(
    listener: &TcpListener,
    places: &Shares,
    transport: &Transport,
) -> (TcpStream, IpAddr, Share) {
    let mut free = places.free().await;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => match places.claim(free, address.ip()) {
                Ok(place) => return (stream, address.ip(), place),
                Err(unclaimed) => {
                    if !matches!(transport, Transport::Tls(_)) {
                        refuse(stream);
                    }
                    free = unclaimed;
                }
            },
            Err(error) if is_of_connection(&error) => debug!(%error, "a connection was lost"),
            Err(error) => {
                warn!(%error, "connections cannot be accepted; check the limit of open files");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells a client that it has too many connections, as far as it can be told without waiting.
fn refuse(stream: TcpStream) {
    let _ = stream
        .into_std()
        .and_then(|mut stream| stream.write(TOO_MANY_CONNECTIONS));
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

/// Answers one connection's requests in the protocol that it speaks.
async fn converse(stream: TcpStream, app: Router, transport: Transport, connection: Connection) {
    // It fails only on a connection that is gone already.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_TIMEOUT));
    let stream = Box::pin(stream);
    let tls = match transport {
        Transport::Http1 => {
            return note(converse_http1(stream, app, connection, first_head()).await);
        }
        Transport::Plain => return converse_plain(stream, app, connection).await,
        Transport::Tls(tls) => tls,
    };
    let mut closing = connection.clone();
    let shaken = tokio::select! {
        shaken = tls.accept(stream) => shaken,
        () = closing.closing() => return,
    };
    match shaken {
        Ok(stream) if speaks_http2(&stream) => {
            note(http2::converse(stream, app, connection, first_head()).await);
        }
        Ok(stream) => note(converse_http1(stream, app, connection, first_head()).await),
        Err(error) => debug!(%error, "a client did not shake hands"),
    }
}

/// Until when the first request's head has to be complete on a connection that is open now.
fn first_head() -> Instant {
    Instant::now() + HEAD_TIMEOUT
}

/// Without TLS a client's first bytes say which protocol it speaks.
async fn converse_plain(
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    app: Router,
    connection: Connection,
) {
    let mut closing = connection.clone();
    let first_head = first_head();
    let begun = tokio::select! {
        begun = timeout_at(first_head, begins_http2(stream.get_ref())) => begun,
        () = closing.closing() => return,
    };
    match begun {
        Ok(Ok(true)) => note(http2::converse(stream, app, connection, first_head).await),
        Ok(Ok(false)) => note(converse_http1(stream, app, connection, first_head).await),
        Ok(Err(error)) => debug!(%error, "a connection was lost"),
        Err(_) => debug!("a client asked nothing"),
    }
}

/// Whether a client speaks HTTP/2 without having agreed on it; waits for its first bytes.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut begun = [0; HTTP2_BEGINNING.len()];
    stream.peek(&mut begun).await?;
    Ok(begun == HTTP2_BEGINNING)
}

fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

/// Answers one connection's requests until it ends, is upgraded, is too old, asks nothing by `first_head`, or everything closes.
async fn converse_http1(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    app: Router,
    connection: Connection,
    first_head: Instant,
) -> Result<(), hyper::Error> {
    let mut closing = connection.clone();
    let begun = Instant::now();
    let asked = Arc::new(Notify::new());
    let first = asked.clone();
    let app = app
        .map_request(move |mut request: Request<Incoming>| {
            asked.notify_one();
            request.extensions_mut().insert(connection.clone());
            request
        })
        .map_response(move |mut response: Response| {
            // With an answer, which tells the client: who is only cut off may be just sending a request.
            let is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if begun.elapsed() >= CONNECTION_LIFETIME && !is_upgraded {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            response
        });
    let mut conversation = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
            .with_upgrades()
    );
    tokio::select! {
        ended = &mut conversation => return ended,
        // hyper counts from when it began to read, and looking for the protocol came before.
        Err(_) = timeout_at(first_head, first.notified()) => return Ok(()),
        () = closing.closing() => conversation.as_mut().graceful_shutdown(),
        () = sleep(CONNECTION_LIFETIME + HEAD_TIMEOUT) => {}
    }
    timeout(LAST_ANSWER_TIMEOUT, conversation)
        .await
        .unwrap_or(Ok(()))
}
