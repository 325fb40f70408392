//! Which gateways a relay knows, and from whom.

use crate::{
    chain::{CHAIN_ID, Chain},
    gateway::Gateway,
    support::{Relay, error, sealed},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn a_node_that_is_dead_or_of_another_chain_gives_way_to_the_next() {
    let gateway = Gateway::begin().await;
    let mut elsewhere = gateway.row.clone();
    elsewhere.endpoint = "https://127.0.0.1:1".to_owned();
    let other_chain = Chain::begin(CHAIN_ID + 1, vec![elsewhere]).await;
    let chain = Chain::begin(CHAIN_ID, vec![gateway.row.clone()]).await;
    let rpc = vec!["http://127.0.0.1:1".to_owned(), other_chain.url, chain.url];
    let relay = Relay::begin(rpc).await;
    let (response, _) = relay.ask("question").await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn without_a_registry_a_relay_is_not_ready_and_says_so() {
    let relay = Relay::begin(vec!["http://127.0.0.1:1".to_owned()]).await;
    let (response, _) = relay.ask("question").await;
    let (status, text) = error(response).await;
    assert_eq!(
        (status, text.as_str()),
        (503, "the relay cannot read the registry: try again later")
    );
    let ready = reqwest::get(format!("{}/readyz", relay.operators))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 503);
}

#[tokio::test]
async fn gateways_that_come_are_found_and_those_that_go_are_forgotten() {
    let gateway = Gateway::begin().await;
    let chain = Chain::begin(CHAIN_ID, vec![]).await;
    let relay = Relay::begin(vec![chain.url.clone()]).await;
    let (response, _) = relay.ask("question").await;
    assert_eq!(error(response).await.0, 404);
    chain.rows.lock().expect("rows").push(gateway.row.clone());
    // Clients cannot make a relay ask more often than this.
    sleep(Duration::from_millis(1_100)).await;
    let (response, _) = relay.ask("question").await;
    assert_eq!(response.status(), 200);
    let ready = reqwest::get(format!("{}/readyz", relay.operators))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 200);
    let figures = reqwest::get(format!("{}/metrics", relay.operators))
        .await
        .expect("an answer");
    let figures = figures.text().await.expect("text");
    assert!(figures.contains("og_relay_gateways 1"), "{figures}");

    chain.rows.lock().expect("rows").clear();
    sleep(Duration::from_millis(1_100)).await;
    // One who asks for another makes it look again.
    let unknown = relay
        .request(1, sealed("question").0)
        .build()
        .expect("a request");
    let mut unknown = unknown;
    let name = "00".repeat(32).parse().expect("a header");
    unknown.headers_mut().insert("x-tee-id", name);
    let response = reqwest::Client::new()
        .execute(unknown)
        .await
        .expect("an answer");
    assert_eq!(error(response).await.0, 404);
    let (response, _) = relay.ask("question").await;
    assert_eq!(error(response).await.0, 404);
}

#[tokio::test]
async fn rows_that_cannot_be_used_are_passed_over() {
    let gateway = Gateway::begin().await;
    let row = &gateway.row;
    let with = |change: fn(&mut crate::chain::Row), number: u8| {
        let mut row = row.clone();
        row.public_key = vec![number];
        change(&mut row);
        row
    };
    let rows = vec![
        with(|row| row.endpoint = "http://127.0.0.1".to_owned(), 1),
        with(|row| row.endpoint = "https://".to_owned(), 2),
        with(|row| row.endpoint = "https://host/?query=".to_owned(), 3),
        with(|row| row.endpoint = "\u{0}".to_owned(), 4),
        with(|row| row.certificate = vec![0x30], 5),
        with(|row| row.ohttp_key.clear(), 6),
        row.clone(),
    ];
    let chain = Chain::begin(CHAIN_ID, rows).await;
    let relay = Relay::begin(vec![chain.url]).await;
    let (response, _) = relay.ask("question").await;
    assert_eq!(response.status(), 200);
    let ready = reqwest::get(format!("{}/readyz", relay.operators))
        .await
        .expect("an answer");
    let ready: Value = ready.json().await.expect("JSON");
    assert_eq!(ready["checks"][1]["detail"], "1 gateways");
}
