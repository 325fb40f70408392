//! Clients that do not read, over real sockets.

use super::*;
use axum::{Router, extract::State, routing::get};
use og_http::{Transport, serve};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

const LONG: usize = 10 * 1024 * 1024;
const MOST_LONG: usize = SENDING_KIB.1 * 1024 / LONG;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const GET_OTHER: &[u8] = b"GET /?2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn client(last: u8) -> Client {
    Client(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
}

/// A server of long answers, to the client whose last number the query names.
async fn start(sending: Arc<Sending>) -> SocketAddr {
    let answer = async |State(sending): State<Arc<Sending>>, uri: axum::http::Uri| {
        let last = uri.query().map_or(1, |query| query.parse().unwrap());
        sending.bound(client(last), Response::new(Bytes::from(vec![b'x'; LONG])))
    };
    let app = Router::new().route("/", get(answer)).with_state(sending);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let places = Shares::new(64, 64);
    tokio::spawn(serve(
        listener,
        app,
        Transport::Http1,
        places,
        std::future::pending(),
    ));
    address
}

/// Asks and reads the status of the answer, and nothing more.
async fn ask(address: SocketAddr, head: &[u8]) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(head).await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    let status = String::from_utf8_lossy(&begin[9..]).into_owned();
    (stream, status)
}

#[tokio::test]
async fn answers_that_a_client_does_not_read_are_bounded_and_others_have_room() {
    let sending = Arc::new(Sending::default());
    let address = start(sending.clone()).await;
    let mut holders = Vec::new();
    for _ in 0..MOST_LONG {
        let (stream, status) = ask(address, GET).await;
        assert_eq!(status, "200");
        holders.push(stream);
    }
    let (mut refused, status) = ask(address, GET).await;
    assert_eq!(status, "429");
    let mut rest = String::new();
    refused.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("-32005"), "{rest}");
    let (mut stream, status) = ask(address, GET_OTHER).await;
    assert_eq!(status, "200");
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await.unwrap();
    assert!(body.len() > LONG);
    // What has been read, or will not be, makes room.
    holders[0].read_to_end(&mut body).await.unwrap();
    drop(holders);
    while sending.room(client(1), MOST_LONG * LONG).is_none() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn short_answers_need_no_room() {
    let sending = Sending::default();
    let rooms: Vec<_> = (0..10_000)
        .map(|_| sending.room(client(1), SHORT_BYTES).unwrap())
        .collect();
    assert!(sending.room(client(1), SENDING_KIB.1 * 1024).is_some());
    assert!(sending.room(client(1), SENDING_KIB.1 * 1024 + 1).is_none());
    drop(rooms);
}
