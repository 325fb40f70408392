//! Calls and subscriptions on WebSockets.

use crate::{
    memory::{Client, Memory, PAYEE, sign, signer, transaction, transfer},
    socket::Socket,
};
use alloy_primitives::{B256, Bytes, TxKind};
use alloy_sol_types::{SolCall as _, sol};
use og_chain::registry::REGISTRY;
use serde_json::{Value as Json, json};

sol! {
    function registerModel(bytes32 id, string metadata) external;
}

async fn start() -> (Memory, Client, Socket) {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let socket = Socket::connect(&client).await;
    (memory, client, socket)
}

/// A transaction of which the registry makes a log.
fn logged(nonce: u64, topic: u8) -> Bytes {
    let call = registerModelCall {
        id: B256::repeat_byte(topic),
        metadata: "model".to_owned(),
    };
    let call = Bytes::from(call.abi_encode());
    sign(0, transaction(0, nonce, TxKind::Call(REGISTRY), 0, call))
}

#[tokio::test]
async fn calls_and_batches_are_answered_as_over_http() {
    let (_memory, client, mut socket) = start().await;
    let over_http = client
        .ok("eth_getBlockByNumber", json!(["latest", true]))
        .await;
    let block = socket
        .ok("eth_getBlockByNumber", json!(["latest", true]))
        .await;
    assert_eq!(block, over_http);
    let (code, _) = socket.error("eth_mine", json!([])).await;
    assert_eq!(code, -32601);
    let call = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId", "params": []});
    let notification = json!({"jsonrpc": "2.0", "method": "eth_chainId", "params": []});
    socket
        .send(json!([call(8), notification, call(9)]).to_string())
        .await;
    let answer = socket.answer().await;
    let ids: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, [8, 9]);
    // A notification alone has no answer: the next is that of the next call.
    socket.send(notification.to_string()).await;
    assert_eq!(socket.ok("eth_blockNumber", json!([])).await, "0x1");
    for nonsense in ["", "{", "hello", "[]", "null"] {
        socket.send(nonsense).await;
        let answer = socket.answer().await;
        assert!(answer["error"]["code"].is_i64(), "{nonsense}: {answer}");
        assert!(answer["id"].is_null(), "{nonsense}: {answer}");
    }
}

#[tokio::test]
async fn every_new_block_is_told_once_in_order_with_its_header() {
    let (memory, client, mut socket) = start().await;
    let heads = socket.ok("eth_subscribe", json!(["newHeads"])).await;
    let name = heads.as_str().unwrap().strip_prefix("0x").unwrap();
    assert!(u128::from_str_radix(name, 16).is_ok());
    for _ in 0..100 {
        memory.mine();
    }
    for height in 2..=101_u64 {
        let (subscription, header) = socket.told().await;
        assert_eq!(subscription, heads);
        assert_eq!(header["number"], format!("{height:#x}"));
        let mut block = client
            .ok("eth_getBlockByNumber", json!([header["number"], false]))
            .await;
        // What makes a block of a header.
        for field in ["transactions", "uncles"] {
            assert!(block.as_object_mut().unwrap().remove(field).is_some());
        }
        assert_eq!(header, block);
    }
    socket.is_told_nothing().await;
}

#[tokio::test]
async fn logs_are_told_that_the_filter_means() {
    let (memory, client, mut socket) = start().await;
    let topic = B256::repeat_byte(0x51);
    let all = socket.ok("eth_subscribe", json!(["logs", {}])).await;
    let mut named = Socket::connect(&client).await;
    let filter = json!({"address": REGISTRY, "topics": [null, [topic, B256::ZERO]]});
    let one = named.ok("eth_subscribe", json!(["logs", filter])).await;
    let mut other = Socket::connect(&client).await;
    other
        .ok("eth_subscribe", json!(["logs", {"address": PAYEE}]))
        .await;
    for nonce in 0..3 {
        let raw = logged(nonce, 0x50 + u8::try_from(nonce).unwrap());
        client.ok("eth_sendRawTransaction", json!([raw])).await;
        memory.mine();
    }
    let range = json!([{"fromBlock": "0x2", "toBlock": "0x4"}]);
    let logs = client.ok("eth_getLogs", range).await;
    assert_eq!(logs.as_array().unwrap().len(), 3);
    for log in logs.as_array().unwrap() {
        assert_eq!(socket.told().await, (all.clone(), log.clone()));
    }
    assert_eq!(named.told().await, (one, logs[1].clone()));
    named.is_told_nothing().await;
    other.is_told_nothing().await;
}

#[tokio::test]
async fn transactions_are_told_when_they_enter_the_mempool_by_hash_or_in_full() {
    let (memory, client, mut hashes) = start().await;
    let mut full = Socket::connect(&client).await;
    let by_hash = hashes
        .ok("eth_subscribe", json!(["newPendingTransactions"]))
        .await;
    let in_full = full
        .ok("eth_subscribe", json!(["newPendingTransactions", true]))
        .await;
    let raw = transfer(0, 0, PAYEE, 5);
    let hash = client.ok("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(hashes.told().await, (by_hash, hash.clone()));
    let (subscription, transaction) = full.told().await;
    assert_eq!(subscription, in_full);
    assert_eq!(transaction["hash"], hash);
    assert_eq!(transaction["from"], json!(signer(0).address()));
    assert_eq!(transaction["blockHash"], Json::Null);
    memory.mine();
    hashes.is_told_nothing().await;
    full.is_told_nothing().await;
}

#[tokio::test]
async fn a_subscription_ends_when_it_is_asked_to_and_others_go_on() {
    let (memory, client, mut socket) = start().await;
    let first = socket.ok("eth_subscribe", json!(["newHeads"])).await;
    let second = socket.ok("eth_subscribe", json!(["newHeads"])).await;
    assert_ne!(first, second);
    // Another connection's subscriptions are none of its business.
    let mut other = Socket::connect(&client).await;
    let (code, message) = other.error("eth_unsubscribe", json!([first])).await;
    assert_eq!((code, message.as_str()), (-32000, "subscription not found"));
    assert_eq!(socket.ok("eth_unsubscribe", json!([first])).await, true);
    let (code, _) = socket.error("eth_unsubscribe", json!([first])).await;
    assert_eq!(code, -32000);
    memory.mine();
    assert_eq!(socket.told().await.0, second);
    socket.is_told_nothing().await;
}

#[tokio::test]
async fn subscriptions_are_refused_with_ethereum_s_codes() {
    let (_memory, client, mut socket) = start().await;
    let (code, message, _) = client.error("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(code, -32601);
    assert!(
        message.starts_with("notifications not supported"),
        "{message}"
    );
    let (code, message) = socket.error("eth_subscribe", json!(["newCats"])).await;
    assert_eq!(code, -32601);
    assert!(message.contains("newCats"), "{message}");
    for parameters in [
        json!([]),
        json!(["logs", {"address": "0x00"}]),
        json!(["logs", {"topics": vec![vec![B256::ZERO; 1]; 5]}]),
        json!(["newPendingTransactions", "yes"]),
    ] {
        assert_eq!(socket.error("eth_subscribe", parameters).await.0, -32602);
    }
    let syncing = socket.ok("eth_subscribe", json!(["syncing"])).await;
    assert_eq!(socket.told().await, (syncing, json!(false)));
}

#[tokio::test]
async fn a_subscription_in_a_batch_tells_after_the_batch_is_answered() {
    let (memory, _client, mut socket) = start().await;
    let call = |id: u8, method: &str, parameters: Json| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters});
    let batch = json!([
        call(1, "eth_subscribe", json!(["newHeads"])),
        call(2, "eth_blockNumber", json!([])),
    ]);
    socket.send(batch.to_string()).await;
    let answer = socket.answer().await;
    memory.mine();
    assert_eq!(socket.told().await.0, answer[0]["result"]);
}

#[tokio::test]
async fn whoever_connects_again_is_told_what_comes_then() {
    let (memory, client, mut socket) = start().await;
    socket.ok("eth_subscribe", json!(["newHeads"])).await;
    drop(socket);
    memory.mine();
    let mut again = Socket::connect(&client).await;
    let heads = again.ok("eth_subscribe", json!(["newHeads"])).await;
    memory.mine();
    let (subscription, header) = again.told().await;
    assert_eq!((subscription, &header["number"]), (heads, &json!("0x3")));
}

#[tokio::test]
async fn a_long_call_does_not_hold_up_what_comes_after_it() {
    let (memory, _client, mut socket) = start().await;
    socket.ok("eth_subscribe", json!(["newHeads"])).await;
    // A loop: JUMPDEST PUSH1 0 JUMP.
    let endless = json!([{"data": "0x5b600056", "gas": "0x1c9c380"}]);
    let long = socket.ask("eth_call", endless).await;
    let short = socket.ask("eth_chainId", json!([])).await;
    memory.mine();
    assert_eq!(socket.answer().await["id"], short);
    let answer = socket.answer().await;
    assert_eq!(answer["id"], long);
    socket.told().await;
    assert!(answer["error"].is_object(), "{answer}");
}

#[tokio::test]
async fn a_subscriber_who_does_not_read_is_cut_off_and_told_why() {
    let (memory, client, mut socket) = start().await;
    let mut reader = Socket::connect(&client).await;
    reader.ok("eth_subscribe", json!(["newHeads"])).await;
    for _ in 0..100 {
        socket.ok("eth_subscribe", json!(["newHeads"])).await;
    }
    // A hundred headers a block fill what lies between; the reader gets every one.
    for height in 2..400_u64 {
        memory.mine();
        let (_, header) = reader.told().await;
        assert_eq!(header["number"], format!("{height:#x}"));
    }
    let (code, reason) = socket.closed().await.unwrap();
    assert_eq!(u16::from(code), 1008);
    assert!(reason.starts_with("too slow"), "{reason}");
}
