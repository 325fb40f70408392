//! What people do to a network's chain without another tool, through `og tx` and the faucet.

use super::support::{Devnet, og, og_json, post, quantity, read_json, rpc, sign};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, U256, address, hex, keccak256};
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::{fs, process::Command};

pub(super) const BOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/Box.json");
const BOB: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

pub(super) fn balance(network: &Devnet, account: &str) -> U256 {
    let url = network.endpoints()["rpc"].as_str().unwrap().to_owned();
    let balance = rpc(&url, "eth_getBalance", json!([account, "latest"]));
    serde_json::from_value(balance).unwrap()
}

fn selector(signature: &str) -> String {
    hex::encode_prefixed(&keccak256(signature)[..4])
}

/// The key of a funded account, in a file of its own.
fn key_file(network: &Devnet, account: usize) -> (String, String) {
    let accounts = read_json(&network.path().join("accounts.json"));
    let key = accounts[account]["private_key"].as_str().unwrap();
    let path = network.beside("account.key");
    fs::write(&path, key).unwrap();
    let address = accounts[account]["address"].as_str().unwrap().to_owned();
    (path, address)
}

pub(super) fn og_tx_sends_and_shows_transfers(network: &Devnet) {
    let before = balance(network, BOB);
    let transfer = ["tx", "send", "--to", BOB, "--value", "1.5opg"];
    let receipt = network.og(&transfer);
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let one_and_a_half = U256::from(1_500_000_000_000_000_000_u64);
    assert_eq!(balance(network, BOB) - before, one_and_a_half);

    let hash = receipt["transactionHash"].as_str().unwrap();
    assert_eq!(network.og(&["tx", "receipt", hash]), receipt);
    let shown = og(["tx", "receipt", hash, "--dir", &network.dir()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let expected = format!("transaction {hash} succeeded");
    for part in [
        &expected,
        "  to       0x7099",
        "1.5 OPG",
        "21000 of 21000",
        ", final",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }

    // By key file and by environment, to a validator that is named.
    let rpc_url = network.endpoints()["rpcs"][1].as_str().unwrap().to_owned();
    let (key, address) = key_file(network, 3);
    let named = ["--to", BOB, "--value", "1wei", "--rpc", &rpc_url];
    let by_file = [&["tx", "send"], &named[..], &["--key", &key]].concat();
    let sender = |receipt: Value| receipt["from"].as_str().unwrap().to_lowercase();
    assert_eq!(sender(og_json(by_file)), address.to_lowercase());
    let by_environment = Command::new(env!("CARGO_BIN_EXE_og"))
        .args(["--json", "tx", "send"])
        .args(named)
        .env("OG_ACCOUNT_KEY", fs::read_to_string(&key).unwrap())
        .output()
        .unwrap();
    let receipt = serde_json::from_slice(&by_environment.stdout).unwrap();
    assert_eq!(sender(receipt), address.to_lowercase());
}

pub(super) fn og_tx_takes_nonce_gas_and_price(network: &Devnet) {
    let url = network.endpoints()["rpc"].as_str().unwrap().to_owned();
    let accounts = read_json(&network.path().join("accounts.json"));
    let next = rpc(
        &url,
        "eth_getTransactionCount",
        json!([accounts[5]["address"], "latest"]),
    );
    let next = quantity(&next);
    let (first, second) = (next.to_string(), (next + 1).to_string());
    let send = [
        "tx",
        "send",
        "--account",
        "5",
        "--to",
        BOB,
        "--value",
        "1wei",
    ];
    let later = [&send[..], &["--nonce", &second, "--no-wait"]].concat();
    let later = network.og(&later)["transactionHash"].clone();
    let terms = ["--nonce", &first, "--gas-limit", "30000", "--gas-price"];
    let terms = [&terms[..], &["7gwei", "--priority-gas-price", "2gwei"]].concat();
    let receipt = network.og(&[&send[..], &terms].concat());
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let sent = rpc(
        &url,
        "eth_getTransactionByHash",
        json!([receipt["transactionHash"]]),
    );
    for (field, expected) in [
        ("nonce", next),
        ("gas", 30_000),
        ("maxFeePerGas", 7_000_000_000),
        ("maxPriorityFeePerGas", 2_000_000_000),
    ] {
        assert_eq!(quantity(&sent[field]), expected, "{field}");
    }
    // It waited for the one before it.
    let receipt = network.og(&["tx", "receipt", later.as_str().unwrap()]);
    assert_eq!(receipt["status"], "0x1", "{receipt}");

    for (terms, expected) in [
        (
            &["--gas-price", "1gwei", "--priority-gas-price", "2gwei"][..],
            "priority",
        ),
        (&["--gas-limit", "20000"], "gas"),
        (&["--nonce", &first], "nonce too low"),
    ] {
        let error = network.og_fails(&[&send[..], terms].concat());
        assert!(error.contains(expected), "{terms:?}: {error}");
    }
}

pub(super) fn og_tx_deploys_and_calls_a_contract(network: &Devnet) {
    let deployed = network.og(&["tx", "deploy", BOX, "a box", "7", "--value", "3wei"]);
    let contract = deployed["contractAddress"].as_str().unwrap();
    let ask = |function: &str| network.og(&["tx", "call", contract, function])["values"].clone();
    assert_eq!(ask("label()(string)"), json!(["a box"]));
    assert_eq!(ask("value()(uint256)"), json!(["7"]));
    assert_eq!(balance(network, contract), U256::from(3));
    let store = |value| {
        let to = ["tx", "send", "--account", "2", "--to", contract];
        [&to[..], &["store(uint256)", value]].concat()
    };
    let stored = network.og(&store("42"));
    assert_eq!(stored["logs"][0]["address"].as_str().unwrap(), contract);
    assert_eq!(ask("value()(uint256)"), json!(["42"]));
    let raw = network.og(&["tx", "call", contract, "--data", &selector("value()")]);
    assert_eq!(raw["output"], format!("0x{:064x}", 42));

    let unlucky = network.og_fails(&store("13"));
    assert!(unlucky.contains("would revert: unlucky"), "{unlucky}");
    let too_large = network.og_fails(&store("1001"));
    let data = format!(
        "custom error {}{:064x}",
        selector("TooLarge(uint256)"),
        1000
    );
    assert!(too_large.contains(&data), "{data} is not in: {too_large}");

    let hash = send_unlucky(network, contract);
    let shown = og(["tx", "receipt", &hash, "--dir", &network.dir()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("was reverted: unlucky"), "{shown}");
}

/// A transaction that no estimate has warned of, as another tool may send it.
fn send_unlucky(network: &Devnet, contract: &str) -> String {
    let accounts = read_json(&network.path().join("accounts.json"));
    let signer: PrivateKeySigner = accounts[4]["private_key"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let url = network.endpoints()["rpc"].as_str().unwrap().to_owned();
    let store = format!("{}{:064x}", selector("store(uint256)"), 13);
    let transaction = TxEip1559 {
        chain_id: quantity(&rpc(&url, "eth_chainId", json!([]))),
        gas_limit: 100_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: contract.parse::<Address>().unwrap().into(),
        input: store.parse().unwrap(),
        ..TxEip1559::default()
    };
    let raw = sign(&signer, transaction);
    let hash = rpc(&url, "eth_sendRawTransaction", json!([raw]));
    hash.as_str().unwrap().to_owned()
}

pub(super) fn the_faucet_gives_and_then_says_when_to_come_back(network: &Devnet) {
    let url = network.endpoints()["faucet"].as_str().unwrap().to_owned();
    let account = "0x00000000000000000000000000000000000000f1";
    let ask = || post(&url, json!({ "address": account }).to_string());
    let (status, gift) = ask();
    assert_eq!(status, 200, "{gift}");
    let ten = U256::from(10).pow(U256::from(19));
    assert_eq!(balance(network, account), ten);
    let (status, answer) = ask();
    assert_eq!(status, 429, "{answer}");
    assert!(answer.contains("come back in"), "{answer}");
}

pub(super) fn og_tx_explains_what_cannot_be_done(network: &Devnet) {
    let dead = address!("0x000000000000000000000000000000000000dEaD").to_string();
    let unknown = format!("0x{:064x}", 7);
    for (arguments, expected) in [
        (
            &["send", "--to", BOB, "--value", "1000000opg"][..],
            "insufficient funds",
        ),
        (&["send", "--to", BOB], "nothing to send"),
        (
            &["send", "--to", BOB, "--value", "1wei", "--account", "99"],
            "none with number 99",
        ),
        (
            &[
                "send",
                "--to",
                BOB,
                "--value",
                "1wei",
                "--key",
                "missing.key",
            ],
            "missing.key",
        ),
        (&["call", &dead, "value()(uint256)"], "answered nothing"),
        (&["receipt", &unknown], "knows no transaction"),
    ] {
        let error = network.og_fails(&[&["tx"], arguments].concat());
        assert!(error.contains(expected), "{arguments:?}: {error}");
        let advice = ["next: ", "check the path"];
        let is_advised = advice.iter().any(|advice| error.contains(advice));
        assert!(is_advised, "{arguments:?}: {error}");
    }
}
