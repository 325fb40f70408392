//! `eth_simulateV1`: blocks that are not.

use crate::memory::{Client, GWEI, Memory, PAYEE, signer};
use alloy_primitives::{Address, B256, Bytes, U256, address, bytes};
use serde_json::{Value, json};

/// Adds one to its first slot and returns what it had been.
const COUNTER: Bytes = bytes!("5f548060010160005560005260205ff3");
/// Returns its height.
const HEIGHT: Bytes = bytes!("435f5260205ff3");
/// Where transfers of native coin are told of.
const TRANSFERS: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

async fn simulate(client: &Client, payload: Value) -> Value {
    client
        .ok("eth_simulateV1", json!([payload, "latest"]))
        .await
}

#[tokio::test]
async fn what_a_call_changes_the_next_one_sees() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let counter = Address::repeat_byte(0x77);
    let call = json!({"to": counter});
    let blocks = simulate(
        &client,
        json!({"blockStateCalls": [
            {"stateOverrides": {counter.to_string(): {"code": COUNTER}}, "calls": [call, call]},
            {"calls": [call]},
        ]}),
    )
    .await;
    let returned = [
        &blocks[0]["calls"][0],
        &blocks[0]["calls"][1],
        &blocks[1]["calls"][0],
    ];
    for (position, call) in returned.into_iter().enumerate() {
        assert_eq!(call["status"], "0x1");
        assert_eq!(call["returnData"], json!(B256::from(U256::from(position))));
    }
    let height = memory.head().height;
    assert_eq!(blocks[0]["number"], json!(U256::from(height + 1)));
    assert_eq!(blocks[1]["parentHash"], blocks[0]["hash"]);
    let head = client
        .ok("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    assert_eq!(blocks[0]["parentHash"], head["hash"]);
    assert_eq!(blocks[0]["transactions"].as_array().unwrap().len(), 2);
    // Nothing of it stays.
    assert_eq!(
        client.ok("eth_getCode", json!([counter, "latest"])).await,
        "0x"
    );
}

#[tokio::test]
async fn transfers_blocks_in_between_and_full_transactions_are_there_when_asked_for() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let from = signer(0).address();
    let height = memory.head().height;
    let reader = Address::repeat_byte(0x77);
    let blocks = simulate(
        &client,
        json!({
            "traceTransfers": true,
            "returnFullTransactions": true,
            "blockStateCalls": [
                {"calls": [{"from": from, "to": PAYEE, "value": "0x5"}]},
                {
                    "blockOverrides": {"number": U256::from(height + 4)},
                    "stateOverrides": {reader.to_string(): {"code": HEIGHT}},
                    "calls": [{"to": reader}],
                },
            ],
        }),
    )
    .await;
    assert_eq!(blocks.as_array().unwrap().len(), 4);
    let log = &blocks[0]["calls"][0]["logs"][0];
    assert_eq!(log["address"], json!(TRANSFERS));
    assert_eq!(log["topics"][1], json!(from.into_word()));
    assert_eq!(log["blockHash"], blocks[0]["hash"]);
    let transaction = &blocks[0]["transactions"][0];
    assert_eq!(transaction["from"], json!(from));
    assert_eq!(log["transactionHash"], transaction["hash"]);
    assert!(blocks[1]["calls"].as_array().unwrap().is_empty());
    let returned = &blocks[3]["calls"][0]["returnData"];
    assert_eq!(*returned, json!(B256::from(U256::from(height + 4))));
}

#[tokio::test]
async fn a_call_that_fails_is_a_result_and_one_that_cannot_begin_an_error() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let from = signer(0).address();
    let reverts = Address::repeat_byte(0x77);
    let blocks = simulate(
        &client,
        json!({"blockStateCalls": [{
            "stateOverrides": {reverts.to_string(): {"code": "0x5f5ffd"}},
            "calls": [{"to": reverts}],
        }]}),
    )
    .await;
    let call = &blocks[0]["calls"][0];
    assert_eq!(
        (&call["status"], &call["error"]["code"]),
        (&json!("0x0"), &json!(3))
    );

    let head = memory.head();
    let fee = format!("{:#x}", 100 * GWEI);
    let strict = |call: Value| json!({"validation": true, "blockStateCalls": [{"calls": [call]}]});
    let priced =
        |nonce: &str| json!({"from": from, "to": PAYEE, "nonce": nonce, "maxFeePerGas": fee});
    for (payload, expected) in [
        (strict(priced("0x5")), -38011),
        (strict(json!({"from": from, "to": PAYEE})), -38012),
        (
            strict(json!({"from": reverts, "to": PAYEE, "maxFeePerGas": fee})),
            -38014,
        ),
        (
            json!({"blockStateCalls": [{"calls": [{"from": reverts, "value": "0x1"}]}]}),
            -38014,
        ),
        (
            json!({"blockStateCalls": [{"calls": [{"to": PAYEE, "gas": "0x5207"}]}]}),
            -38013,
        ),
        (
            json!({"blockStateCalls": [{"calls": [{"to": PAYEE, "gas": "0xfffffff"}]}]}),
            -38015,
        ),
        (
            json!({"blockStateCalls": [{"blockOverrides": {"number": "0x0"}}]}),
            -38020,
        ),
        (
            json!({"blockStateCalls": [{"blockOverrides": {"time": "0x1"}}]}),
            -38021,
        ),
        (
            json!({"blockStateCalls": [{"blockOverrides": {"number": U256::from(head.height + 257)}}]}),
            -38026,
        ),
        (
            json!({"blockStateCalls": [{"blockOverrides": {"time": "0xffffffffffffffff"}}, {}]}),
            -38021,
        ),
        (json!({"blockStateCalls": []}), -32602),
    ] {
        let (code, message, _) = client.error("eth_simulateV1", json!([payload])).await;
        assert_eq!(code, expected, "{payload}: {message}");
    }
    let blocks = simulate(&client, strict(priced("0x0"))).await;
    assert_eq!(blocks[0]["calls"][0]["status"], "0x1");
    assert_ne!(blocks[0]["baseFeePerGas"], "0x0");
}
