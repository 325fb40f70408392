//! What a client gets: an answer, then its receipt; from whichever node does its work.

use crate::network::{
    CERTIFICATE, Conduct, GENESIS, Gateway, MODEL, Node, Policy, Validator, dead_url,
};
use alloy_primitives::Bytes;
use axum::http::StatusCode;
use og_crypto::{RecordVerifier, commit_input, commit_output, merkle::verify_inclusion};
use og_types::{Canonical as _, Receipt, SignedRecord};
use serde_json::{Value, json};

#[tokio::test]
async fn an_answer_comes_with_a_receipt_that_holds() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;

    let (status, answer) = gateway.infer().await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["outputs"],
        json!({"y": {"shape": [1, 2], "dtype": "f32", "data": [3.0, -4.0]}})
    );
    assert_eq!(answer["model"], json!(MODEL));
    assert_eq!(
        (&answer["tier"], &answer["computed"]),
        (&json!("signed"), &json!("float"))
    );

    let response = gateway.receipt(&answer).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/cbor");
    let id = answer["request_id"].as_str().unwrap();
    assert_eq!(
        response.headers()["content-disposition"],
        format!("attachment; filename=\"{id}.receipt\"").as_str()
    );
    let receipt = Receipt::from_bytes(&response.bytes().await.unwrap()).unwrap();
    check(&receipt, &answer);
}

/// Checks a receipt as far as the miniature network makes it real.
fn check(receipt: &Receipt, answer: &Value) {
    let record: Bytes = serde_json::from_value(answer["record"].clone()).unwrap();
    assert_eq!(SignedRecord::from_bytes(&record).unwrap(), receipt.record);
    assert!(RecordVerifier::new(&GENESIS).verify(&receipt.record));
    let (record, opening) = (&receipt.record.record, &receipt.opening);
    assert_eq!(json!(record.request_id), answer["request_id"]);
    assert_eq!(json!(record.node), answer["node"]);
    assert_eq!(
        commit_input(&opening.salt, &opening.request),
        record.input_commitment
    );
    assert_eq!(
        commit_output(&opening.salt, &opening.response),
        record.output_commitment
    );
    verify_inclusion(
        &receipt.record.to_bytes(),
        &receipt.inclusion,
        &receipt.header.records_root,
    )
    .unwrap();
    assert_eq!(receipt.finalization.as_ref(), CERTIFICATE);
}

#[tokio::test]
async fn a_receipt_is_shown_as_json_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let (_, answer) = gateway.infer().await;
    gateway.receipt(&answer).await;
    let path = format!("{}?format=json", answer["receipt_url"].as_str().unwrap());
    let view: Value = gateway.get(&path).await.json().await.unwrap();
    assert_eq!(view["record"]["request_id"], answer["request_id"]);
    assert_eq!(view["opening"]["outputs"], answer["outputs"]);
    let unknown = format!("{}?format=xml", answer["receipt_url"].as_str().unwrap());
    assert_eq!(gateway.get(&unknown).await.status(), 400);
}

#[tokio::test]
async fn a_node_that_fails_is_passed_over() {
    for conduct in [
        Conduct::Fails(StatusCode::INTERNAL_SERVER_ERROR),
        Conduct::Fails(StatusCode::TOO_MANY_REQUESTS),
        Conduct::OtherRequest,
        Conduct::OtherResponse,
        Conduct::OtherChain,
        Conduct::Garbage,
        Conduct::ValidFor(3_600_000),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let bad = Node::start(1, conduct).await;
        let good = Node::start(2, Conduct::Honest).await;
        let validator = Validator::start(Policy::Admits).await;
        let dead = dead_url().await;
        let nodes = [dead.as_str(), &bad.url, &good.url];
        let gateway = Gateway::start(directory.path(), &nodes, &[&validator.url]).await;
        for _ in 0..2 {
            let (status, answer) = gateway.infer().await;
            assert_eq!(status, 200, "{conduct:?}: {answer}");
            assert_eq!(gateway.receipt(&answer).await.status(), 200);
        }
        // Both took a first turn, and every request ended with the good one.
        assert_eq!((bad.job_count(), good.job_count()), (1, 2), "{conduct:?}");
        assert_eq!(validator.submitted(), 2);
    }
}

#[tokio::test]
async fn an_unsound_answer_is_neither_passed_on_nor_submitted() {
    for conduct in [
        Conduct::OtherRequest,
        Conduct::OtherResponse,
        Conduct::OtherChain,
        Conduct::Garbage,
        Conduct::HangsUp,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::start(1, conduct).await;
        let validator = Validator::start(Policy::Admits).await;
        let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
        let (status, answer) = gateway.infer().await;
        assert_eq!(status, 502, "{conduct:?}: {answer}");
        assert_eq!(answer["error"]["code"], "no_answer");
        // Clients need not know where nodes are.
        assert!(!answer.to_string().contains("127.0.0.1"), "{answer}");
        assert_eq!(validator.submitted(), 0);
    }
}

#[tokio::test]
async fn nodes_take_turns() {
    let directory = tempfile::tempdir().unwrap();
    let first = Node::start(1, Conduct::Honest).await;
    let second = Node::start(2, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(
        directory.path(),
        &[&first.url, &second.url],
        &[&validator.url],
    )
    .await;
    for _ in 0..4 {
        assert_eq!(gateway.infer().await.0, 200);
    }
    assert_eq!((first.job_count(), second.job_count()), (2, 2));
}

#[tokio::test]
async fn models_and_readiness_follow_the_nodes() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let twin = Node::start(2, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway =
        Gateway::start(directory.path(), &[&node.url, &twin.url], &[&validator.url]).await;
    let list: Value = gateway.get("/v1/models").await.json().await.unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], "double");
    assert_eq!(list["data"][0]["object"], "model");
    assert_eq!(list["data"][0]["hash"], json!(MODEL));
    assert_eq!(list["data"][0]["nodes"], 2);
    assert_eq!(
        list["data"][0]["inputs"],
        json!([{"name": "x", "dtype": "f32", "shape": [1, 2]}])
    );
    assert_eq!(gateway.ask_as_operator("/readyz").await.status(), 200);

    let elsewhere = tempfile::tempdir().unwrap();
    let dead = dead_url().await;
    let lonely = Gateway::start(elsewhere.path(), &[&dead], &[&dead]).await;
    assert_eq!(lonely.ask_as_operator("/healthz").await.status(), 200);
    let response = lonely.ask_as_operator("/readyz").await;
    assert_eq!(response.status(), 503);
    let readiness: Value = response.json().await.unwrap();
    assert_eq!(readiness["ready"], false);
    let failed: Vec<_> = readiness["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| &check["name"])
        .collect();
    assert_eq!(failed, ["inference", "chain"]);
    let (status, answer) = lonely.infer().await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("no_node")));
}

#[tokio::test]
async fn an_operator_sees_what_became_of_requests() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let (_, answer) = gateway.infer().await;
    gateway.receipt(&answer).await;
    gateway.post("{").await;
    let text = gateway.ask_as_operator("/metrics").await.text().await;
    let text = text.unwrap();
    for line in [
        r#"og_http_requests_total{route="/v1/infer",status="200"} 1"#,
        r#"og_http_requests_total{route="/v1/infer",status="400"} 1"#,
        r#"og_gateway_records_total{fate="final"} 1"#,
        "og_gateway_receipt_seconds_count 1",
        "og_gateway_pending_records 0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // The public address has none of it.
    assert_eq!(gateway.get("/metrics").await.status(), 404);
}
