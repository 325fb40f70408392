//! What becomes of records: final, refused, expired, replaced; and across a restart.

use crate::network::{Conduct, Gateway, Node, Policy, Validator, dead_url};
use serde_json::Value;

/// Has a record signed with this conduct settled by these validators; the receipt's status and
/// the error's message.
async fn fate(conduct: Conduct, validators: &[&str]) -> (u16, String) {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, conduct).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], validators).await;
    let (status, answer) = gateway.infer().await;
    assert_eq!(status, 200, "{answer}");
    let response = gateway.receipt(&answer).await;
    let status = response.status().as_u16();
    let body: Option<Value> = serde_json::from_slice(&response.bytes().await.unwrap()).ok();
    let message = body.map_or_else(String::new, |body| {
        body["error"]["message"].as_str().unwrap().to_owned()
    });
    (status, message)
}

#[tokio::test]
async fn a_record_that_all_refuse_is_gone() {
    let validator = Validator::start(Policy::Refuses).await;
    let (status, message) = fate(Conduct::Honest, &[&validator.url]).await;
    assert_eq!(status, 410);
    assert_eq!(message, "the node is not registered");
}

#[tokio::test]
async fn one_validator_cannot_refuse_for_all() {
    let liar = Validator::start(Policy::Refuses).await;
    let honest = Validator::start(Policy::Admits).await;
    let dead = dead_url().await;
    let validators = [liar.url.as_str(), &dead, &honest.url];
    assert_eq!(fate(Conduct::Honest, &validators).await.0, 200);
}

#[tokio::test]
async fn a_record_that_is_never_admitted_expires() {
    for policy in [Policy::Stalls, Policy::Busy] {
        let validator = Validator::start(policy).await;
        let (status, message) = fate(Conduct::ValidFor(1_500), &[&validator.url]).await;
        assert_eq!(status, 410);
        assert!(message.contains("expired"), "{message}");
    }
}

#[tokio::test]
async fn a_record_that_another_one_replaced_is_gone() {
    let validator = Validator::start(Policy::Replaces).await;
    let (status, message) = fate(Conduct::Honest, &[&validator.url]).await;
    assert_eq!(status, 410);
    assert!(message.contains("another record"), "{message}");
}

#[tokio::test]
async fn a_busy_validator_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let validator = Validator::start(Policy::Busy).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let (_, answer) = gateway.infer().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(validator.submitted(), 0);
    validator.set_policy(Policy::Admits);
    assert_eq!(gateway.receipt(&answer).await.status(), 200);
}

#[tokio::test]
async fn a_restarted_gateway_delivers_what_it_owes() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(1, Conduct::Honest).await;
    let dead = dead_url().await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&dead]).await;
    let (status, answer) = gateway.infer().await;
    assert_eq!(status, 200, "{answer}");
    let path = answer["receipt_url"].as_str().unwrap();
    assert_eq!(gateway.get(path).await.status(), 202);
    gateway.stop().await;

    let validator = Validator::start(Policy::Admits).await;
    let gateway = Gateway::start(directory.path(), &[&node.url], &[&validator.url]).await;
    let receipt = gateway.receipt(&answer).await.bytes().await.unwrap();
    gateway.stop().await;

    // Once final, it needs neither nodes nor validators.
    let gateway = Gateway::start(directory.path(), &[&dead], &[&dead]).await;
    let again = gateway.receipt(&answer).await;
    assert_eq!(again.status(), 200);
    assert_eq!(again.bytes().await.unwrap(), receipt);
    assert_eq!(node.job_count(), 1);
}
