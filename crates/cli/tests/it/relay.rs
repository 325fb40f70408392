//! The relay of a network, which finds the gateway in the chain's registry.

use super::{
    cluster::{Cluster, VALIDATORS},
    support::one_network,
};
use alloy_primitives::B256;
use og_node::keys::read_gateway_identity;
use serde_json::Value;

/// What a relay answers to a request for a gateway.
fn ask(url: &str, tee_id: B256) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "message/ohttp-req")
            .header("x-tee-id", tee_id.to_string())
            .body("sealed");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    })
}

#[test]
fn a_relay_knows_the_gateways_of_the_chain() {
    let _one = one_network();
    let mut cluster = Cluster::unstarted("127.0.0.1");
    let identity = read_gateway_identity(&cluster.path("gateway/identity.key")).unwrap();
    // It waits for the chain, however early it is started.
    cluster.start_node("relay");
    for name in VALIDATORS {
        cluster.start_node(name);
    }
    cluster.wait_ready("relay");
    let readiness = cluster.readiness("relay").unwrap();
    assert_eq!(readiness["checks"][1]["detail"], "1 gateways");

    let relay = cluster.endpoints()["relay"].as_str().unwrap().to_owned();
    let url = format!("{relay}/api/v1/chat/ohttp");
    // The gateway does not run; of another one nobody knows.
    let (status, body) = ask(&url, identity.signing.tee_id());
    assert_eq!(status, 502, "{body}");
    assert!(body["error"].is_string(), "{body}");
    let (status, body) = ask(&url, B256::ZERO);
    assert_eq!(status, 404, "{body}");

    cluster.start_node("inference-0");
    cluster.start_node("gateway");
    cluster.wait_ready("gateway");
    let (status, body) = ask(&url, identity.signing.tee_id());
    assert_eq!(status, 400, "{body}");
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("encapsulated"), "{error}");
    cluster.stop("relay");
}
