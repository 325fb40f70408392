//! The committed OpenAPI description is what the handlers say.

use crate::network::{Conduct, Gateway, Node, Policy, Validator};
use serde_json::Value;
use std::path::PathBuf;

/// Set to write the description instead of comparing it.
const REGENERATE: &str = "OG_REGENERATE_OPENAPI";

#[test]
fn the_committed_description_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../openapi/gateway.json");
    let mut current = og_gateway::openapi().to_pretty_json().unwrap();
    current.push('\n');
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == current,
        "openapi/gateway.json is out of date: run the tests once with {REGENERATE}=1"
    );
}

#[tokio::test]
async fn the_description_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let served: Value = gateway.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(served, serde_json::to_value(og_gateway::openapi()).unwrap());
    for path in ["/v1/infer", "/v1/receipts/{request_id}", "/v1/models"] {
        assert!(served["paths"][path].is_object(), "{path}");
    }
}
