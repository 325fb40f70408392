//! A contract from a library's side: calls, reverts, estimates, events, code, storage.

use crate::memory::{Client, MODEL, Memory, PAYEE, sign, signer, transaction};
use alloy_primitives::{B256, Bytes, TxKind, U64};
use alloy_rpc_types_eth::{Block, FeeHistory, Log, TransactionReceipt};
use alloy_sol_types::{SolCall as _, SolError as _, SolEvent as _};
use og_chain::registry::{
    REGISTRY,
    Registry::{ModelAlreadyRegistered, ModelRegistered, modelOwnerCall, registerModelCall},
    model_owner_slot,
};
use og_types::ModelId;
use serde_json::{Value, json};

fn register(id: B256, name: &str) -> Bytes {
    let name = name.to_owned();
    registerModelCall { id, name }.abi_encode().into()
}

fn owner_of(id: B256) -> Value {
    let data: Bytes = modelOwnerCall { id }.abi_encode().into();
    json!({"to": REGISTRY, "data": data})
}

#[tokio::test]
async fn a_call_reads_the_newest_state() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let known = B256::from(MODEL.0);
    assert_eq!(
        client.ok("eth_call", json!([owner_of(known)])).await,
        json!(PAYEE.into_word())
    );
    let unknown = client
        .ok("eth_call", json!([owner_of(B256::ZERO), "latest"]))
        .await;
    assert_eq!(unknown, json!(B256::ZERO));
    let slot = model_owner_slot(&MODEL);
    let stored = client
        .ok("eth_getStorageAt", json!([REGISTRY, slot, "latest"]))
        .await;
    assert_eq!(stored, json!(PAYEE.into_word()));
    let code: Bytes =
        serde_json::from_value(client.ok("eth_getCode", json!([REGISTRY, "latest"])).await)
            .unwrap();
    assert!(code.len() > 100);
    assert_eq!(
        client.ok("eth_getCode", json!([PAYEE, "latest"])).await,
        "0x"
    );
}

#[tokio::test]
async fn a_call_stays_on_its_state_while_blocks_become_final() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    memory.set_restless(1_000);
    let height = memory.head().height;
    let owner = client
        .ok("eth_call", json!([owner_of(B256::from(MODEL.0))]))
        .await;
    assert_eq!(owner, json!(PAYEE.into_word()));
    assert!(memory.head().height > height + 2);
}

#[tokio::test]
async fn a_revert_carries_its_data() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let id = B256::from(MODEL.0);
    let request = json!({"from": PAYEE, "to": REGISTRY, "input": register(id, "again")});
    for method in ["eth_call", "eth_estimateGas"] {
        let (code, message, data) = client.error(method, json!([request])).await;
        assert_eq!(code, 3);
        assert!(message.starts_with("execution reverted"), "{message}");
        let data: Bytes = serde_json::from_value(data).unwrap();
        assert_eq!(ModelAlreadyRegistered::abi_decode(&data).unwrap().id, id);
    }
}

#[tokio::test]
async fn an_estimate_is_enough_and_not_much_more() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let from = signer(0).address();
    let transfer = json!({"from": from, "to": PAYEE, "value": "0x1"});
    assert_eq!(
        client.ok("eth_estimateGas", json!([transfer])).await,
        "0x5208"
    );

    let id = B256::repeat_byte(0x33);
    let request = json!({"from": from, "to": REGISTRY, "data": register(id, "mine")});
    let estimate = client.ok("eth_estimateGas", json!([request])).await;
    let estimate: U64 = serde_json::from_value(estimate).unwrap();
    let estimate: u64 = estimate.to();
    let mut raw = transaction(0, 0, TxKind::Call(REGISTRY), 0, register(id, "mine"));
    raw.gas_limit = estimate;
    let hash = client
        .ok("eth_sendRawTransaction", json!([sign(0, raw)]))
        .await;
    memory.mine();
    let receipt = client.ok("eth_getTransactionReceipt", json!([hash])).await;
    let receipt: TransactionReceipt = serde_json::from_value(receipt).unwrap();
    assert!(receipt.status());
    assert!(receipt.gas_used <= estimate && receipt.gas_used + 2_000 > estimate);
}

#[tokio::test]
async fn events_are_in_receipt_and_bloom() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let mut hashes = Vec::new();
    for index in 0..2 {
        let data = register(B256::repeat_byte(0x40 + index), "model");
        let raw = sign(
            index,
            transaction(index, 0, TxKind::Call(REGISTRY), 0, data),
        );
        hashes.push(client.ok("eth_sendRawTransaction", json!([raw])).await);
    }
    memory.mine();
    let block = client
        .ok("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let block: Block = serde_json::from_value(block).unwrap();
    for (index, hash) in (0..).zip(&hashes) {
        let receipt = client.ok("eth_getTransactionReceipt", json!([hash])).await;
        let receipt: TransactionReceipt = serde_json::from_value(receipt).unwrap();
        let [log] = receipt.inner.logs() else {
            panic!("{receipt:?}")
        };
        let event = ModelRegistered::decode_log(&log.inner).unwrap();
        assert_eq!(event.id, B256::repeat_byte(0x40 + index));
        assert_eq!(event.owner, signer(index).address());
        // Positions of logs count through the block.
        assert_eq!(log.log_index, receipt.transaction_index);
        assert_eq!(log.block_hash, Some(block.header.hash));
        let bloom = receipt.inner.logs_bloom();
        assert!(bloom.contains_raw_log(log.address(), log.topics()));
        assert!(block.header.logs_bloom.contains(bloom));
    }
    let owner = client
        .ok("eth_call", json!([owner_of(B256::repeat_byte(0x40))]))
        .await;
    assert_eq!(owner, json!(signer(0).address().into_word()));
    assert_ne!(ModelId([0x40; 32]), MODEL);
}

#[tokio::test]
async fn a_call_that_cannot_run_is_told_why() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let poor = json!({"from": PAYEE, "to": REGISTRY, "value": "0xffffffff"});
    let (code, message, _) = client.error("eth_call", json!([poor])).await;
    assert_eq!(code, -32000);
    assert!(message.contains("insufficient funds"), "{message}");
    let foreign = json!({"to": REGISTRY, "chainId": "0x1"});
    let twofold = json!({"to": REGISTRY, "data": "0x01", "input": "0x02"});
    for request in [
        json!([foreign]),
        json!([twofold]),
        json!([{"to": REGISTRY}, "latest", {"0x00": {}}]),
    ] {
        assert_eq!(client.error("eth_call", request).await.0, -32602);
    }
    // INVALID as init code.
    let (code, message, _) = client.error("eth_call", json!([{"data": "0xfe"}])).await;
    assert_eq!(code, -32000);
    assert!(message.contains("execution failed"), "{message}");
}

#[tokio::test]
async fn logs_are_found_by_contract_topic_and_block_and_filters_tell_of_new_ones() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let by_topic = json!([{"topics": [null, B256::repeat_byte(0x50)], "fromBlock": "earliest"}]);
    let filter = client.ok("eth_newFilter", by_topic.clone()).await;
    let blocks = client.ok("eth_newBlockFilter", json!([])).await;
    let mut hashes = Vec::new();
    for nonce in 0..3_u8 {
        let data = register(B256::repeat_byte(0x50 + nonce), "model");
        let raw = transaction(0, nonce.into(), TxKind::Call(REGISTRY), 0, data);
        let hash = client
            .ok("eth_sendRawTransaction", json!([sign(0, raw)]))
            .await;
        memory.mine();
        hashes.push((hash, memory.head().height));
    }
    let logs = async |filter: Value| -> Vec<Log> {
        let logs = client.ok("eth_getLogs", json!([filter])).await;
        serde_json::from_value(logs).unwrap()
    };
    let all = logs(json!({"address": REGISTRY, "fromBlock": "earliest"})).await;
    let of: Vec<_> = all
        .iter()
        .map(|log| (json!(log.transaction_hash), log.block_number))
        .collect();
    let expected: Vec<_> = hashes
        .iter()
        .map(|(hash, height)| (hash.clone(), Some(*height)))
        .collect();
    assert_eq!(of, expected);
    // Without blocks, those of the newest.
    assert_eq!(logs(json!({})).await, all[2..]);
    let (_, height) = hashes[1];
    let at = format!("0x{height:x}");
    assert_eq!(
        logs(json!({"fromBlock": at, "toBlock": at})).await,
        all[1..2]
    );
    assert_eq!(
        logs(json!({"blockHash": all[0].block_hash})).await,
        all[..1]
    );
    assert!(
        logs(json!({"address": PAYEE, "fromBlock": "0x0"}))
            .await
            .is_empty()
    );
    let either = [B256::repeat_byte(0x50), B256::repeat_byte(0x52)];
    let found = logs(json!({"fromBlock": "0x0", "topics": [null, either]})).await;
    assert_eq!(found, [all[0].clone(), all[2].clone()]);

    let changes = client.ok("eth_getFilterChanges", json!([filter])).await;
    assert_eq!(changes, json!([all[0]]));
    assert_eq!(
        client.ok("eth_getFilterChanges", json!([filter])).await,
        json!([])
    );
    assert_eq!(
        client.ok("eth_getFilterLogs", json!([filter])).await,
        json!([all[0]])
    );
    let new = client.ok("eth_getFilterChanges", json!([blocks])).await;
    assert_eq!(new.as_array().unwrap().len(), 3);
    assert_eq!(new[2], json!(all[2].block_hash));
    assert_eq!(
        client.ok("eth_uninstallFilter", json!([filter])).await,
        json!(true)
    );
    assert_eq!(
        client
            .error("eth_getFilterChanges", json!([filter]))
            .await
            .0,
        -32000
    );
    let above = json!([{"fromBlock": "0x9", "toBlock": "0x1"}]);
    assert_eq!(client.error("eth_getLogs", above).await.0, -32602);
    let many: Vec<_> = (0..1001_u16)
        .map(|n| B256::left_padding_from(&n.to_be_bytes()))
        .collect();
    assert_eq!(
        client
            .error("eth_getLogs", json!([{"topics": [many]}]))
            .await
            .0,
        -32602
    );
}

#[tokio::test]
async fn a_block_tells_its_receipts_its_transactions_and_its_fees() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    for from in 0..2 {
        let raw = transaction(from, 0, TxKind::Call(PAYEE), 7, Bytes::new());
        client
            .ok("eth_sendRawTransaction", json!([sign(from, raw)]))
            .await;
    }
    memory.mine();
    let receipts = client.ok("eth_getBlockReceipts", json!(["latest"])).await;
    let receipts: Vec<TransactionReceipt> = serde_json::from_value(receipts).unwrap();
    let hash = json!(receipts[1].block_hash);
    let one = client
        .ok(
            "eth_getTransactionReceipt",
            json!([receipts[1].transaction_hash]),
        )
        .await;
    assert_eq!(one, json!(receipts[1]));
    for (method, block) in [
        ("eth_getBlockTransactionCountByNumber", json!("latest")),
        ("eth_getBlockTransactionCountByHash", hash.clone()),
    ] {
        assert_eq!(client.ok(method, json!([block])).await, "0x2");
    }
    for (method, block) in [
        ("eth_getTransactionByBlockNumberAndIndex", json!("latest")),
        ("eth_getTransactionByBlockHashAndIndex", hash.clone()),
    ] {
        let found = client.ok(method, json!([block, "0x1"])).await;
        assert_eq!(found["hash"], json!(receipts[1].transaction_hash));
        assert_eq!(client.ok(method, json!([block, "0x2"])).await, Value::Null);
    }
    assert_eq!(
        client
            .ok("eth_getUncleCountByBlockHash", json!([hash]))
            .await,
        "0x0"
    );
    assert_eq!(
        client.ok("eth_getBlockReceipts", json!(["0x999"])).await,
        Value::Null
    );

    let height = memory.head().height;
    let fees = client
        .ok(
            "eth_feeHistory",
            json!(["0x400", "latest", [0.0, 50.0, 100.0]]),
        )
        .await;
    let fees: FeeHistory = serde_json::from_value(fees).unwrap();
    assert_eq!(fees.oldest_block, 0);
    assert_eq!(fees.base_fee_per_gas.len() as u64, height + 2);
    assert_eq!(
        fees.base_fee_per_gas[height as usize],
        u128::from(memory.head().base_fee_per_gas)
    );
    let rewards = fees.reward.unwrap();
    let base_fee = u128::from(memory.head().base_fee_per_gas);
    let mut tips = [0, 1].map(|index| receipts[index].effective_gas_price - base_fee);
    tips.sort_unstable();
    let [low, high] = tips;
    assert_eq!(rewards[0], [0; 3]);
    assert_eq!(rewards[height as usize], [low, low, high]);
    for wrong in [
        json!(["0x1", "latest", [50.0, 0.0]]),
        json!(["0x1", "latest", [101.0]]),
        json!(["0x1", "0x999", null]),
    ] {
        assert_eq!(client.error("eth_feeHistory", wrong).await.0, -32602);
    }
    for (method, parameters, expected) in [
        ("eth_syncing", json!([]), json!(false)),
        ("eth_accounts", json!([]), json!([])),
        ("net_listening", json!([]), json!(true)),
        (
            "web3_sha3",
            json!(["0x"]),
            json!(alloy_primitives::KECCAK256_EMPTY),
        ),
    ] {
        assert_eq!(client.ok(method, parameters).await, expected);
    }
}
