//! What OpenGradient's operators ask a gateway beside answers, and what is refused with a reason.

use crate::network::{Conduct, Gateway, Node, Policy, Validator, identity};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use og_opengradient::ohttp;
use serde_json::{Value, json};

async fn gateway(directory: &std::path::Path) -> Gateway {
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    Gateway::start(directory, &[&node.url], &[&validator.url]).await
}

#[tokio::test]
async fn evidence_is_given_for_a_nonce_and_marked_simulated() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(directory.path()).await;
    let nonce = "0123456789abcdef0123456789abcdef01234567";
    let path = format!("/enclave/attestation?nonce={nonce}");
    let document = gateway.get(&path).await.text().await.unwrap();
    let document = BASE64_STANDARD.decode(document).unwrap();
    let has = |bytes: &[u8]| document.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"simulated evidence"));
    assert!(has(&alloy_primitives::hex::decode(nonce).unwrap()));
    assert!(has(identity().signing.public_key()));
    for query in ["", "?nonce=", "?nonce=12", "?nonce=zz", "?nonce=%00"] {
        let response = gateway.get(&format!("/enclave/attestation{query}")).await;
        assert_eq!(response.status(), 400, "{query}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["param"], "nonce");
    }
}

#[tokio::test]
async fn what_the_gateway_does_not_do_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(directory.path()).await;
    let heartbeats = gateway.get("/heartbeat/status").await;
    let heartbeats: Value = heartbeats.json().await.unwrap();
    assert_eq!(heartbeats["enabled"], false);
    assert!(heartbeats["reason"].is_string());
    for (path, body, status, reason) in [
        (
            "/v1/web_search",
            json!({"query": "frogs"}),
            503,
            "web search",
        ),
        ("/v1/keys", json!({"openai_api_key": "sk-1"}), 403, "keys"),
    ] {
        let response = gateway.send(path, &body, &[]).await;
        assert_eq!(response.status(), status);
        let error: Value = response.json().await.unwrap();
        let error = error["error"].as_str().unwrap();
        assert!(error.contains(reason) && !error.contains("sk-1"), "{error}");
    }
}

#[tokio::test]
async fn a_sealed_search_is_refused_as_one_that_is_not_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(directory.path()).await;
    let body = json!({"endpoint": "web_search", "query": "frogs"}).to_string();
    let config = identity().ohttp.config();
    let (sealed, opener) = ohttp::seal_request(&config, body.as_bytes(), &mut rand::rng()).unwrap();
    let response = gateway.post_sealed(sealed, false).await;
    assert_eq!(response.status(), 200);
    let opened = opener.open(&response.bytes().await.unwrap()).unwrap();
    let opened: Value = serde_json::from_slice(&opened).unwrap();
    assert_eq!(opened["status"], 503);
    assert!(opened["body"]["error"].as_str().unwrap().contains("search"));

    // What does not open is refused to the relay, in the words that clients read.
    let response = gateway.post_sealed(b"no request".to_vec(), false).await;
    assert_eq!(response.status(), 400);
    let error: Value = response.json().await.unwrap();
    assert!(error["error"].is_string(), "{error}");
}
