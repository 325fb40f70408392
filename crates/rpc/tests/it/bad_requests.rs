//! Requests that make no sense: a JSON-RPC error for each, and the server stays up.

use crate::memory::{Client, Memory};
use og_rpc::{
    Access, app,
    server::{MAX_BATCH, MAX_REQUEST_BYTES},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::{Value, json};

const METHODS: [&str; 21] = [
    "eth_chainId",
    "net_version",
    "web3_clientVersion",
    "eth_blockNumber",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_call",
    "eth_estimateGas",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_getTransactionByHash",
    "og_submitRecords",
    "og_getRecordProof",
    "og_getRecordProofs",
    "og_status",
];

#[tokio::test]
async fn nonsense_in_any_parameter_is_an_error_or_an_answer() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let nonsense = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!("0x"),
        json!("0x0"),
        json!("0xzz"),
        json!("latest"),
        json!(format!("0x{}", "ff".repeat(20))),
        json!(format!("0x{}", "ff".repeat(32))),
        json!(format!("0x{}", "ff".repeat(33))),
        json!([[]]),
        json!({}),
        json!({"to": "0x00", "gas": "0xffffffffffffffffffff"}),
        json!({"gas": "0xffffffffffffffff", "data": "0x5b600056"}),
    ];
    for method in METHODS {
        for first in &nonsense {
            for parameters in [
                json!([first]),
                json!([first, first]),
                json!([first, first, first, first]),
                first.clone(),
            ] {
                let call =
                    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
                let (_, body) = client.post(call.to_string()).await;
                let answer: Value = serde_json::from_str(&body).unwrap();
                let answered = answer.get("result").is_some();
                let code = answer["error"]["code"].as_i64();
                assert!(answered || code.is_some(), "{call}: {body}");
                assert_ne!(code, Some(-32603), "{call}: {body}");
            }
        }
    }
    assert_eq!(client.ok("eth_blockNumber", json!([])).await, "0x1");
}

#[tokio::test]
async fn bodies_that_are_no_calls_are_told_so() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    for (body, code) in [
        (String::new(), -32700),
        ("{".to_owned(), -32700),
        ("\u{0}".to_owned(), -32700),
        ("[".repeat(100_000), -32700),
        ("[]".to_owned(), -32600),
        ("{}".to_owned(), -32700),
        (
            json!({"jsonrpc": "2.0", "id": 1, "method": "eth_mine"}).to_string(),
            -32601,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": []})
                .to_string(),
            -32602,
        ),
    ] {
        let shown: String = body.chars().take(80).collect();
        let (_, answer) = client.post(body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
    }
    assert_eq!(client.ok("eth_blockNumber", json!([])).await, "0x1");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let long = " ".repeat(usize::try_from(MAX_REQUEST_BYTES).unwrap() + 1);
    assert_eq!(client.post(long).await.0, 413);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []});
    let batch = |calls: u32| Value::from(vec![call.clone(); usize::try_from(calls).unwrap()]);
    let (_, answer) = client.post(batch(MAX_BATCH).to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer.as_array().unwrap().len(),
        usize::try_from(MAX_BATCH).unwrap()
    );
    let (_, answer) = client.post(batch(MAX_BATCH + 1).to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["error"]["code"].is_i64(), "{answer}");
}

#[tokio::test]
async fn calls_are_counted_and_a_client_s_words_are_no_labels() {
    let mut registry = Registry::default();
    let app = app(Memory::new(), Access::default(), None, &mut registry).unwrap();
    let client = Client::serve(app).await;
    client.ok("eth_chainId", json!([])).await;
    client.error("eth_getBalance", json!([])).await;
    client.error("eth_mine", json!([])).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []});
    client.post(json!([call, call]).to_string()).await;
    client.post("{").await;
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        r#"rpc_calls_total{method="eth_chainId",outcome="ok"} 1"#,
        r#"rpc_calls_total{method="eth_getBalance",outcome="error"} 1"#,
        r#"rpc_calls_total{method="none",outcome="error"} 1"#,
        r#"rpc_calls_total{method="eth_chainId",outcome="batched"} 2"#,
        r#"http_requests_total{route="/",status="200"} 5"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("eth_mine"), "{text}");
}
