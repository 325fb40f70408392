//! States of the past, and states that a caller changes before its call.

use crate::memory::{
    CHAIN_ID, Client, GWEI, MODEL, Memory, PAYEE, sign, signer, transaction, transfer,
};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes};
use alloy_signer::SignerSync as _;
use alloy_sol_types::SolCall as _;
use og_chain::registry::{
    REGISTRY,
    Registry::{modelOwnerCall, registerModelCall},
    model_owner_slot,
};
use og_types::ModelId;
use serde_json::{Value, json};

/// Returns its own balance.
const BALANCE_READER: Bytes = bytes!("475f5260205ff3");
/// Returns height, time and base fee, the proposer's account, and the hash of the block that the input names.
const BLOCK_READER: Bytes = bytes!("435f524260205248604052416060525f354060805260a05ff3");

fn owner_of(id: B256) -> Value {
    let data: Bytes = modelOwnerCall { id }.abi_encode().into();
    json!({"to": REGISTRY, "data": data})
}

fn word(answer: &Value, position: usize) -> U256 {
    let bytes: Bytes = serde_json::from_value(answer.clone()).unwrap();
    U256::from_be_slice(&bytes[32 * position..32 * (position + 1)])
}

#[tokio::test]
async fn old_states_are_as_they_were() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let id = B256::repeat_byte(0x33);
    let to = Address::repeat_byte(0x44);
    let mut balances = vec![0; 2];
    for nonce in 0..3 {
        let raw = transfer(0, nonce, to, 100);
        client.ok("eth_sendRawTransaction", json!([raw])).await;
        memory.mine();
        balances.push(100 * (u128::from(nonce) + 1));
    }
    let name = "mine".to_owned();
    let data = registerModelCall { id, name }.abi_encode().into();
    let raw = sign(0, transaction(0, 3, TxKind::Call(REGISTRY), 0, data));
    client.ok("eth_sendRawTransaction", json!([raw])).await;
    memory.mine();

    for (height, balance) in balances.iter().enumerate() {
        let block = format!("{height:#x}");
        let read = client.ok("eth_getBalance", json!([to, block])).await;
        assert_eq!(read, json!(U256::from(*balance)), "block {height}");
        let nonce = client
            .ok(
                "eth_getTransactionCount",
                json!([signer(0).address(), block]),
            )
            .await;
        assert_eq!(nonce, format!("{:#x}", height.saturating_sub(1)));
        let owner = client.ok("eth_call", json!([owner_of(id), block])).await;
        // Before block 1 there is no contract.
        let expected = if height == 0 {
            json!("0x")
        } else {
            json!(B256::ZERO)
        };
        assert_eq!(owner, expected);
    }
    let owner = client.ok("eth_call", json!([owner_of(id), "0x5"])).await;
    assert_eq!(
        word(&owner, 0),
        U256::from_be_bytes(signer(0).address().into_word().0)
    );
    let slot = model_owner_slot(&ModelId(id.0));
    for (block, expected) in [
        ("0x4", B256::ZERO),
        ("0x5", signer(0).address().into_word()),
    ] {
        let stored = client
            .ok("eth_getStorageAt", json!([REGISTRY, slot, block]))
            .await;
        assert_eq!(stored, json!(expected));
    }
    // By hash, also as an object (EIP-1898).
    let third = client
        .ok("eth_getBlockByNumber", json!(["0x3", false]))
        .await;
    let hash = &third["hash"];
    let read = client
        .ok("eth_getBalance", json!([to, {"blockHash": hash}]))
        .await;
    assert_eq!(read, json!(U256::from(200)));
    // Before block 1 there is nothing.
    let code = client.ok("eth_getCode", json!([REGISTRY, "0x0"])).await;
    assert_eq!(code, "0x");
    let (code, message, _) = client.error("eth_getBalance", json!([to, "0x99"])).await;
    assert_eq!((code, message.as_str()), (-32000, "header not found"));
}

#[tokio::test]
async fn a_call_runs_on_accounts_as_it_changes_them() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let anyone = Address::repeat_byte(0x77);
    let call = json!({"to": anyone});
    let overrides = json!({anyone.to_string(): {"code": BALANCE_READER, "balance": "0x2a"}});
    let answer = client
        .ok("eth_call", json!([call, "latest", overrides]))
        .await;
    assert_eq!(word(&answer, 0), U256::from(42));

    let id = B256::from(MODEL.0);
    let slot = B256::from(model_owner_slot(&MODEL));
    let other = Address::repeat_byte(0x12).into_word();
    let difference = json!({REGISTRY.to_string(): {"stateDiff": {slot.to_string(): other}}});
    let answer = client
        .ok("eth_call", json!([owner_of(id), "latest", difference]))
        .await;
    assert_eq!(answer, json!(other));
    let emptied = json!({REGISTRY.to_string(): {"state": {}}});
    let answer = client
        .ok("eth_call", json!([owner_of(id), "latest", emptied]))
        .await;
    assert_eq!(answer, json!(B256::ZERO));
    // Nothing of it stays.
    let answer = client.ok("eth_call", json!([owner_of(id)])).await;
    assert_eq!(answer, json!(PAYEE.into_word()));

    let poor = Address::repeat_byte(0x78);
    let sends = json!({"from": poor, "to": anyone, "value": "0x64"});
    let (_, message, _) = client.error("eth_estimateGas", json!([sends])).await;
    assert!(message.starts_with("insufficient funds"), "{message}");
    let rich = json!({poor.to_string(): {"balance": "0x64"}});
    let gas = client
        .ok("eth_estimateGas", json!([sends, "latest", rich]))
        .await;
    assert_eq!(gas, "0x5208");
    for (overrides, expected) in [
        (
            json!({anyone.to_string(): {"state": {}, "stateDiff": {}}}),
            "'state' and 'stateDiff'",
        ),
        (
            json!({anyone.to_string(): {"movePrecompileToAddress": poor}}),
            "movePrecompile",
        ),
    ] {
        let (code, message, _) = client
            .error("eth_call", json!([call, "latest", overrides]))
            .await;
        assert_eq!(code, -32602);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_call_sees_the_block_as_it_changes_it() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    memory.mine();
    let reader = Address::repeat_byte(0x77);
    let code = json!({reader.to_string(): {"code": BLOCK_READER}});
    let call = |asked: u64| json!({"to": reader, "data": B256::from(U256::from(asked))});
    let head = memory.head();
    let answer = client
        .ok("eth_call", json!([call(head.height - 1), "latest", code]))
        .await;
    assert_eq!(word(&answer, 0), U256::from(head.height));
    assert_eq!(word(&answer, 1), U256::from(head.timestamp_ms / 1000));
    assert_eq!(word(&answer, 2), U256::from(head.base_fee_per_gas));
    assert_eq!(B256::from(word(&answer, 4)), B256::from(head.parent.0));
    let block = json!({
        "number": "0x64", "time": "0x65", "baseFeePerGas": "0x66", "feeRecipient": PAYEE,
        "blockHash": {"80": B256::repeat_byte(9)},
    });
    let answer = client
        .ok("eth_call", json!([call(0x50), "latest", code, block]))
        .await;
    for (position, expected) in [(0, 0x64), (1, 0x65), (2, 0x66)] {
        assert_eq!(word(&answer, position), U256::from(expected));
    }
    assert_eq!(word(&answer, 3), U256::from_be_bytes(PAYEE.into_word().0));
    assert_eq!(B256::from(word(&answer, 4)), B256::repeat_byte(9));
    // Heights that are not of this chain have no hash.
    let answer = client
        .ok("eth_call", json!([call(0x63), "latest", code, block]))
        .await;
    assert_eq!(word(&answer, 4), U256::ZERO);
}

#[tokio::test]
async fn an_access_list_names_what_is_read_and_is_worth_it() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let from = signer(0).address();
    let call = json!({"from": from, "to": REGISTRY, "data": owner_of(B256::from(MODEL.0))["data"]});
    let answer = client.ok("eth_createAccessList", json!([call])).await;
    let slot = B256::from(model_owner_slot(&MODEL));
    assert_eq!(
        answer["accessList"],
        json!([{"address": REGISTRY, "storageKeys": [slot]}])
    );
    assert!(answer["error"].is_null());
    let mut listed = call.clone();
    listed["accessList"] = answer["accessList"].clone();
    let gas = client.ok("eth_estimateGas", json!([listed])).await;
    let number = |value: &Value| value.to_string().trim_matches('"')[2..].to_owned();
    let number = |value: &Value| u64::from_str_radix(&number(value), 16).unwrap();
    assert!(number(&gas) >= number(&answer["gasUsed"]));
    assert!(number(&gas) < number(&answer["gasUsed"]) + 2_000);
}

#[tokio::test]
async fn what_cannot_be_afforded_is_no_estimate() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let poor = Address::repeat_byte(0x78);
    let price = format!("{GWEI:#x}");
    let call = json!({"from": poor, "to": PAYEE, "gasPrice": price});
    let (code, message, _) = client.error("eth_estimateGas", json!([call])).await;
    assert_eq!(
        (code, message.as_str()),
        (-32000, "gas required exceeds allowance (0)")
    );
    let blob = json!({"from": poor, "to": PAYEE, "maxFeePerBlobGas": "0x1"});
    let (code, message, _) = client.error("eth_call", json!([blob])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("EIP-4844"), "{message}");
    let (code, message, _) = client
        .error("eth_getProof", json!([poor, [], "latest"]))
        .await;
    assert_eq!(code, -32601);
    assert!(message.contains("og_getProof"), "{message}");
}

#[tokio::test]
async fn an_estimate_covers_what_is_refunded_only_at_the_end() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    // Half of what an authorization of an account costs that is there already comes back.
    let authority = signer(1);
    let authorization = Authorization {
        chain_id: U256::from(CHAIN_ID),
        address: Address::ZERO,
        nonce: 0,
    };
    let signature = authority
        .sign_hash_sync(&authorization.signature_hash())
        .unwrap();
    let call = json!({
        "from": signer(0).address(),
        "to": authority.address(),
        "authorizationList": [authorization.into_signed(signature)],
    });
    let gas = client.ok("eth_estimateGas", json!([call])).await;
    let gas: U256 = serde_json::from_value(gas).unwrap();
    let needed = U256::from(21_000 + 25_000);
    assert!(needed <= gas && gas < needed + U256::from(1_000), "{gas}");
}
