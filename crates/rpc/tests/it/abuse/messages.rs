//! What makes no sense, over HTTP and on WebSockets, with the right code each.

use super::*;
use crate::socket::Socket;
use og_rpc::server::MAX_REQUEST_BYTES;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

const PARSE_ERROR: i64 = -32700;
const INVALID_PARAMETERS: i64 = -32602;

fn code(answer: &str) -> i64 {
    let answer: Json = serde_json::from_str(answer).unwrap();
    answer["error"]["code"].as_i64().unwrap()
}

#[tokio::test]
async fn invalid_utf8_and_json_are_parse_errors() {
    let client = Client::start(&Memory::new()).await;
    let invalid = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":["#;
    let deep = [invalid.to_vec(), vec![b'['; 1_000_000]].concat();
    let latin1 = [invalid.to_vec(), b"\"\xe9\"]}".to_vec()].concat();
    let mut socket = Socket::connect(&client).await;
    for body in [&invalid[..], &deep, &latin1, b"\xff\xfe", b"{\"a\":1}{"] {
        let (status, answer) = client.post(body.to_vec()).await;
        assert!(status == 200 || status == 400, "{status}");
        assert_eq!(code(&answer), PARSE_ERROR, "{answer}");
        // Without the type of a text, a message may hold any bytes.
        let message = Message::binary(body.to_vec());
        futures::SinkExt::send(&mut socket.stream, message)
            .await
            .unwrap();
        let answer = socket.answer().await;
        assert_eq!(answer["error"]["code"], PARSE_ERROR, "{answer}");
    }
    // What is deep and valid is no number of a block either.
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":{nested}}}"#);
    assert_eq!(code(&client.post(body).await.1), INVALID_PARAMETERS);
    assert_eq!(socket.ok("eth_blockNumber", json!([])).await, "0x1");
}

#[tokio::test]
async fn numbers_that_are_none_are_invalid_parameters() {
    let client = Client::start(&Memory::new()).await;
    let long = format!("0x{}", "f".repeat(100_000));
    for number in [
        json!("-0x1"),
        json!("0x-1"),
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!("0x"),
        json!("0xg"),
        json!(""),
        json!(long),
        json!("0x10000000000000000"),
        json!("٣"),
        json!(true),
        json!({}),
    ] {
        let parameters = json!([number, false]);
        let (code, ..) = client.error("eth_getBlockByNumber", parameters).await;
        assert_eq!(code, INVALID_PARAMETERS, "{number}");
        // As amounts, these are taken for zero.
        if number != "0x" && number != "" {
            let call = json!([{"to": PAYEE, "gas": number}]);
            let (code, ..) = client.error("eth_call", call).await;
            assert_eq!(code, INVALID_PARAMETERS, "{number}");
        }
    }
    // Leading zeros say which number is meant.
    let block = client
        .ok("eth_getBlockByNumber", json!(["0x01", false]))
        .await;
    assert_eq!(block["number"], "0x1");
}

async fn raw(client: &Client, bytes: &[u8]) -> TcpStream {
    let address: SocketAddr = client.url.trim_start_matches("http://").parse().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn upgrades_that_are_not_of_the_protocol_are_refused() {
    let client = Client::start(&Memory::new()).await;
    let old = "Sec-WebSocket-Version: 8\r\n";
    for (head, status) in [
        (format!("{UPGRADE}{VERSION}\r\n"), "400"),
        (format!("{UPGRADE}{KEY}\r\n"), "400"),
        (format!("{UPGRADE}{KEY}{old}\r\n"), "400"),
        (
            format!("{UPGRADE}{KEY}{VERSION}\r\n").replace("websocket", "h2c"),
            "400",
        ),
        (
            format!("{UPGRADE}{KEY}{VERSION}\r\n").replace("GET", "PUT"),
            "405",
        ),
    ] {
        let mut stream = raw(&client, head.as_bytes()).await;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        let answer = String::from_utf8_lossy(&begin).into_owned();
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{head}");
    }
    let head = format!("{UPGRADE}{VERSION}{KEY}\r\n");
    let mut stream = raw(&client, head.as_bytes()).await;
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 101");
}

/// What a server's close frame says, after bytes of a client on a fresh WebSocket.
async fn close_code(client: &Client, frame: &[u8]) -> Option<u16> {
    let mut stream = raw(client, format!("{UPGRADE}{VERSION}{KEY}\r\n").as_bytes()).await;
    stream.write_all(frame).await.unwrap();
    let mut answer = Vec::new();
    // A reset may follow.
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    // A frame: that it is the last one and a close, its length, the code.
    match answer.get(end..)? {
        [0x88, _, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let client = Client::start(&Memory::new()).await;
    let mask = [0; 4];
    let long = |length: u64| [&[0x81, 0xff][..], &length.to_be_bytes(), &mask].concat();
    for (frame, code) in [
        (long(u64::from(MAX_REQUEST_BYTES) + 1), 1009),
        (long(u64::MAX >> 1), 1009),
        // Not masked; a code that is none; reserved bits; a control frame in parts.
        (vec![0x81, 0x01, b'{'], 1002),
        ([&[0x83, 0x80][..], &mask].concat(), 1002),
        ([&[0xf1, 0x80][..], &mask].concat(), 1002),
        ([&[0x09, 0x80][..], &mask].concat(), 1002),
        // A text that is not UTF-8.
        ([&[0x81, 0x82][..], &mask, b"\xc3\x28"].concat(), 1007),
    ] {
        let found = close_code(&client, &frame).await;
        assert_eq!(found, Some(code), "{frame:?}");
    }
}

#[tokio::test]
async fn a_message_in_many_small_parts_is_bounded_as_one() {
    let client = Client::start(&Memory::new()).await;
    let mut stream = raw(&client, format!("{UPGRADE}{VERSION}{KEY}\r\n").as_bytes()).await;
    // Parts of 64 KiB that go on for ever: the first is a text, the others continue it.
    let mut part = vec![0x01, 0xff];
    part.extend(65_536_u64.to_be_bytes());
    part.extend([0; 4]);
    part.extend(vec![b' '; 65_536]);
    let mut sent = 0_u64;
    while stream.write_all(&part).await.is_ok() {
        part[0] = 0x00;
        sent += 65_536;
        assert!(sent < 64 * u64::from(MAX_REQUEST_BYTES), "it takes all");
    }
}
