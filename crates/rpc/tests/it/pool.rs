//! What waits for a block, as Ethereum's tools ask for it.

use crate::memory::{Client, Memory, PAYEE, signer, transfer};
use alloy_primitives::Bytes;
use serde_json::{Value as Json, json};

/// Submits transactions of signer 0 with these nonces; their hashes.
async fn submit(client: &Client, nonces: &[u64]) -> Vec<Json> {
    let mut hashes = Vec::new();
    for nonce in nonces {
        let raw: Bytes = transfer(0, *nonce, PAYEE, 5);
        hashes.push(client.ok("eth_sendRawTransaction", json!([raw])).await);
    }
    hashes
}

#[tokio::test]
async fn what_a_block_could_take_is_told_apart_from_what_waits_for_a_nonce() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let empty = json!({"pending": {}, "queued": {}});
    assert_eq!(client.ok("txpool_content", json!([])).await, empty);
    let hashes = submit(&client, &[0, 1, 3]).await;
    let status = client.ok("txpool_status", json!([])).await;
    assert_eq!(status, json!({"pending": "0x2", "queued": "0x1"}));

    let sender = signer(0).address();
    let content = client.ok("txpool_content", json!([])).await;
    // Ethereum's nodes write addresses with their checksum here.
    let name = sender.to_checksum(None);
    let of_sender = client.ok("txpool_contentFrom", json!([sender])).await;
    assert_eq!(of_sender["pending"], content["pending"][&name]);
    assert_eq!(of_sender["queued"], content["queued"][&name]);
    for (place, nonce, hash) in [
        ("pending", "0", &hashes[0]),
        ("pending", "1", &hashes[1]),
        ("queued", "3", &hashes[2]),
    ] {
        let transaction = &of_sender[place][nonce];
        assert_eq!(transaction["hash"], *hash);
        assert_eq!(transaction["blockNumber"], Json::Null);
    }
    let inspected = client.ok("txpool_inspect", json!([])).await;
    let sentence = inspected["queued"][&name]["3"].as_str().unwrap();
    let to = PAYEE.to_checksum(None);
    let expected = format!("{to}: 5 wei + 1000000 gas × 100000000000 wei");
    assert_eq!(sentence, expected);

    let other = signer(1).address();
    assert_eq!(client.ok("txpool_contentFrom", json!([other])).await, empty);
    memory.mine();
    let status = client.ok("txpool_status", json!([])).await;
    assert_eq!(status, json!({"pending": "0x0", "queued": "0x1"}));
}

#[tokio::test]
async fn a_filter_tells_of_new_transactions_once() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let early = submit(&client, &[0]).await;
    let hashes = client
        .ok("eth_newPendingTransactionFilter", json!([]))
        .await;
    let full = client
        .ok("eth_newPendingTransactionFilter", json!([true]))
        .await;
    let new = submit(&client, &[1, 2]).await;
    let changes = client.ok("eth_getFilterChanges", json!([hashes])).await;
    assert_eq!(changes, json!(new));
    assert!(!changes.as_array().unwrap().contains(&early[0]));
    // Also those that a block has taken meanwhile.
    memory.mine();
    let changes = client.ok("eth_getFilterChanges", json!([full])).await;
    let told: Vec<_> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["hash"])
        .collect();
    assert_eq!(told, new.iter().collect::<Vec<_>>());
    for filter in [hashes, full] {
        let again = client.ok("eth_getFilterChanges", json!([filter])).await;
        assert_eq!(again, json!([]));
        assert_eq!(
            client.ok("eth_uninstallFilter", json!([filter])).await,
            true
        );
        let error = client.error("eth_getFilterChanges", json!([filter])).await;
        assert_eq!((error.0, error.1.as_str()), (-32000, "filter not found"));
    }
}
