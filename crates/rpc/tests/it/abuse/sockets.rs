//! Floods of WebSockets, of subscriptions and of messages, and clients that go silent.

use super::*;
use crate::socket::Socket;
use futures::{SinkExt as _, StreamExt as _};
use og_rpc::server::MAX_WEBSOCKETS_OF_CLIENT;
use tokio_tungstenite::tungstenite::Message;

async fn attack(client: &Client) -> Option<Socket> {
    Socket::connect_from("127.0.0.2", client, None).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_its_share_of_websockets_gets_no_more_and_others_do() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let mut sockets = Vec::new();
    while let Some(mut socket) = attack(&client).await {
        for _ in 0..8 {
            socket.ok("eth_subscribe", json!(["newHeads"])).await;
        }
        sockets.push(socket);
    }
    assert_eq!(sockets.len(), MAX_WEBSOCKETS_OF_CLIENT);
    let refused = Socket::connect_from("127.0.0.2", &client, None).await;
    assert_eq!(refused.err().unwrap().status(), 429);
    let mut mine = Socket::connect(&client).await;
    mine.ok("eth_subscribe", json!(["newHeads"])).await;
    let mut worst = Duration::ZERO;
    for height in 2..50_u64 {
        let begun = Instant::now();
        memory.mine();
        let mined = begun.elapsed();
        let (_, header) = mine.told().await;
        assert_eq!(header["number"], format!("{height:#x}"));
        worst = worst.max(begun.elapsed() - mined);
    }
    println!("beside 1,024 subscriptions of another client, a header took at most {worst:?}");
    assert!(worst < PATIENCE, "{worst:?}");
    is_served_meanwhile(&client, "1,024 subscriptions").await;
    // Places come back.
    sockets.pop();
    let begun = Instant::now();
    while attack(&client).await.is_none() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn subscriptions_are_bounded_on_one_connection_and_of_one_client() {
    let client = Client::start(&Memory::new()).await;
    let mut taken = 0;
    let mut sockets = Vec::new();
    for _ in 0..9 {
        let mut socket = attack(&client).await.unwrap();
        loop {
            socket.ask("eth_subscribe", json!(["logs", {}])).await;
            let answer = socket.answer().await;
            if answer["error"].is_object() {
                assert_eq!(answer["error"]["code"], -32005, "{answer}");
                break;
            }
            taken += 1;
        }
        sockets.push(socket);
    }
    assert_eq!(taken, 1024);
    let mut mine = Socket::connect(&client).await;
    mine.ok("eth_subscribe", json!(["newHeads"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_faster_than_answers_wait_at_their_sender() {
    let client = Client::start(&Memory::new()).await;
    let endless = json!([{"data": ENDLESS, "gas": "0xffffffffffffffff"}]);
    let message = Message::text(call("eth_call", endless).to_string());
    let mut floods = Vec::new();
    for _ in 0..20 {
        let socket = attack(&client).await.unwrap();
        let message = message.clone();
        floods.push(tokio::spawn(async move {
            let (mut sink, mut answers) = socket.stream.split();
            let flood = async { while sink.feed(message.clone()).await.is_ok() {} };
            let read = async { while answers.next().await.is_some_and(|one| one.is_ok()) {} };
            futures::join!(flood, read);
        }));
    }
    is_served_meanwhile(&client, "20 connections with endless calls without end").await;
    for flood in floods {
        flood.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_gone_silent_loses_its_connection() {
    let client = Client::start(&Memory::new()).await;
    let mut socket = Socket::connect(&client).await;
    socket.ok("eth_subscribe", json!(["newHeads"])).await;
    // Nothing reads, so no ping is answered.
    tokio::time::sleep(Duration::from_secs(120)).await;
    socket.closed().await;
    // Who answers pings stays.
    let mut socket = Socket::connect(&client).await;
    for _ in 0..20 {
        let ping = tokio::time::timeout(Duration::from_secs(60), socket.stream.next()).await;
        assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_))))), "{ping:?}");
    }
    socket.ok("eth_chainId", json!([])).await;
}
