//! What one client may take, and that others go on.

use crate::{
    gateway::{Gateway, IDENTITY},
    support::{Relay, error, sealed},
};
use og_opengradient::ohttp::MAX_REQUEST_BYTES;
use og_relay::{MAX_BUFFERED_BYTES_EACH, MAX_REQUESTS_EACH};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

#[tokio::test]
async fn a_client_with_its_share_of_requests_is_told_to_come_back_and_others_are_served() {
    let gateway = Gateway::begin().await;
    let relay = Relay::of(&gateway).await;
    let waiting: Vec<_> = (0..MAX_REQUESTS_EACH)
        .map(|_| tokio::spawn(relay.request(1, sealed("wait").0).send()))
        .collect();
    while gateway.heads.lock().expect("heads").len() < MAX_REQUESTS_EACH {
        sleep(Duration::from_millis(5)).await;
    }
    let (response, _) = relay.ask("question").await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(error(response).await.0, 429);
    let other = relay
        .request(2, sealed("question").0)
        .send()
        .await
        .expect("an answer");
    assert_eq!(other.status(), 200);
    // A trusted proxy says for whom it asks, anybody else only pretends.
    for (host, named, status) in [
        (99, "10.0.0.1", 200),
        (99, "127.0.0.1", 429),
        (1, "10.0.0.1", 429),
    ] {
        let request = relay.request(host, sealed("question").0);
        let request = request.header("x-forwarded-for", named);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), status, "{host} for {named}");
    }
    gateway.steps.add_permits(MAX_REQUESTS_EACH);
    for request in waiting {
        let response = request.await.expect("a task").expect("an answer");
        assert_eq!(response.status(), 200);
        response.bytes().await.expect("bytes");
    }
    let (response, _) = relay.ask("question").await;
    assert_eq!(response.status(), 200);
}

/// The head of a request that says how long it will be.
async fn begun(relay: &Relay, host: u8, length: usize) -> TcpStream {
    let address = relay.url.trim_start_matches("http://");
    let address = address.split('/').next().expect("an address");
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, host], 0).into())
        .expect("an address");
    let stream = socket.connect(address.parse().expect("an address")).await;
    let mut stream = stream.expect("a connection");
    let head = format!(
        "POST /api/v1/chat/ohttp HTTP/1.1\r\nhost: relay\r\ncontent-type: message/ohttp-req\r\nx-tee-id: {}\r\ncontent-length: {length}\r\n\r\n",
        IDENTITY.signing.tee_id(),
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

/// The first bytes of an answer.
async fn status(mut stream: TcpStream) -> String {
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.expect("an answer");
    String::from_utf8_lossy(&line).into_owned()
}

#[tokio::test]
async fn announced_requests_take_room_and_one_client_gets_no_more_than_its_share() {
    let relay = Relay::of(&Gateway::begin().await).await;
    let mut slow = Vec::new();
    for _ in 0..MAX_BUFFERED_BYTES_EACH / MAX_REQUEST_BYTES {
        slow.push(begun(&relay, 1, MAX_REQUEST_BYTES).await);
    }
    relay.until_in_progress(slow.len()).await;
    let more = begun(&relay, 1, MAX_REQUEST_BYTES).await;
    assert_eq!(status(more).await, "HTTP/1.1 429");
    let other = relay
        .request(2, sealed("question").0)
        .send()
        .await
        .expect("an answer");
    assert_eq!(other.status(), 200);
    // Room comes back with the client's going.
    drop(slow);
    relay.until_in_progress(0).await;
    let (response, _) = relay.ask("question").await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_before_it_comes() {
    let relay = Relay::of(&Gateway::begin().await).await;
    let long = begun(&relay, 1, MAX_REQUEST_BYTES + 1).await;
    assert_eq!(status(long).await, "HTTP/1.1 413");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_have_neither_addresses_of_clients_nor_content() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let gateway = Gateway::begin().await;
    let relay = Relay::of(&gateway).await;
    for question in ["unsealed", "not a stream", "question"] {
        let response = relay.request(77, sealed(question).0).send().await;
        let _ = async { response?.bytes().await }.await;
    }
    let mut elsewhere = gateway.row.clone();
    elsewhere.endpoint = "https://127.0.0.1:1".to_owned();
    let relay = {
        let chain = crate::chain::Chain::begin(crate::chain::CHAIN_ID, vec![elsewhere]).await;
        Relay::begin(vec![chain.url]).await
    };
    let response = relay
        .request(77, sealed("question").0)
        .send()
        .await
        .expect("an answer");
    assert_eq!(error(response).await.0, 502);
    let log = String::from_utf8(log.0.lock().expect("a log").clone()).expect("text");
    // The client in this process logs its own address, and says that it does.
    let of_relay = |line: &&str| !line.contains("hyper_util::client");
    let lines: Vec<_> = log.lines().filter(of_relay).collect();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("og_relay") && line.contains("WARN"))
    );
    for line in lines {
        assert!(
            !line.contains("127.0.0.77") && !line.contains("answer to"),
            "{line}"
        );
    }
}
