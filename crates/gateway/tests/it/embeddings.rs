//! Vectors of texts: both encodings, a signed record, refusals by name.

use crate::{
    network::GENESIS,
    talks::{hello, setting},
};
use alloy_primitives::Bytes;
use og_crypto::RecordVerifier;
use og_types::{Canonical as _, SignedRecord};
use serde_json::{Value, json};

#[tokio::test]
async fn texts_become_vectors_with_a_signed_record() {
    let setting = setting(&[hello()]).await;
    let body = json!({"model": "vectors", "input": ["ab", "a"]});
    let response = setting.gateway.send("/v1/embeddings", &body, &[]).await;
    assert_eq!(response.status(), 200);
    let record_header = response.headers()["og-record"].to_str().unwrap().to_owned();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(
        answer["data"],
        json!([
            {"object": "embedding", "index": 0, "embedding": [0.5, 0.5]},
            {"object": "embedding", "index": 1, "embedding": [0.25, 0.25]},
        ])
    );
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 3, "total_tokens": 3})
    );
    let receipt = &answer["og_receipt"];
    assert_eq!(receipt["relayed_from"], "far.example");
    assert_eq!(receipt["seed"], 0);
    let bytes: Bytes = serde_json::from_value(receipt["record"].clone()).unwrap();
    assert_eq!(alloy_primitives::hex::encode(&bytes), record_header);
    let signed = SignedRecord::from_bytes(&bytes).unwrap();
    assert!(RecordVerifier::new(&GENESIS).verify(&signed));
    assert_eq!(setting.gateway.receipt(receipt).await.status(), 200);
}

#[tokio::test]
async fn vectors_that_were_computed_here_are_exact_and_their_tokens_counted() {
    let setting = setting(&[hello()]).await;
    let body = json!({"model": "near", "input": ["abc", "de"]});
    let response = setting.gateway.send("/v1/embeddings", &body, &[]).await;
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"][1]["embedding"], json!([0.5, -0.75]));
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 5, "total_tokens": 5})
    );
    let receipt = &answer["og_receipt"];
    assert_eq!(receipt["computed"], "exact");
    assert_eq!(receipt["relayed_from"], Value::Null);
    assert_eq!(setting.gateway.receipt(receipt).await.status(), 200);
}

#[tokio::test]
async fn an_answer_with_too_few_vectors_is_the_nodes_fault() {
    let setting = setting(&[hello()]).await;
    let body = json!({"model": "near", "input": ["same", "same"]});
    let response = setting.gateway.send("/v1/embeddings", &body, &[]).await;
    assert_eq!(response.status(), 502);
    let error: Value = response.json().await.unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("1 for 2"), "{message}");
}

#[tokio::test]
async fn vectors_come_as_they_are_asked_for() {
    let setting = setting(&[hello()]).await;
    let body =
        json!({"model": "vectors", "input": "ab", "encoding_format": "base64", "dimensions": 1});
    let response = setting.gateway.send("/v1/embeddings", &body, &[]).await;
    let answer: Value = response.json().await.unwrap();
    // 0.5, the least significant byte first.
    assert_eq!(answer["data"][0]["embedding"], "AAAAPw==");
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused_by_name() {
    let setting = setting(&[hello()]).await;
    for (model, input, dimensions, status, param) in [
        ("vectors", json!("ab"), json!(9), 400, "dimensions"),
        ("vectors", json!([[1, 2]]), Value::Null, 400, "input"),
        ("gpt-5", json!("ab"), Value::Null, 404, "model"),
        ("nobody", json!("ab"), Value::Null, 404, "model"),
    ] {
        let body = json!({"model": model, "input": input, "dimensions": dimensions});
        let response = setting.gateway.send("/v1/embeddings", &body, &[]).await;
        assert_eq!(response.status(), status);
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["param"], param, "{error}");
    }
    let chat = json!({"model": "vectors", "messages": [{"role": "user", "content": "Hi"}]});
    let response = setting
        .gateway
        .send("/v1/chat/completions", &chat, &[])
        .await;
    let error: Value = response.json().await.unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("/v1/embeddings"), "{message}");
}

#[tokio::test]
async fn the_list_of_models_says_what_each_is_for() {
    let setting = setting(&[hello()]).await;
    let list: Value = setting
        .gateway
        .get("/v1/models")
        .await
        .json()
        .await
        .unwrap();
    let tasks = list["data"].as_array().unwrap().iter();
    let tasks: Vec<_> = tasks.map(|model| model["task"].as_str().unwrap()).collect();
    assert_eq!(
        tasks,
        [
            "language",
            "tensors",
            "embeddings",
            "language",
            "embeddings"
        ]
    );
}
