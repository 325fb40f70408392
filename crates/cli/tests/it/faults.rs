//! Real processes that die, freeze, lie about the time or are cut off: the others go on, and whoever
//! comes back has the same state.
//!
//! Each test has a short version for every change. With `OG_FAULTS_LONG` set, they take the times
//! and rounds that the promises are about.

use super::{
    cluster::{ALL, Cluster, QUIET, VALIDATORS, exists, long},
    load::{Load, ask, receipt},
    support::{EXAMPLES, og_fails, one_network, read_json, rpc, transfer, wait_for},
};
use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use rand::seq::IndexedRandom as _;
use rustix::process::Signal;
use serde_json::json;
use std::{thread, time::Duration};

/// Where Debian has the library that tells a process a wrong time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The validators but for these.
fn without(names: &[&str]) -> Vec<&'static str> {
    let others = VALIDATORS.into_iter();
    others.filter(|name| !names.contains(name)).collect()
}

#[test]
fn any_one_validator_may_be_killed_at_any_time() {
    let _one = one_network();
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster);
    let rounds = if long() { 12 } else { 2 };
    for round in 0..rounds {
        // The gateway's favorite first.
        let victim = VALIDATORS[round % VALIDATORS.len()];
        let others = without(&[victim]);
        thread::sleep(Duration::from_millis(rand::random_range(0..700)));
        cluster.kill(victim);
        let height = cluster.height(others[0]);
        for other in &others {
            cluster.wait_height(other, height + 3);
        }
        cluster.start_node(victim);
        cluster.wait_ready(victim);
        let height = cluster.height(others[0]);
        cluster.agree(&VALIDATORS, height);
    }
    let answered = load.stop();
    assert!(answered.len() > rounds, "{}", answered.len());
    for id in answered {
        assert_eq!(receipt_in_time(&cluster, &id), 200, "{id}");
    }
}

#[test]
fn a_transaction_that_waits_survives_the_death_of_all() {
    let _one = one_network();
    let mut cluster = Cluster::start();
    let account = &read_json(&cluster.path("accounts.json"))[0];
    let signer: PrivateKeySigner = account["private_key"].as_str().unwrap().parse().unwrap();
    let chain_id = cluster.endpoints()["chain_id"].as_u64().unwrap();
    let send = |cluster: &Cluster, nonce| {
        let raw = transfer(&signer, chain_id, nonce, Address::repeat_byte(0x77));
        let url = cluster.rpc_url("validator-0");
        rpc(&url, "eth_sendRawTransaction", json!([raw]))
    };
    // It waits for the one before.
    let hash = send(&cluster, 1);
    thread::sleep(Duration::from_millis(100));
    cluster.kill_all();
    cluster.start_all();
    let url = cluster.rpc_url("validator-0");
    let waiting = wait_for("the transaction in the mempool", || {
        let found = rpc(&url, "eth_getTransactionByHash", json!([hash]));
        (!found.is_null()).then_some(found)
    });
    assert!(waiting["blockNumber"].is_null(), "{waiting}");
    send(&cluster, 0);
    wait_for("the receipt of what has waited", || {
        let receipt = rpc(&url, "eth_getTransactionReceipt", json!([hash]));
        (receipt["status"] == "0x1").then_some(())
    });
}

#[test]
fn with_two_of_four_dead_nothing_becomes_final_and_nothing_is_lost() {
    let _one = one_network();
    let mut cluster = Cluster::start();
    let dead = ["validator-1", "validator-3"];
    let alive = without(&dead);
    for name in dead {
        cluster.kill(name);
    }
    // What was agreed on before may still become final.
    thread::sleep(Duration::from_secs(2));
    let height = cluster.height(alive[0]);
    let block = cluster.block(alive[0], height);
    thread::sleep(if long() { QUIET * 10 } else { QUIET });
    for name in &alive {
        assert!(cluster.height(name) <= height, "{name} finalized alone");
        let readiness = wait_for("doubt", || {
            let readiness = cluster.readiness(name)?;
            (readiness["ready"] == false).then_some(readiness)
        });
        let reasons = readiness["checks"].to_string();
        assert!(reasons.contains("1 of 3 other validators"), "{reasons}");
    }
    let gateway = cluster.readiness("gateway").unwrap();
    assert_eq!(gateway["ready"], true, "it can still answer: {gateway}");
    let (status, answer) = ask(&cluster, None);
    assert_eq!(status, 200, "{answer}");
    let id = answer["request_id"].as_str().unwrap().to_owned();
    assert_eq!(receipt(&cluster, &id).0, 202);

    cluster.start_node(dead[0]);
    cluster.wait_ready(dead[0]);
    assert_eq!(receipt_in_time(&cluster, &id), 200);
    cluster.start_node(dead[1]);
    cluster.wait_ready(dead[1]);
    let newest = cluster.height(alive[0]);
    assert!(newest > height);
    cluster.agree(&VALIDATORS, height);
    cluster.agree(&VALIDATORS, newest);
    assert_eq!(cluster.block(alive[0], height), block);
}

fn receipt_in_time(cluster: &Cluster, id: &str) -> u16 {
    wait_for("receipt", || {
        let (status, _) = receipt(cluster, id);
        (status != 202).then_some(status)
    })
}

#[test]
fn an_inference_node_or_gateway_that_dies_midway_leaves_a_clear_error_and_no_half_record() {
    let _one = one_network();
    let mut cluster = Cluster::start();
    let id = format!("0x{}", "5a".repeat(32));
    let no_record = |cluster: &Cluster| {
        let proof = rpc(
            &cluster.rpc_url("validator-0"),
            "og_getRecordProof",
            json!([id]),
        );
        assert!(proof.is_null(), "{proof}");
        assert_eq!(receipt(cluster, &id).0, 404);
    };

    // The inference node has the job, and dies before it answers.
    cluster.signal("inference-0", Signal::STOP);
    let (status, answer) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&cluster, Some(&id)));
        thread::sleep(Duration::from_secs(1));
        cluster.signal("inference-0", Signal::KILL);
        asking.join().unwrap()
    });
    cluster.reap("inference-0");
    assert_eq!(status, 502, "{answer}");
    assert_eq!(answer["error"]["code"], "no_answer", "{answer}");
    no_record(&cluster);
    let readiness = wait_for("doubt", || {
        let readiness = cluster.readiness("gateway")?;
        (readiness["ready"] == false).then_some(readiness)
    });
    assert!(
        readiness.to_string().contains("0 of 1 inference nodes"),
        "{readiness}"
    );
    cluster.start_node("inference-0");
    cluster.wait_ready("gateway");

    // The gateway dies while it waits for the node.
    cluster.signal("inference-0", Signal::STOP);
    let error = thread::scope(|scope| {
        let gateway = cluster.gateway();
        let asking = scope.spawn(move || {
            let picture = format!("{EXAMPLES}/7-1.png");
            og_fails([
                "infer",
                "--model",
                "digits",
                "--input",
                &picture,
                "--gateway",
                &gateway,
            ])
        });
        thread::sleep(Duration::from_secs(1));
        cluster.signal("gateway", Signal::KILL);
        asking.join().unwrap()
    });
    cluster.reap("gateway");
    assert!(error.contains("no answer from the gateway"), "{error}");
    cluster.signal("inference-0", Signal::CONT);
    cluster.start_node("gateway");
    cluster.wait_ready("gateway");
    no_record(&cluster);
    // The id was never used, so the same request may be made again.
    let (status, answer) = ask(&cluster, Some(&id));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(receipt_in_time(&cluster, &id), 200);
}

#[test]
fn all_killed_at_once_again_and_again_lose_nothing_that_was_final() {
    let _one = one_network();
    let mut cluster = Cluster::start();
    let mut answered = Vec::new();
    let mut blocks = Vec::new();
    let rounds = if long() { 20 } else { 2 };
    for round in 0..rounds {
        let load = Load::start(&cluster);
        load.wait_answer();
        thread::sleep(Duration::from_millis(rand::random_range(0..2000)));
        let validator = *VALIDATORS.choose(&mut rand::rng()).unwrap();
        let height = cluster.height(validator);
        blocks.push((height, cluster.block(validator, height)));
        cluster.kill_all();
        answered.extend(load.stop());
        cluster.start_all();
        for (height, block) in &blocks {
            for validator in VALIDATORS {
                cluster.wait_height(validator, *height);
                assert_eq!(
                    &cluster.block(validator, *height),
                    block,
                    "round {round}, {validator}"
                );
            }
        }
    }
    // An answer is on disk before it is given: each of them gets its receipt in the end.
    for id in &answered {
        assert_eq!(receipt_in_time(&cluster, id), 200, "{id}");
    }
    let height = cluster.height("validator-0");
    cluster.agree(&VALIDATORS, height);
    eprintln!(
        "{rounds} rounds, {} answers, {height} blocks",
        answered.len()
    );
    for name in ALL {
        cluster.stop(name);
    }
}

#[test]
fn a_frozen_validator_catches_up() {
    let _one = one_network();
    let cluster = Cluster::start();
    let frozen = "validator-2";
    let others = without(&[frozen]);
    cluster.signal(frozen, Signal::STOP);
    let height = cluster.height(others[0]);
    thread::sleep(Duration::from_secs(if long() { 60 } else { 5 }));
    cluster.wait_height(others[0], height + 4);
    let reached = cluster.height(others[0]);
    cluster.signal(frozen, Signal::CONT);
    cluster.agree(&VALIDATORS, reached);
}

#[test]
fn a_validator_with_a_wrong_clock_harms_nobody_and_is_told() {
    if !exists(FAKETIME) {
        eprintln!("skipped: {FAKETIME} is not there (Debian: apt install libfaketime)");
        return;
    }
    let _one = one_network();
    let mut cluster = Cluster::start();
    let wrong = "validator-3";
    let others = without(&[wrong]);
    for offset in ["+1h", "-1h"] {
        cluster.stop(wrong);
        let preload = format!("LD_PRELOAD={FAKETIME}");
        let offset = format!("FAKETIME={offset}");
        let wrapper = ["/usr/bin/env", &preload, &offset];
        cluster
            .wrappers
            .insert(wrong.to_owned(), wrapper.map(str::to_owned).to_vec());
        cluster.start_node(wrong);
        let height = cluster.height(others[0]);
        for other in &others {
            cluster.wait_height(other, height + 5);
        }
        let readiness = wait_for("word of the clock", || {
            let readiness = cluster.readiness(wrong)?;
            let said = readiness.to_string().contains("clock");
            (readiness["ready"] == false && said).then_some(readiness)
        });
        eprintln!("{offset}: {readiness}");
        cluster.stop(wrong);
        cluster.wrappers.remove(wrong);
        cluster.start_node(wrong);
        cluster.wait_ready(wrong);
        let height = cluster.height(others[0]);
        cluster.agree(&VALIDATORS, height);
    }
}
