//! Calls and batches whose answers are long or take long.

use super::*;
use og_rpc::server::{MAX_BATCH, MAX_RESPONSE_BYTES};
use tokio::task::JoinSet;

fn large_block() -> Json {
    call("eth_getBlockByNumber", json!(["latest", true]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_bounded_in_calls_and_in_the_bytes_of_their_answers() {
    let (_memory, client) = with_large_block().await;
    let calls = usize::try_from(MAX_BATCH).unwrap();
    let http = attacker();
    let batch = Json::from(vec![call("eth_chainId", json!([])); calls + 1]);
    let answer = post(&http, &client, batch.to_string())
        .send()
        .await
        .unwrap();
    let answer: Json = answer.json().await.unwrap();
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("batch"),
        "{answer}"
    );
    let batch = Json::from(vec![large_block(); calls]).to_string();
    let mut batches = JoinSet::new();
    for _ in 0..4 {
        let request = post(&http, &client, batch.clone());
        batches.spawn(async move {
            let answer = request.send().await.unwrap().bytes().await.unwrap();
            assert!(answer.len() < usize::try_from(MAX_RESPONSE_BYTES).unwrap());
            let answer: Json = serde_json::from_slice(&answer).unwrap();
            assert!(
                answer["error"]["code"].is_i64(),
                "a batch of such blocks fits no answer"
            );
        });
    }
    is_served_meanwhile(&client, "4 batches of 100 large blocks").await;
    batches.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_never_end_have_their_gas_bounded_and_wait_for_each_other() {
    let client = Client::start(&Memory::new()).await;
    let http = attacker();
    let mut calls = JoinSet::new();
    for method in ["eth_call", "eth_estimateGas"] {
        for _ in 0..100 {
            let endless = json!([{"data": ENDLESS, "gas": "0xffffffffffffffff"}]);
            let request = post(&http, &client, call(method, endless).to_string());
            calls.spawn(async move {
                let answer: Json = request.send().await.unwrap().json().await.unwrap();
                assert!(answer["error"]["code"].is_i64(), "{answer}");
            });
        }
    }
    is_served_meanwhile(&client, "200 calls that never end").await;
    calls.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_are_bounded_in_width_and_number_and_those_of_others_stay() {
    let client = Client::start(&Memory::new()).await;
    let mine = client.ok("eth_newBlockFilter", json!([])).await;
    let http = attacker();
    let words: Vec<_> = (0..1001).map(|n| format!("0x{n:064x}")).collect();
    let addresses: Vec<_> = (0..1001).map(|n| format!("0x{n:040x}")).collect();
    for filter in [
        json!({"topics": [words]}),
        json!({"topics": [null, null, null, words]}),
        json!({"topics": [[], [], [], [], []]}),
        json!({"address": addresses}),
    ] {
        for method in ["eth_getLogs", "eth_newFilter"] {
            let (code, ..) = client.error(method, json!([filter])).await;
            assert_eq!(code, -32602, "{method}");
        }
    }
    let wide = json!({"address": addresses[1..], "topics": vec![&words[1..]; 4]});
    client.ok("eth_newFilter", json!([wide])).await;
    let narrow = json!([{"address": PAYEE}]);
    let batch = Json::from(vec![call("eth_newFilter", narrow); 100]).to_string();
    let mut batches = JoinSet::new();
    for _ in 0..100 {
        let request = post(&http, &client, batch.clone());
        batches.spawn(async move { assert_eq!(request.send().await.unwrap().status(), 200) });
    }
    is_served_meanwhile(&client, "10,000 filters").await;
    batches.join_all().await;
    client.ok("eth_getFilterChanges", json!([mine])).await;
}
