//! A transfer from the wallet's side: nonce, fees, sending, waiting, receipt, balances.

use crate::memory::{CHAIN_ID, Client, FEE_RECIPIENT, GWEI, Memory, signer, transfer};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256, address};
use alloy_rpc_types_eth::{Block, Transaction, TransactionReceipt};
use og_types::BlockHash;
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};
use tokio::time::timeout;

const BOB: Address = address!("0x0000000000000000000000000000000000000b0b");

#[tokio::test]
async fn a_wallet_learns_where_it_is() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    assert_eq!(
        client.ok("eth_chainId", json!([])).await,
        format!("{CHAIN_ID:#x}")
    );
    assert_eq!(
        client.ok("net_version", json!([])).await,
        CHAIN_ID.to_string()
    );
    assert_eq!(client.ok("eth_blockNumber", json!([])).await, "0x1");
    let version = client.ok("web3_clientVersion", json!([])).await;
    assert!(version.as_str().unwrap().starts_with("og/"));
    let price: U256 = serde_json::from_value(client.ok("eth_gasPrice", json!([])).await).unwrap();
    let tip = client.ok("eth_maxPriorityFeePerGas", json!([])).await;
    let tip: U256 = serde_json::from_value(tip).unwrap();
    assert!(price > tip);
    let status = client.ok("og_status", json!([])).await;
    assert_eq!(
        (&status["height"], &status["validators"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(status["timestampMs"], json!(memory.head().timestamp_ms));
    assert_eq!(status["peers"], json!(3));
}

#[tokio::test]
async fn a_transfer_waits_then_is_final() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let alice = signer(0).address();
    let hash = client
        .ok("eth_sendRawTransaction", json!([transfer(0, 0, BOB, 1000)]))
        .await;

    let waiting = client.ok("eth_getTransactionByHash", json!([hash])).await;
    let waiting: Transaction = serde_json::from_value(waiting).unwrap();
    assert_eq!(
        (waiting.block_number, waiting.inner.signer()),
        (None, alice)
    );
    let highest = waiting.inner.max_fee_per_gas();
    assert_eq!(waiting.effective_gas_price, Some(highest));
    assert_eq!(
        client.ok("eth_getTransactionReceipt", json!([hash])).await,
        Value::Null
    );
    let count = async |tag| {
        client
            .ok("eth_getTransactionCount", json!([alice, tag]))
            .await
    };
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x0"), json!("0x1"))
    );
    assert_eq!(
        client.ok("og_status", json!([])).await["pendingTransactions"],
        1
    );

    memory.mine();
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x1"), json!("0x1"))
    );
    let receipt = client.ok("eth_getTransactionReceipt", json!([hash])).await;
    let receipt: TransactionReceipt = serde_json::from_value(receipt).unwrap();
    assert!(receipt.status());
    assert_eq!(json!(receipt.transaction_hash), hash);
    assert_eq!((receipt.from, receipt.to), (alice, Some(BOB)));
    assert_eq!((receipt.block_number, receipt.gas_used), (Some(2), 21_000));
    let found = client.ok("eth_getTransactionByHash", json!([hash])).await;
    let found: Transaction = serde_json::from_value(found).unwrap();
    assert_eq!(found.block_hash, receipt.block_hash);

    let balance = async |who: Address| -> U256 {
        let balance = client.ok("eth_getBalance", json!([who, "latest"])).await;
        serde_json::from_value(balance).unwrap()
    };
    let fee = U256::from(21_000 * receipt.effective_gas_price);
    let before = U256::from(10).pow(U256::from(21));
    assert_eq!(balance(BOB).await, U256::from(1000));
    assert_eq!(balance(alice).await, before - fee - U256::from(1000));
    assert_eq!(balance(FEE_RECIPIENT).await, U256::from(21_000 * GWEI));
}

#[tokio::test]
async fn the_bytes_of_a_transaction_are_kept() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let raw = json!(transfer(0, 0, BOB, 1000));
    let hash = client.ok("eth_sendRawTransaction", json!([raw])).await;
    let by_hash = async || {
        client
            .ok("eth_getRawTransactionByHash", json!([hash]))
            .await
    };
    assert_eq!(by_hash().await, raw);
    memory.mine();
    assert_eq!(by_hash().await, raw);
    let block = memory.index().block(2).unwrap().unwrap().hash();
    for (place, block) in [("Number", json!("0x2")), ("Hash", json!(block))] {
        let method = format!("eth_getRawTransactionByBlock{place}AndIndex");
        assert_eq!(client.ok(&method, json!([block, "0x0"])).await, raw);
        let beyond = client.ok(&method, json!([block, "0x1"])).await;
        assert_eq!(beyond, Value::Null);
    }
    let unknown = client
        .ok("eth_getRawTransactionByHash", json!([B256::ZERO]))
        .await;
    assert_eq!(unknown, Value::Null);
}

#[tokio::test]
async fn a_patient_node_answers_for_a_transaction_when_it_is_final() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    memory.set_patience(Duration::from_secs(60));
    let send = |nonce| {
        client.ok(
            "eth_sendRawTransaction",
            json!([transfer(0, nonce, BOB, 1)]),
        )
    };
    // No block can take this one: there is nothing to wait for.
    let last = send(1).await;
    let mut first = pin!(send(0));
    let answered = timeout(Duration::from_millis(300), &mut first).await;
    assert!(answered.is_err(), "answered before the block");
    memory.mine();
    let first = first.await;
    for hash in [first, last] {
        let receipt = client.ok("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["blockNumber"], "0x2");
    }
    // Nor does it wait for ever.
    memory.set_patience(Duration::from_millis(1));
    send(2).await;
}

#[tokio::test]
async fn development_tools_learn_whether_a_sent_transaction_is_in_a_block() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    assert_eq!(client.ok("hardhat_getAutomine", json!([])).await, false);
    memory.set_patience(Duration::from_secs(1));
    assert_eq!(client.ok("hardhat_getAutomine", json!([])).await, true);
}

#[tokio::test]
async fn a_block_is_found_by_number_tag_and_hash() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let hash = client
        .ok("eth_sendRawTransaction", json!([transfer(0, 0, BOB, 1)]))
        .await;
    memory.mine();
    let expected = memory.index().block(2).unwrap().unwrap();
    for name in ["0x2", "latest", "safe", "finalized", "pending"] {
        let block = client
            .ok("eth_getBlockByNumber", json!([name, false]))
            .await;
        // What web3 libraries insist on, beyond what the parser below does.
        for field in [
            "difficulty",
            "nonce",
            "sha3Uncles",
            "mixHash",
            "extraData",
            "size",
            "uncles",
        ] {
            assert!(!block[field].is_null(), "{field}");
        }
        assert_eq!(block["transactions"], json!([hash]));
        let block: Block = serde_json::from_value(block).unwrap();
        assert_eq!(block.header.hash, B256::from(expected.hash().0));
        assert_eq!(
            block.header.timestamp,
            expected.header().timestamp_ms / 1000
        );
        assert_eq!(block.header.beneficiary, FEE_RECIPIENT);
        assert_eq!(block.header.state_root, expected.header().state_root);
    }
    let by_hash = client
        .ok("eth_getBlockByHash", json!([expected.hash(), true]))
        .await;
    let by_hash: Block = serde_json::from_value(by_hash).unwrap();
    let full = by_hash.transactions.as_transactions().unwrap();
    assert_eq!(json!(full[0].inner.tx_hash()), hash);

    let first = client.ok("eth_getBlockByNumber", json!(["earliest"])).await;
    assert_eq!(first["number"], "0x0");
    assert_eq!(
        client
            .ok("eth_getBlockByNumber", json!(["0x3", true]))
            .await,
        Value::Null
    );
    let nothing = client
        .ok("eth_getBlockByHash", json!([BlockHash([1; 32]), true]))
        .await;
    assert_eq!(nothing, Value::Null);
}

#[tokio::test]
async fn a_transaction_that_is_not_taken_is_told_why() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    client
        .ok("eth_sendRawTransaction", json!([transfer(0, 0, BOB, 1)]))
        .await;
    memory.mine();
    let mut foreign = crate::memory::transaction(0, 1, BOB.into(), 1, Default::default());
    foreign.chain_id = 1;
    for (raw, reason) in [
        (transfer(0, 0, BOB, 1), "nonce too low"),
        (transfer(0, 1, BOB, u128::MAX), "insufficient funds"),
        (transfer(7, 0, BOB, 1), "insufficient funds"),
        (crate::memory::sign(0, foreign), "invalid chain id"),
        (vec![0x02, 0xc0].into(), "rlp"),
        (Default::default(), "rlp"),
    ] {
        let (code, message, _) = client.error("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(code, -32000, "{message}");
        assert!(message.contains(reason), "{message}");
    }
}
