//! Slow and silent clients, too many of them, and shutdowns.

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use hyper_util::rt::TokioIo;
use og_http::{
    CONNECTION_LIFETIME, Connection, DRAIN_TIMEOUT, HEAD_TIMEOUT, Shares, Transport, serve,
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    async fn start(app: Router, maximum_connections: usize) -> Self {
        Self::share(app, Shares::new(maximum_connections, maximum_connections)).await
    }

    async fn share(app: Router, places: Shares) -> Self {
        Self::serve(app, Transport::Plain, places).await
    }

    pub(crate) async fn serve(app: Router, transport: Transport, places: Shares) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let task = tokio::spawn(serve(listener, app, transport, places, shutdown));
        Self {
            address,
            stop,
            task,
        }
    }

    pub(crate) async fn connect(&self, first_bytes: &[u8]) -> TcpStream {
        self.connect_from("127.0.0.1", first_bytes).await
    }

    async fn connect_from(&self, client: &str, first_bytes: &[u8]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{client}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream.write_all(first_bytes).await.unwrap();
        stream
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(crate) async fn read_all(mut stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // A server that cuts a connection off may do so with a reset.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Fails unless a client is served although `holder` holds the only place, until it loses it.
async fn is_served_in_time(server: &Server, holder: TcpStream) {
    let client = server.connect(GET).await;
    let answer = read_all(client).await;
    assert!(answer.ends_with("hello"), "{answer}");
    drop(holder);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_whole_head_loses_its_place() {
    for bytes in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nX: "] {
        let server = Server::start(hello(), 1).await;
        let holder = server.connect(bytes).await;
        is_served_in_time(&server, holder).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clients_first_byte_and_the_rest_of_its_head_have_one_time_together() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nX: "[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let server = Server::start(hello(), 1).await;
        let begun = Instant::now();
        let mut holder = server.connect(b"").await;
        sleep(HEAD_TIMEOUT * 2 / 3).await;
        holder.write_all(bytes).await.unwrap();
        is_served_in_time(&server, holder).await;
        let held = begun.elapsed();
        assert!(held < HEAD_TIMEOUT + Duration::from_secs(2), "{held:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_its_connection_for_nothing_loses_its_place() {
    let server = Server::start(hello(), 1).await;
    let mut holder = server.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 15];
    holder.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    is_served_in_time(&server, holder).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_age_is_closed_with_an_answer_and_not_under_a_request() {
    let server = Server::start(hello(), 1).await;
    let mut client = server.connect(b"").await;
    let begun = Instant::now();
    loop {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let head = read_head(&mut client).await;
        client.read_exact(&mut [0; 5]).await.unwrap();
        if head.contains("connection: close") {
            break;
        }
        assert!(begun.elapsed() <= CONNECTION_LIFETIME);
        sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() >= CONNECTION_LIFETIME);
    assert_eq!(read_all(client).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_loses_its_place() {
    let large = get(async || vec![7_u8; 64 * 1024 * 1024]);
    let server = Server::start(hello().route("/large", large), 1).await;
    let holder = server
        .connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    is_served_in_time(&server, holder).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_its_share_of_connections_is_refused_and_others_are_served() {
    let server = Server::share(hello(), Shares::new(8, 2)).await;
    let holders = [server.connect(b"").await, server.connect(b"").await];
    let answer = read_all(server.connect(GET).await).await;
    assert!(answer.is_empty() || answer.contains("429"), "{answer}");
    let answer = read_all(server.connect_from("127.0.0.2", GET).await).await;
    assert!(answer.ends_with("hello"), "{answer}");
    drop(holders);
    // They are known to have gone when their connections have ended.
    while !read_all(server.connect(GET).await).await.ends_with("hello") {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Takes a request to switch protocols, and answers in the new one with what it is sent.
async fn echo(mut request: Request) -> Response {
    let mut connection = request.extensions().get::<Connection>().unwrap().clone();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
        let mut stream = TokioIo::new(upgraded);
        loop {
            let byte = tokio::select! {
                byte = stream.read_u8() => byte.unwrap(),
                () = connection.closing() => return stream.write_u8(b'!').await.unwrap(),
            };
            stream.write_u8(byte).await.unwrap();
        }
    });
    (
        StatusCode::SWITCHING_PROTOCOLS,
        [("connection", "upgrade"), ("upgrade", "echo")],
    )
        .into_response()
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_keeps_its_place_until_it_ends_and_is_told_of_a_shutdown() {
    let server = Server::start(hello().route("/echo", get(echo)), 1).await;
    let head = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut stream = server.connect(head).await;
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_u8(b'a').await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    let mut waiting = server.connect(GET).await;
    let answered = timeout(CONNECTION_LIFETIME * 2, waiting.read_u8()).await;
    assert!(answered.is_err(), "the place was given away");
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'!');
    server.task.await.unwrap();
    assert!(begun.elapsed() < DRAIN_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_is_refused() {
    let server = Server::start(hello(), 1).await;
    let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
    head.extend(vec![b'x'; og_http::MAX_HEAD_BYTES]);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // It may be refused before all of it is sent.
    let _ = stream.write_all(&head).await;
    let answer = read_all(stream).await;
    assert!(!answer.contains("hello"), "{answer}");
    assert!(answer.is_empty() || answer.contains("431"), "{answer}");
}

/// A path that says when a request has arrived, and answers after some time.
pub(crate) fn slow(answers_after: Duration) -> (Router, mpsc::UnboundedReceiver<()>) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let handler = async move || {
        arrived.send(()).unwrap();
        sleep(answers_after).await;
        "late"
    };
    (Router::new().route("/", get(handler)), arrivals)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_what_is_in_progress_and_takes_nothing_new() {
    let (app, mut arrivals) = slow(DRAIN_TIMEOUT / 2);
    let server = Server::start(app, 8).await;
    let client = server.connect(GET).await;
    arrivals.recv().await.unwrap();
    server.stop.send(()).unwrap();
    let answer = read_all(client).await;
    assert!(answer.ends_with("late"), "{answer}");
    server.task.await.unwrap();
    TcpStream::connect(server.address).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_in_time_whatever_is_in_progress() {
    let (app, mut arrivals) = slow(Duration::from_secs(3600));
    let server = Server::start(app, 8).await;
    let _client = server.connect(GET).await;
    arrivals.recv().await.unwrap();
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    let took = begun.elapsed();
    assert!(
        took >= DRAIN_TIMEOUT && took < DRAIN_TIMEOUT * 2,
        "{took:?}"
    );
}
