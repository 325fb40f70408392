//! The faucet from a developer's side: what it gives, to whom, how often, and what it says.

use crate::memory::{Client, GWEI, Memory, signer};
use alloy_primitives::{Address, U256, address};
use og_rpc::{Access, Faucet, app};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::time::Duration;

const BOB: Address = address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
const OPG: u64 = 10;

/// A faucet that pays from the account of signer `from`, on a chain that makes blocks by itself.
async fn faucet(from: u8) -> (Memory, Client) {
    let memory = Memory::new();
    let faucet = Faucet::new(signer(from), OPG);
    let mut registry = Registry::default();
    let access = Access::default();
    let app = app(memory.clone(), access, Some(faucet), &mut registry).unwrap();
    let miner = memory.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            miner.mine();
        }
    });
    (memory, Client::serve(app).await)
}

/// Sends a request; status, `Retry-After` and body of the answer.
async fn ask(client: &Client, body: String) -> (u16, Option<u64>, Value) {
    let request = reqwest::Client::new().post(format!("{}/faucet", client.url));
    let response = request.body(body).send().await.unwrap();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    (status, retry_after, body)
}

async fn ask_for(client: &Client, to: Address) -> (u16, Option<u64>, Value) {
    ask(client, json!({ "address": to }).to_string()).await
}

async fn balance(client: &Client, of: Address) -> U256 {
    let balance = client.ok("eth_getBalance", json!([of, "latest"])).await;
    serde_json::from_value(balance).unwrap()
}

#[tokio::test]
async fn who_asks_has_the_tokens_when_the_answer_comes() {
    let (_, client) = faucet(0).await;
    let (status, _, gift) = ask_for(&client, BOB).await;
    assert_eq!(status, 200, "{gift}");
    assert_eq!((&gift["to"], &gift["opg"]), (&json!(BOB), &json!(OPG)));
    let whole = U256::from(OPG) * U256::from(GWEI) * U256::from(GWEI);
    assert_eq!(balance(&client, BOB).await, whole);
    let hash = &gift["transactionHash"];
    let receipt = client.ok("eth_getTransactionReceipt", json!([hash])).await;
    let block = format!("{:#x}", gift["blockNumber"].as_u64().unwrap());
    assert_eq!(
        (&receipt["status"], &receipt["blockNumber"]),
        (&json!("0x1"), &json!(block))
    );
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let (_, client) = faucet(0).await;
    assert_eq!(ask_for(&client, BOB).await.0, 200);
    let (status, retry_after, body) = ask_for(&client, BOB).await;
    assert_eq!(status, 429, "{body}");
    let wait = retry_after.unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("this address"), "{error}");
    // Many at once, each to another address: the client's limit, and as many transfers as answers.
    let all = (1..=20).map(|last| {
        let client = &client;
        async move { ask_for(client, Address::repeat_byte(last)).await }
    });
    let all = futures::future::join_all(all).await;
    let given = all.iter().filter(|(status, ..)| *status == 200).count();
    assert_eq!(given, 9, "{all:?}");
    for (status, retry_after, body) in all {
        let to = body["to"].as_str().map(|to| to.parse().unwrap());
        match to {
            Some(to) => assert!(!balance(&client, to).await.is_zero()),
            None => {
                assert_eq!(status, 429, "{body}");
                assert!(retry_after.is_some_and(|wait| (1..=6).contains(&wait)));
                let error = body["error"].as_str().unwrap();
                assert!(error.starts_with("your IP address"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn requests_that_name_no_address_are_explained_and_cost_nothing() {
    let (_, client) = faucet(0).await;
    let mistyped = BOB.to_string().replace("C8", "C9");
    for (body, expected) in [
        (String::new(), "not JSON"),
        ("{".to_owned(), "not JSON"),
        (json!({ "to": BOB }).to_string(), "not JSON"),
        (json!({ "address": 1 }).to_string(), "not JSON"),
        (json!({ "address": "bob" }).to_string(), "none"),
        (json!({ "address": mistyped }).to_string(), "mistyped"),
        (json!({ "address": Address::ZERO }).to_string(), "zero"),
        ("\u{0}\u{ffff}".to_owned(), "not JSON"),
    ] {
        let (status, _, answer) = ask(&client, body.clone()).await;
        assert_eq!(status, 400, "{body}: {answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(expected), "{body}: {error}");
    }
    let (status, ..) = ask(&client, "x".repeat(2000)).await;
    assert_eq!(status, 413);
    let get = reqwest::get(format!("{}/faucet", client.url))
        .await
        .unwrap();
    assert_eq!(get.status().as_u16(), 405);
    // Nothing of this counts.
    assert_eq!(ask_for(&client, BOB).await.0, 200);
}

#[tokio::test]
async fn an_empty_faucet_says_which_account_to_fill() {
    let (_, client) = faucet(7).await;
    let (status, _, body) = ask_for(&client, BOB).await;
    assert_eq!(status, 503);
    let error = body["error"].as_str().unwrap();
    let account = signer(7).address().to_string();
    assert!(
        error.contains("empty") && error.contains(&account),
        "{error}"
    );
}

#[tokio::test]
async fn without_configuration_there_is_no_faucet() {
    let client = Client::start(&Memory::new()).await;
    assert_eq!(ask_for(&client, BOB).await.0, 404);
}

#[tokio::test]
async fn pages_may_ask_where_they_may_use_json_rpc() {
    let page = "https://app.example.org";
    for (origins, allowed) in [(&[][..], None), (&["*".to_owned()][..], Some("*"))] {
        let access = Access::new(&[], origins, &[]).unwrap();
        let faucet = Faucet::new(signer(0), OPG);
        let mut registry = Registry::default();
        let app = app(Memory::new(), access, Some(faucet), &mut registry).unwrap();
        let client = Client::serve(app).await;
        let request = reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, format!("{}/faucet", client.url))
            .header("origin", page)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let response = request.send().await.unwrap();
        let header = response.headers().get("access-control-allow-origin");
        let header = header.map(|value| value.to_str().unwrap());
        assert_eq!(header, allowed);
    }
}
