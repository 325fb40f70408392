//! Transactions run again, with each of Geth's tracers.

use crate::memory::{Client, FEE_RECIPIENT, Memory, PAYEE, sign, signer, transaction, transfer};
use alloy_primitives::{Address, B256, Bytes, TxKind, bytes};
use alloy_sol_types::SolCall as _;
use og_chain::registry::{REGISTRY, Registry::registerModelCall, model_owner_slot};
use og_types::ModelId;
use serde_json::{Value, json};

/// Loops until its gas is gone.
const LOOP: Bytes = bytes!("5b5f56");

fn register(id: B256) -> Bytes {
    let name = "mine".to_owned();
    registerModelCall { id, name }.abi_encode().into()
}

/// A chain whose newest block has a transfer and the registration of a model, and that registration's hash.
async fn registered(id: B256) -> (Memory, Client, Value) {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let raw = transfer(0, 0, PAYEE, 5);
    client.ok("eth_sendRawTransaction", json!([raw])).await;
    let call = transaction(0, 1, TxKind::Call(REGISTRY), 0, register(id));
    let raw = sign(0, call);
    let hash = client.ok("eth_sendRawTransaction", json!([raw])).await;
    memory.mine();
    (memory, client, hash)
}

#[tokio::test]
async fn each_tracer_tells_what_a_transaction_did() {
    let id = B256::repeat_byte(0x33);
    let (memory, client, hash) = registered(id).await;
    // Blocks after it change nothing of the answer.
    memory.mine();
    let from = signer(0).address();
    let receipt = client.ok("eth_getTransactionReceipt", json!([hash])).await;
    let trace = |options: Value| {
        let (client, hash) = (&client, &hash);
        async move {
            client
                .ok("debug_traceTransaction", json!([hash, options]))
                .await
        }
    };

    let calls = trace(json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}})).await;
    assert_eq!(calls["type"], "CALL");
    assert_eq!(calls["from"], json!(from));
    assert_eq!(calls["to"], json!(REGISTRY));
    assert_eq!(calls["input"], json!(register(id)));
    assert_eq!(calls["gasUsed"], receipt["gasUsed"]);
    assert_eq!(calls["logs"][0]["topics"], receipt["logs"][0]["topics"]);

    let before = trace(json!({"tracer": "prestateTracer"})).await;
    let registry = REGISTRY.to_string().to_lowercase();
    assert_eq!(before[from.to_string().to_lowercase()]["nonce"], 1);
    assert!(before[&registry]["code"].is_string());
    let slot = B256::from(model_owner_slot(&ModelId(id.0))).to_string();
    let difference =
        trace(json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}})).await;
    assert!(difference["pre"][&registry]["storage"][&slot].is_null());
    assert_eq!(
        difference["post"][&registry]["storage"][&slot],
        json!(from.into_word())
    );
    assert!(before[FEE_RECIPIENT.to_string().to_lowercase()].is_object());

    let selectors = trace(json!({"tracer": "4byteTracer"})).await;
    let selector = Bytes::from(registerModelCall::SELECTOR);
    let input = register(id).len() - 4;
    assert_eq!(selectors, json!({format!("{selector}-{input}"): 1}));

    let steps = trace(json!({})).await;
    assert_eq!(steps["failed"], false);
    assert_eq!(
        format!("{:#x}", steps["gas"].as_u64().unwrap()),
        receipt["gasUsed"]
    );
    let logs = steps["structLogs"].as_array().unwrap();
    assert_eq!(logs[0]["pc"], 0);
    assert!(logs.iter().any(|step| step["op"] == "SSTORE"));
    assert!(logs[3]["stack"].is_array());
    let short = trace(json!({"limit": 2, "disableStack": true})).await;
    assert_eq!(short["structLogs"].as_array().unwrap().len(), 2);
    assert!(short["structLogs"][1]["stack"].is_null());
}

#[tokio::test]
async fn a_block_is_traced_by_height_hash_and_bytes() {
    let (_, client, hash) = registered(B256::repeat_byte(0x33)).await;
    let options = json!({"tracer": "callTracer"});
    let by_number = client
        .ok("debug_traceBlockByNumber", json!(["latest", options]))
        .await;
    let traces = by_number.as_array().unwrap();
    assert_eq!(traces.len(), 2);
    assert_eq!(traces[0]["result"]["to"], json!(PAYEE));
    assert_eq!(traces[1]["txHash"], hash);
    assert_eq!(traces[1]["result"]["to"], json!(REGISTRY));
    let block = client
        .ok("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let by_hash = client
        .ok("debug_traceBlockByHash", json!([block["hash"], options]))
        .await;
    assert_eq!(by_hash, by_number);
    let raw = client.ok("debug_getRawBlock", json!(["latest"])).await;
    let by_bytes = client.ok("debug_traceBlock", json!([raw, options])).await;
    assert_eq!(by_bytes, by_number);
    let (code, message, _) = client.error("debug_traceBlock", json!(["0xf90211"])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("debug_getRawBlock"), "{message}");
    let (_, message, _) = client
        .error("debug_traceBlockByNumber", json!(["0x0"]))
        .await;
    assert_eq!(message, "genesis is not traceable");
}

#[tokio::test]
async fn a_call_is_traced_before_it_is_sent() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let anyone = Address::repeat_byte(0x77);
    let call = json!({"from": signer(0).address(), "to": anyone, "gas": "0x186a0"});
    let options = json!({
        "tracer": "callTracer",
        "stateOverrides": {anyone.to_string(): {"code": "0x5f5ffd"}},
    });
    let trace = client
        .ok("debug_traceCall", json!([call, "latest", options]))
        .await;
    assert_eq!(trace["error"], "execution reverted");
    let unknown = json!({"tracer": "{step: function() {}}"});
    let (code, message, _) = client
        .error("debug_traceCall", json!([call, "latest", unknown]))
        .await;
    assert_eq!(code, -32602);
    assert!(message.contains("callTracer"), "{message}");
    let (_, message, _) = client
        .error("debug_traceTransaction", json!([B256::ZERO]))
        .await;
    assert_eq!(message, "transaction not found");
}

#[tokio::test]
async fn a_trace_that_would_be_too_large_is_refused() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let anyone = Address::repeat_byte(0x77);
    let call = json!({"to": anyone});
    let options = |tracer: &str| json!({"tracer": tracer, "stateOverrides": {anyone.to_string(): {"code": LOOP}}});
    let (code, message, _) = client
        .error("debug_traceCall", json!([call, "latest", options("")]))
        .await;
    assert_eq!(code, -32005);
    assert!(message.contains("callTracer"), "{message}");
    let (code, _, _) = client
        .error(
            "debug_traceCall",
            json!([call, "latest", options("erc7562Tracer")]),
        )
        .await;
    assert_eq!(code, -32005);
    let trace = client
        .ok(
            "debug_traceCall",
            json!([call, "latest", options("callTracer")]),
        )
        .await;
    assert_eq!(trace["error"], "out of gas");
}
