//! TLS and HTTP/2: handshakes that are slow or none, and streams that are too many, idle or stalled.

use super::server::{GET, Server, hello, read_all, slow};
use axum::{Router, body::Body, extract::Request, http::StatusCode, http::Version, routing::get};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use og_http::{
    DRAIN_TIMEOUT, HANDSHAKE_TIMEOUT, MAX_HEAD_BYTES, MAX_STREAMS, Shares, Tls, Transport,
};
use og_opengradient::TlsIdentity;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, crypto::aws_lc_rs};
use std::{
    convert::Infallible,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

static IDENTITY: LazyLock<TlsIdentity> = LazyLock::new(|| {
    TlsIdentity::generate(&["127.0.0.1".to_owned()], &(0..=4_000_000_000)).unwrap()
});

async fn start(app: Router, maximum_connections: usize) -> Server {
    let tls = Tls::new(&[IDENTITY.certificate()], IDENTITY.private_key()).unwrap();
    let places = Shares::new(maximum_connections, maximum_connections);
    Server::serve(app, Transport::Tls(tls), places).await
}

/// A connection of a client that pins the server's certificate and offers this protocol.
async fn connect(server: &Server, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut pinned = RootCertStore::empty();
    pinned.add(IDENTITY.certificate().to_vec().into()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(pinned)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = server.address.ip().into();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.unwrap()
}

/// A client of HTTP/2; the task ends with its connection.
async fn http2(server: &Server) -> (SendRequest<Body>, JoinHandle<()>) {
    http2_over(connect(server, b"h2").await).await
}

async fn http2_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> (SendRequest<Body>, JoinHandle<()>) {
    let (client, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    (client, tokio::spawn(async { drop(connection.await) }))
}

fn request(path: &str) -> Request<Body> {
    let uri = format!("https://127.0.0.1{path}");
    Request::get(uri).body(Body::empty()).unwrap()
}

async fn ask(client: &mut SendRequest<Body>, path: &str) -> Result<Bytes, hyper::Error> {
    let response = client.send_request(request(path)).await?;
    assert_eq!(response.version(), Version::HTTP_2);
    Ok(response.into_body().collect().await?.to_bytes())
}

async fn ask_http1(server: &Server) -> String {
    let mut stream = connect(server, b"http/1.1").await;
    stream.write_all(GET).await.unwrap();
    read_all(stream).await
}

#[tokio::test]
async fn clients_that_pin_the_certificate_speak_either_protocol() {
    let server = start(hello(), 8).await;
    let stream = connect(&server, b"h2").await;
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, _connection) = http2(&server).await;
    assert_eq!(ask(&mut client, "/").await.unwrap(), "hello");
    let answer = ask_http1(&server).await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn without_tls_either_protocol_is_spoken_too() {
    let server = Server::serve(hello(), Transport::Plain, Shares::new(8, 8)).await;
    let (mut client, _connection) = http2_over(server.connect(b"").await).await;
    assert_eq!(ask(&mut client, "/").await.unwrap(), "hello");
    let answer = read_all(server.connect(GET).await).await;
    assert!(answer.ends_with("hello"), "{answer}");
    // Methods that begin as the preface of HTTP/2 does, and such as come byte by byte.
    for method in ["PUT", "P"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = read_all(server.connect(request.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
    let mut slow = server.connect(b"").await;
    for byte in GET {
        slow.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let answer = read_all(slow).await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn where_connections_bound_requests_http2_is_not_spoken() {
    let server = Server::serve(hello(), Transport::Http1, Shares::new(8, 8)).await;
    let (mut client, connection) = http2_over(server.connect(b"").await).await;
    ask(&mut client, "/").await.unwrap_err();
    connection.await.unwrap();
    let answer = read_all(server.connect(GET).await).await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_certificate_and_the_key_of_another_are_refused() {
    let other = TlsIdentity::generate(&[], &(0..=4_000_000_000)).unwrap();
    let error = Tls::new(&[IDENTITY.certificate()], other.private_key()).unwrap_err();
    assert!(error.to_string().contains("belong together"), "{error}");
    Tls::new(&[b"no certificate"], IDENTITY.private_key()).unwrap_err();
    Tls::new(&[IDENTITY.certificate()], b"no key").unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_stops_nobody_and_loses_its_place() {
    let server = start(hello(), 2).await;
    let begun = Instant::now();
    // A record's header, and nothing of the record.
    let holder = server.connect(&[22, 3, 1, 2, 0]).await;
    assert!(ask_http1(&server).await.ends_with("hello"));
    assert!(begun.elapsed() < HANDSHAKE_TIMEOUT, "{:?}", begun.elapsed());
    let silent = server.connect(b"").await;
    assert!(ask_http1(&server).await.ends_with("hello"));
    drop((holder, silent));
}

#[tokio::test(start_paused = true)]
async fn garbage_instead_of_a_handshake_is_cut_off() {
    let server = start(hello(), 1).await;
    for garbage in [GET, &[0xff; 4096], &[22, 3, 1, 0, 4, 1, 2, 3, 4]] {
        let begun = Instant::now();
        let answer = read_all(server.connect(garbage).await).await;
        assert!(!answer.contains("hello"), "{answer}");
        assert!(begun.elapsed() < HANDSHAKE_TIMEOUT, "{garbage:?}");
    }
    assert!(ask_http1(&server).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_of_http2_loses_its_place() {
    let server = start(hello(), 1).await;
    // One sends not even the preface, the other has had its answer and says no more.
    let _silent = connect(&server, b"h2").await;
    let (mut client, connection) = http2(&server).await;
    assert_eq!(ask(&mut client, "/").await.unwrap(), "hello");
    assert!(ask_http1(&server).await.ends_with("hello"));
    connection.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_waits_for_its_answer_is_not_idle() {
    let (app, _arrivals) = slow(Duration::from_secs(120));
    let server = start(app, 1).await;
    let (mut client, _connection) = http2(&server).await;
    assert_eq!(ask(&mut client, "/").await.unwrap(), "late");
}

/// Tells when it is dropped.
struct Told(mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(());
    }
}

/// A path whose answers have no end, and word of each one that was let go.
fn endless() -> (Router, mpsc::UnboundedReceiver<()>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let handler = async move || {
        let told = Told(sender.clone());
        Body::from_stream(stream::repeat_with(move || {
            let _held = &told;
            Ok::<_, Infallible>(Bytes::from_static(&[7; 16 * 1024]))
        }))
    };
    (hello().route("/endless", get(handler)), ends)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_let_go_and_others_on_the_connection_are_not() {
    let (app, mut ends) = endless();
    let server = start(app, 1).await;
    let (mut client, _connection) = http2(&server).await;
    let response = client.send_request(request("/endless")).await.unwrap();
    let answer = timeout(Duration::from_secs(1), ends.recv()).await;
    assert!(answer.is_err(), "it was let go at once");
    ends.recv().await.unwrap();
    assert_eq!(ask(&mut client, "/").await.unwrap(), "hello");
    // What is left does not look complete.
    let mut body = response.into_body().into_data_stream();
    let end = loop {
        match body.next().await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_some_and(|end| end.is_err()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_client_has_left_is_let_go_at_once() {
    let (app, mut ends) = endless();
    let server = start(app, 1).await;
    let (mut client, _connection) = http2(&server).await;
    let response = client.send_request(request("/endless")).await.unwrap();
    let begun = Instant::now();
    drop(response);
    ends.recv().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_no_more_requests_in_progress_than_it_may() {
    let (app, mut arrivals) = slow(Duration::from_secs(3600));
    let server = start(app, 1).await;
    let (client, _connection) = http2(&server).await;
    for _ in 0..MAX_STREAMS + 8 {
        let mut client = client.clone();
        tokio::spawn(async move { client.send_request(request("/")).await });
    }
    let mut arrived = 0;
    while let Ok(Some(())) = timeout(Duration::from_secs(1), arrivals.recv()).await {
        arrived += 1;
    }
    assert_eq!(arrived, MAX_STREAMS);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_http2_that_is_too_long_is_refused() {
    let server = start(hello(), 1).await;
    let (mut client, _connection) = http2(&server).await;
    let mut request = request("/");
    let long = "x".repeat(MAX_HEAD_BYTES).parse().unwrap();
    request.headers_mut().insert("long", long);
    match client.send_request(request).await {
        Ok(response) => {
            assert_eq!(
                response.status(),
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            );
        }
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_requests_of_http2_in_progress_and_takes_nothing_new() {
    let (app, mut arrivals) = slow(DRAIN_TIMEOUT / 2);
    let server = start(app, 8).await;
    let (mut client, connection) = http2(&server).await;
    // Neither a handshake in progress nor a client without requests holds it up.
    let _shaking = server.connect(&[22, 3, 1, 2, 0]).await;
    let _idle = http2(&server).await;
    let answer = client.send_request(request("/"));
    let asked = tokio::spawn(async { answer.await.unwrap().into_body().collect().await });
    arrivals.recv().await.unwrap();
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(asked.await.unwrap().unwrap().to_bytes(), "late");
    server.task.await.unwrap();
    assert!(begun.elapsed() < DRAIN_TIMEOUT, "{:?}", begun.elapsed());
    connection.await.unwrap();
    ask(&mut client, "/").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_in_time_whatever_http2_has_in_progress() {
    let (app, mut arrivals) = slow(Duration::from_secs(3600));
    let server = start(app, 8).await;
    let (mut client, _connection) = http2(&server).await;
    let answer = client.send_request(request("/"));
    arrivals.recv().await.unwrap();
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert!(begun.elapsed() < DRAIN_TIMEOUT * 2, "{:?}", begun.elapsed());
    drop(answer);
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_a_connection_of_http2() {
    let server = start(hello(), 1).await;
    let mut stream = connect(&server, b"h2").await;
    stream.write_all(&[0xff; 1024]).await.unwrap();
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
    assert!(read.await.is_ok(), "the connection stayed open");
    assert!(ask_http1(&server).await.ends_with("hello"));
}
