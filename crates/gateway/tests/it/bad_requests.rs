//! Requests that cannot be served: each gets a status, a name and a sentence, never silence.

use crate::network::{Conduct, Gateway, Node, Policy, Validator};
use axum::http::StatusCode;
use og_gateway::{
    GatewayConfig, ServeError, StoreError,
    config::{DEFAULT_ADDRESS_LIMITS, MAX_BODY_BYTES},
    serve,
};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};

/// A request, the status it deserves, the error's `code` and its `param`.
type Case = (String, u16, &'static str, Option<&'static str>);

fn cases() -> Vec<Case> {
    let x = json!({"x": [[1, 2]]});
    let text = |value: Value| value.to_string();
    vec![
        (String::new(), 400, "invalid_json", None),
        ("{".to_owned(), 400, "invalid_json", None),
        ("[]".to_owned(), 400, "invalid_json", None),
        ("\u{0}\u{1}".to_owned(), 400, "invalid_json", None),
        ("[".repeat(100_000), 400, "invalid_json", None),
        (
            format!("{} x", json!({"model": "double", "inputs": x})),
            400,
            "invalid_json",
            None,
        ),
        (text(json!({"inputs": x})), 400, "invalid_json", None),
        (
            text(json!({"model": 7, "inputs": x})),
            400,
            "invalid_json",
            Some("model"),
        ),
        (
            text(json!({"model": "double", "inputs": x, "tier": "proven"})),
            400,
            "invalid_json",
            Some("tier"),
        ),
        (
            text(json!({"model": "double", "inputs": x, "request_id": "0x12"})),
            400,
            "invalid_json",
            Some("request_id"),
        ),
        (
            text(json!({"model": "double", "inputs": x, "seed": -1})),
            400,
            "invalid_json",
            Some("seed"),
        ),
        (
            text(json!({"model": "double", "inputs": x, "price": 1})),
            400,
            "invalid_json",
            Some("price"),
        ),
        (
            text(json!({"model": "nobody", "inputs": x})),
            404,
            "model_not_found",
            Some("model"),
        ),
        (
            text(json!({"model": format!("0x{}", "ab".repeat(32)), "inputs": x})),
            404,
            "model_not_found",
            Some("model"),
        ),
        (
            text(json!({"model": "double", "inputs": [1]})),
            400,
            "invalid_value",
            Some("inputs"),
        ),
        (
            text(json!({"model": "double", "inputs": {}})),
            400,
            "invalid_value",
            Some("inputs.x"),
        ),
        (
            text(json!({"model": "double", "inputs": {"y": [[1, 2]]}})),
            400,
            "invalid_value",
            Some("inputs.y"),
        ),
        (
            text(json!({"model": "double", "inputs": {"x": [1, 2]}})),
            400,
            "invalid_value",
            Some("inputs.x"),
        ),
        (
            text(json!({"model": "double", "inputs": {"x": [["a", 2]]}})),
            400,
            "invalid_value",
            Some("inputs.x"),
        ),
        (
            text(json!({"model": "double", "inputs": {"x": [[1], [2, 3]]}})),
            400,
            "invalid_value",
            Some("inputs.x"),
        ),
        (
            text(
                json!({"model": "double", "inputs": {"x": {"shape": [1, 2], "dtype": "i64", "data": [1, 2]}}}),
            ),
            400,
            "invalid_value",
            Some("inputs.x"),
        ),
        (" ".repeat(MAX_BODY_BYTES + 1), 413, "body_too_large", None),
    ]
}

#[tokio::test]
async fn every_bad_request_is_told_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    for (request, status, code, param) in cases() {
        let (found, body) = gateway.post(request.clone()).await;
        let shown: String = request.chars().take(100).collect();
        assert_eq!(found, status, "{shown}: {body}");
        assert_eq!(body["error"]["code"], code, "{shown}: {body}");
        assert_eq!(body["error"]["param"], json!(param), "{shown}: {body}");
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
        let kind = if status == 404 {
            "not_found_error"
        } else {
            "invalid_request_error"
        };
        assert_eq!(body["error"]["type"], kind, "{shown}: {body}");
    }
    assert_eq!(node.job_count(), 0);
    assert_eq!(gateway.infer().await.0, 200, "it still serves");
}

#[tokio::test]
async fn wrong_paths_and_receipts_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let unknown = format!("/v1/receipts/0x{}", "00".repeat(32));
    for (path, status, code) in [
        ("/v1/receipts/0x12", 400, "invalid_value"),
        ("/v1/receipts/%ff", 400, "invalid_value"),
        (unknown.as_str(), 404, "receipt_not_found"),
        ("/v1/nothing", 404, "no_such_path"),
        ("/v1/infer", 405, "method_not_allowed"),
    ] {
        let response = gateway.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], code, "{path}");
    }
}

#[tokio::test]
async fn a_request_id_is_used_once() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let id = format!("0x{}", "a1".repeat(32));
    let request = json!({"model": "double", "inputs": {"x": [[1, 2]]}, "request_id": id});
    let answers =
        futures::future::join_all((0..8).map(|_| gateway.post(request.to_string()))).await;
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(served, 1);
    for (status, body) in answers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!(
            (*status, &body["error"]["code"]),
            (409, &json!("request_id_used"))
        );
    }
    assert_eq!(node.job_count(), 1);
    gateway
        .receipt(&json!({"receipt_url": format!("/v1/receipts/{id}")}))
        .await;
    assert_eq!(gateway.post(request.to_string()).await.0, 409);
}

#[tokio::test]
async fn what_a_node_says_of_the_request_reaches_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Fails(StatusCode::UNPROCESSABLE_ENTITY)).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let (status, body) = gateway.infer().await;
    assert_eq!(status, 422);
    assert_eq!(body["error"]["message"], "the node says no");
}

#[tokio::test]
async fn bytes_that_are_not_http_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let address = gateway.url.trim_start_matches("http://").to_owned();
    tokio::task::spawn_blocking(move || {
        for garbage in [
            &b"\0\xff\xfe"[..],
            b"GET",
            b"POST /v1/infer HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        ] {
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            stream.write_all(garbage).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
        }
    })
    .await
    .unwrap();
    assert_eq!(gateway.infer().await.0, 200);
}

#[tokio::test]
async fn a_gateway_that_lacks_something_says_what() {
    let directory = tempfile::tempdir().unwrap();
    let config = |nodes: &[&str]| GatewayConfig {
        chain_id: 1,
        genesis_hash: alloy_primitives::B256::ZERO,
        nodes: nodes.iter().map(|url| (*url).to_owned()).collect(),
        validators: vec!["http://127.0.0.1:1".to_owned()],
        data: directory.path().to_owned(),
        identity: None,
        keys: None,
        address_limits: DEFAULT_ADDRESS_LIMITS,
        trusted_proxies: vec![],
        retained_bytes: 1,
    };
    let run = async |config| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operators = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        serve(listener, None, operators, config, async {}).await
    };
    let node = "http://127.0.0.1:1";
    let missing = run(config(&[])).await;
    assert!(matches!(
        missing,
        Err(ServeError::Missing("inference node"))
    ));
    let told = run(config(&["nowhere"])).await;
    assert!(matches!(told, Err(ServeError::Address { url, .. }) if url == "nowhere"));
    run(config(&[node])).await.unwrap();
    let listener = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (plain, secure, operators) = (listener().await, listener().await, listener().await);
    let without = serve(plain, Some(secure), operators, config(&[node]), async {}).await;
    assert!(matches!(without, Err(ServeError::NoCertificate)));
    std::fs::write(directory.path().join("gateway.redb"), b"no database").unwrap();
    let damaged = run(config(&[node])).await;
    assert!(matches!(
        damaged,
        Err(ServeError::Store(StoreError::Database(_)))
    ));
}
