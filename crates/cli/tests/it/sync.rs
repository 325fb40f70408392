//! Validators that come back after long, with what they had or with nothing.

use super::{
    network::node_status,
    support::{Devnet, og_json, one_network, post, rpc, wait_for},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;

/// Farther behind than this, a validator of this network fetches state: the least that is allowed.
const STATE_SYNC_BLOCKS: u64 = 64;
/// How many blocks this network's validators keep: the fewest that are allowed.
const RETAIN_BLOCKS: u64 = 256;

#[test]
fn a_validator_comes_back_to_the_same_state_with_nothing_or_after_long() {
    let _one = one_network();
    let network = Devnet::unstarted();
    init_fast(&network);
    network.og(&["devnet", "--detach"]);
    wait_height(&network, 0, 10);

    // Emptied: only the keys are left.
    kill(&network, "validator-2");
    fs::remove_dir_all(network.file("validator-2/data")).unwrap();
    let height = wait_height(&network, 0, 10 + 2 * STATE_SYNC_BLOCKS);
    network.og(&["devnet", "--detach"]);
    let oldest = same_state(&network, 2, height);
    assert!(oldest >= height, "it replayed blocks from {oldest}");

    // Away: it has all that it had.
    kill(&network, "validator-1");
    let left_at = height_of(&network, 0);
    let height = wait_height(&network, 0, left_at + 2 * STATE_SYNC_BLOCKS);
    network.og(&["devnet", "--detach"]);
    let oldest = same_state(&network, 1, height);
    assert!(oldest >= height, "it replayed blocks from {oldest}");

    // What is not kept is said not to be, by who has skipped it and by who has pruned it.
    wait_height(&network, 0, RETAIN_BLOCKS + 20);
    for validator in [0, 1, 2] {
        let url = network.endpoints()["rpcs"][validator].clone();
        let answer = ask(&url, "eth_getBlockByNumber", json!(["0x1", false]));
        assert_eq!(answer["error"]["code"], 4444, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("archive = true"), "{message}");
    }
}

/// Makes a network of short epochs and quick blocks, whose validators keep little.
fn init_fast(network: &Devnet) {
    let (dir, port) = (network.dir(), network.base_port.to_string());
    og_json([
        "network",
        "init",
        "--dir",
        &dir,
        "--base-port",
        &port,
        "--epoch-length",
        "40",
    ]);
    for validator in 0..4 {
        let path = network.file(&format!("validator-{validator}/config.toml"));
        let mut text = fs::read_to_string(&path).unwrap();
        for (name, value) in [
            ("empty_block_interval_ms", 10),
            ("retain_blocks", RETAIN_BLOCKS),
            ("state_sync_blocks", STATE_SYNC_BLOCKS),
        ] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            text = text.replace(&line.to_owned(), &format!("{name} = {value}"));
        }
        fs::write(&path, text).unwrap();
    }
}

fn kill(network: &Devnet, name: &str) {
    let pid = node_status(network, name).0.unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    wait_for("death", || {
        node_status(network, name).0.is_none().then_some(())
    });
}

fn status(network: &Devnet, validator: usize) -> Value {
    let url = network.endpoints()["rpcs"][validator].clone();
    rpc(url.as_str().unwrap(), "og_status", json!([]))
}

fn height_of(network: &Devnet, validator: usize) -> u64 {
    status(network, validator)["height"].as_u64().unwrap()
}

fn wait_height(network: &Devnet, validator: usize, height: u64) -> u64 {
    wait_for("blocks", || {
        let now = height_of(network, validator);
        (now >= height).then_some(now)
    })
}

/// Waits until a validator is beyond `height` and has executed some blocks there, compares state
/// roots with all others, and says what its oldest block is.
fn same_state(network: &Devnet, validator: usize, height: u64) -> u64 {
    let height = wait_height(network, validator, height + 20);
    for other in 0..4 {
        wait_height(network, other, height);
    }
    let at = format!("{height:#x}");
    let found: Vec<_> = (0..4)
        .map(|index| {
            let url = network.endpoints()["rpcs"][index].clone();
            let block = rpc(
                url.as_str().unwrap(),
                "eth_getBlockByNumber",
                json!([at, false]),
            );
            (block["hash"].clone(), block["stateRoot"].clone())
        })
        .collect();
    assert!(found[0].1.is_string());
    assert!(found.iter().all(|block| *block == found[0]), "{found:?}");
    status(network, validator)["oldestHeight"].as_u64().unwrap()
}

/// Calls a method and returns the whole answer.
fn ask(url: &Value, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (_, answer) = post(url.as_str().unwrap(), request.to_string());
    serde_json::from_str(&answer).unwrap()
}
