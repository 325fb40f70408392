//! What an account has, asked of a validator that may lie.

use super::support::{Devnet, answer_once, og, og_fails, og_json, post, rpc};
use super::transactions::{BOX, balance};
use alloy_primitives::U256;
use serde_json::{Value, json};

/// Slots that are asked for; the contract has its values in some of them.
const SLOTS: [&str; 3] = ["0", "1", "0x2"];

/// A validator that changes what it is asked, and what an honest one has answered; its address.
fn liar(honest: &str, twist: fn(&mut Value), lie: fn(&mut Value)) -> String {
    let honest = honest.to_owned();
    let address = answer_once(move |_, body| {
        let mut question: Value = serde_json::from_slice(&body).unwrap();
        twist(&mut question["params"]);
        let (_, answer) = post(&honest, question.to_string());
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        lie(&mut answer["result"]);
        answer
    });
    format!("http://{address}")
}

/// A question, to one validator.
fn of<'a>(ask: &[&'a str], validator: &'a str) -> Vec<&'a str> {
    [ask, &[validator]].concat()
}

pub(super) fn a_proof_of_state_is_fetched_and_judged(network: &Devnet) {
    let url = network.endpoints()["rpc"].as_str().unwrap().to_owned();
    let genesis = network.file("genesis.json");
    let deployed = network.og(&["tx", "deploy", BOX, "a box", "7", "--value", "3wei"]);
    let contract = deployed["contractAddress"].as_str().unwrap();
    let ask = [&["verify", "state", contract], &SLOTS[..]].concat();
    let ask = [&ask[..], &["--genesis", &genesis, "--rpc"]].concat();

    let proven = og_json(of(&ask, &url));
    assert_eq!(proven["valid"], true);
    let has: U256 = serde_json::from_value(proven["balance"].clone()).unwrap();
    assert_eq!(has, balance(network, contract));
    let values: Vec<_> = SLOTS
        .iter()
        .map(|slot| {
            let slot: U256 = slot.parse().unwrap();
            rpc(&url, "eth_getStorageAt", json!([contract, slot, "latest"]))
        })
        .collect();
    let seven = json!(format!("0x{:064x}", 7));
    assert!(values.contains(&seven), "{values:?}");
    for (slot, value) in proven["storage"].as_array().unwrap().iter().zip(&values) {
        assert_eq!(&slot["value"], value);
    }
    assert!(proven["height"].as_u64().unwrap() > 0);
    assert!(proven["signers"].as_array().unwrap().len() >= 3);
    let shown = String::from_utf8(og(of(&ask, &url)).stdout).unwrap();
    for part in ["checked", "vouched", "slot 1", "signed by", "s old"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }

    // What a validator says beside its proof is not looked at.
    let boaster = liar(&url, |_| {}, |result| result["balance"] = json!("0xffff"));
    assert_eq!(og_json(of(&ask, &boaster))["balance"], proven["balance"]);
    let forger = liar(
        &url,
        |_| {},
        |result| {
            let proof = result["proof"].as_str().unwrap();
            let (start, end) = proof.split_at(proof.len() - 1);
            let digit = if end == "0" { "1" } else { "0" };
            result["proof"] = json!(format!("{start}{digit}"));
        },
    );
    let error = og_fails(of(&ask, &forger));
    assert!(error.contains("does not verify: proof"), "{error}");
    let evader = liar(
        &url,
        |asked| asked[0] = json!("0x00000000000000000000000000000000000000ee"),
        |_| {},
    );
    let error = og_fails(of(&ask, &evader));
    assert!(error.contains("something else"), "{error}");
}
