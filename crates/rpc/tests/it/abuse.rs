//! Clients who want too much: each is told so, and others are served as before.
//!
//! Attackers come from another address of this host than the bystander, whose calls are timed.

#[path = "abuse/answers.rs"]
mod answers;
#[path = "abuse/messages.rs"]
mod messages;
#[path = "abuse/sockets.rs"]
mod sockets;

use crate::memory::{Client, GWEI, Memory, PAYEE, sign, transaction};
use alloy_primitives::{Bytes, TxKind};
use reqwest::RequestBuilder;
use serde_json::{Value as Json, json};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Where attackers come from.
const ATTACKER: [u8; 4] = [127, 0, 0, 2];
/// Longest wait of a bystander, also on a busy machine with few cores that runs other tests.
const PATIENCE: Duration = Duration::from_secs(2);
/// Calls of a bystander that are timed.
const CALLS: usize = 50;
/// An endless loop as init code: JUMPDEST PUSH1 0 JUMP.
const ENDLESS: &str = "0x5b600056";

/// A client of `url`'s server at the address of attackers.
fn attacker() -> reqwest::Client {
    let builder = reqwest::Client::builder().local_address(IpAddr::from(ATTACKER));
    builder.build().unwrap()
}

fn post(http: &reqwest::Client, client: &Client, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = http.post(&client.url);
    request
        .header("content-type", "application/json")
        .body(body)
}

fn call(method: &str, parameters: Json) -> Json {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
}

/// Calls as a bystander does, and fails if one of them waits too long. `what` is going on is
/// printed with the times.
async fn is_served_meanwhile(client: &Client, what: &str) {
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        client.ok("eth_blockNumber", json!([])).await;
        let run = json!([{"to": PAYEE, "value": "0x0"}]);
        assert_eq!(client.ok("eth_call", run).await, "0x");
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let [median, worst] = [times[CALLS / 2], times[CALLS - 1]];
    println!("beside {what}: a call of each kind took {median:?}, at worst {worst:?}");
    assert!(worst < PATIENCE, "{what}: {worst:?}");
}

/// A chain whose newest block is large: about 5 MB as JSON.
async fn with_large_block() -> (Memory, Client) {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    for nonce in 0..20 {
        let input = Bytes::from(vec![0; 120 * 1024]);
        let mut large = transaction(0, nonce, TxKind::Call(PAYEE), 0, input);
        large.gas_limit = 1_400_000;
        large.max_fee_per_gas = 2 * GWEI;
        client
            .ok("eth_sendRawTransaction", json!([sign(0, large)]))
            .await;
    }
    memory.mine();
    (memory, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bystander_alone() {
    let client = Client::start(&Memory::new()).await;
    is_served_meanwhile(&client, "nothing").await;
}
