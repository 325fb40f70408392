//! One network from its start to its end: asked, cheated, wounded, stopped, resumed.
//!
//! The steps share one network because starting one takes seconds; each leaves it whole.

use super::state::a_proof_of_state_is_fetched_and_judged;
use super::support::{
    Devnet, EXAMPLES, answer_once, og, og_fails, og_json, one_network, post, quantity, read_json,
    rpc, transfer, wait_for,
};
use super::transactions::{
    og_tx_deploys_and_calls_a_contract, og_tx_explains_what_cannot_be_done,
    og_tx_sends_and_shows_transfers, og_tx_takes_nonce_gas_and_price,
    the_faucet_gives_and_then_says_when_to_come_back,
};
use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::fs;

/// What the issue of this format promises.
const MAX_RECEIPT_BYTES: usize = 8 * 1024;
const ADD_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/add.onnx");

#[test]
fn a_network_from_its_start_to_its_end() {
    let _one = one_network();
    let network = Devnet::start();
    an_answer_is_final_and_its_receipt_verifies(&network);
    a_receipt_with_a_flipped_byte_is_refused_by_name(&network);
    a_checkpoint_does_what_the_genesis_file_does(&network);
    another_network_s_genesis_file_proves_nothing(&network);
    a_funded_account_can_pay(&network);
    og_tx_sends_and_shows_transfers(&network);
    og_tx_deploys_and_calls_a_contract(&network);
    og_tx_explains_what_cannot_be_done(&network);
    og_tx_takes_nonce_gas_and_price(&network);
    a_proof_of_state_is_fetched_and_judged(&network);
    the_faucet_gives_and_then_says_when_to_come_back(&network);
    requests_that_cannot_be_answered_are_explained(&network);
    pictures_and_files_that_are_none_are_explained(&network);
    an_exact_answer_is_the_same_on_every_kernel(&network);
    a_language_model_answers_and_its_receipt_replays(&network);
    a_model_is_added_and_answers(&network);
    a_model_is_converted_added_and_answers(&network);
    a_language_model_is_converted_to_embed_and_its_receipt_replays(&network);
    a_model_of_another_service_answers_and_says_so(&network);
    a_second_start_is_refused(&network);
    a_killed_validator_is_missed_by_nobody_and_catches_up(&network);
    a_stopped_network_resumes(&network);
    a_data_directory_of_another_genesis_is_refused(&network);
}

#[test]
#[cfg(target_os = "linux")]
fn nodes_end_with_the_command_that_they_are_attached_to_even_if_it_is_killed() {
    let _one = one_network();
    let network = Devnet::unstarted();
    let port = network.base_port.to_string();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_og"))
        .args(["devnet", "--dir", &network.dir(), "--base-port", &port])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("network", || network.path().exists().then_some(()));
    let running = || network.og(&["devnet", "status"])["running"].as_u64();
    wait_for("start", || (running() == Some(7)).then_some(()));
    command.kill().unwrap();
    command.wait().unwrap();
    wait_for("end", || (running() == Some(0)).then_some(()));
}

/// Asks for the digit in one of the examples; the outcome, which must be right.
fn infer(network: &Devnet, digit: u64, more: &[&str]) -> Value {
    let picture = format!("{EXAMPLES}/{digit}-1.png");
    let mut arguments = vec!["infer", "--model", "digits", "--input", &picture];
    arguments.extend(more);
    let outcome = network.og(&arguments);
    assert_eq!(outcome["classes"][0]["class"], digit, "{outcome}");
    outcome
}

fn an_answer_is_final_and_its_receipt_verifies(network: &Devnet) {
    let receipt = network.beside("seven.receipt");
    let outcome = infer(network, 7, &["--receipt", &receipt]);
    assert!(outcome["block"].as_u64().unwrap() > 0);
    assert_eq!(outcome["computed"], "exact");
    assert!(fs::read(&receipt).unwrap().len() <= MAX_RECEIPT_BYTES);

    let genesis = network.file("genesis.json");
    let verdict = og_json(["verify", &receipt, "--genesis", &genesis]);
    assert_eq!(verdict["valid"], true);
    let report = &verdict["report"];
    assert_eq!(report["record"]["request_id"], outcome["request_id"]);
    assert!(report["signers"].as_array().unwrap().len() >= 3);

    let output = og(["verify", &receipt, "--genesis", &genesis]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["checked", "vouched", "claimed", "signed by", "exact"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(
        !text.contains('\u{1b}'),
        "colors where there is no terminal"
    );
}

fn a_receipt_with_a_flipped_byte_is_refused_by_name(network: &Devnet) {
    let genesis = network.file("genesis.json");
    let good = fs::read(network.beside("seven.receipt")).unwrap();
    let path = network.beside("damaged.receipt");
    for position in (0..good.len()).step_by(good.len() / 20 + 1) {
        let mut bytes = good.clone();
        bytes[position] ^= 0x01;
        fs::write(&path, bytes).unwrap();
        let error = og_fails(["verify", &path, "--genesis", &genesis]);
        assert!(
            error.contains("does not verify: receipt"),
            "byte {position}: {error}"
        );
    }
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    og_fails(["verify", &path, "--genesis", &genesis]);
}

fn an_exact_answer_is_the_same_on_every_kernel(network: &Devnet) {
    let receipt = network.beside("seven.receipt");
    let trace = network.beside("seven.trace");
    let replayed = og_json(["replay", &receipt, "--reference", "--save-trace", &trace]);
    assert_eq!(replayed["equal"], true, "{replayed}");
    let scalar = [
        "--path",
        "scalar",
        "--threads",
        "1",
        "--compare-trace",
        &trace,
    ];
    let replayed = og_json([&["replay", &receipt], &scalar[..]].concat());
    assert_eq!(replayed["equal"], true, "{replayed}");
    let operations = &replayed["compared"].as_array().unwrap()[1];
    assert_eq!(operations["what"], "operations");

    // The hash of one value of the trace is changed: the last one's.
    let mut bytes = fs::read(&trace).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&trace, bytes).unwrap();
    let output = og(["replay", &receipt, "--compare-trace", &trace]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("first at position 0, operation"), "{text}");
}

fn a_language_model_answers_and_its_receipt_replays(network: &Devnet) {
    let ask = |prompt: &str, seed: &str, more: &[&str]| {
        let arguments = [
            "chat",
            "--prompt",
            prompt,
            "--seed",
            seed,
            "--max-tokens",
            "40",
        ];
        network.og(&[&arguments, more].concat())
    };
    let receipt = network.beside("story.receipt");
    let prompt = "Tell me a story about a brave fox.";
    let said = ask(prompt, "7", &["--receipt", &receipt]);
    assert_eq!(said["computed"], "exact");
    assert!(said["text"].as_str().unwrap().len() > 20, "{said}");
    let again = ask(prompt, "7", &["--no-wait"]);
    assert_eq!(again["text"], said["text"]);
    let other = ask(prompt, "8", &["--no-wait", "--temperature", "1.5"]);
    assert_ne!(other["text"], said["text"]);
    og_json([
        "verify",
        &receipt,
        "--genesis",
        &network.file("genesis.json"),
    ]);
    for more in [
        &["--threads", "2"][..],
        &["--threads", "1", "--path", "scalar"],
    ] {
        let replayed = og_json([&["replay", &receipt], more].concat());
        assert_eq!(replayed["equal"], true, "{replayed}");
        assert!(replayed["tokens"].as_u64().unwrap() > 5, "{replayed}");
    }
    let refused = og_fails([
        "chat",
        "--model",
        "digits",
        "--prompt",
        "x",
        "--dir",
        &network.dir(),
    ]);
    assert!(refused.contains("no language model"), "{refused}");
}

fn a_model_is_converted_added_and_answers(network: &Devnet) {
    let onnx = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/digits/digits.onnx"
    );
    let data = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/digits/calibration.csv"
    );
    let file = network.beside("mine.og");
    let built = og_json([
        "model",
        "build",
        onnx,
        "--out",
        &file,
        "--data",
        data,
        "--multiplier-bits",
        "6",
    ]);
    let id = built["id"].as_str().unwrap();
    let added = network.og(&["model", "add", &file, "--name", "mydigits"]);
    assert_eq!(added["id"], id);
    let picture = format!("{EXAMPLES}/4-1.png");
    let outcome = network.og(&[
        "infer",
        "--model",
        "mydigits",
        "--input",
        &picture,
        "--receipt",
        &network.beside("mine.receipt"),
    ]);
    assert_eq!(
        (&outcome["classes"][0]["class"], &outcome["model"]),
        (&json!(4), &json!(id))
    );
    let receipt = network.beside("mine.receipt");
    let replayed = og_json(["replay", &receipt, "--dir", &network.dir()]);
    assert_eq!(replayed["equal"], true, "{replayed}");
    let unknown = og_fails(["replay", &receipt]);
    assert!(unknown.contains("neither built in"), "{unknown}");
}

fn a_language_model_is_converted_to_embed_and_its_receipt_replays(network: &Devnet) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/float");
    let file = network.beside("words.og");
    let undecided = og_fails(["model", "build", source, "--out", &file, "--embed"]);
    assert!(undecided.contains("--embed mean"), "{undecided}");
    let built = og_json(["model", "build", source, "--out", &file, "--embed", "mean"]);
    let added = network.og(&["model", "add", &file, "--name", "words"]);
    assert_eq!(added["id"], built["id"]);
    let receipt = network.beside("words.receipt");
    let (cats, kitten) = ("The cat sat in the garden.", "A kitten slept under a tree.");
    let ask = ["embed", "--model", "words", cats, kitten, cats];
    let embedded = network.og(&[&ask[..], &["--receipt", &receipt]].concat());
    assert_eq!(embedded["computed"], "exact");
    let vectors = embedded["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[1]);
    og_json([
        "verify",
        &receipt,
        "--genesis",
        &network.file("genesis.json"),
    ]);
    let dir = network.dir();
    let replay = ["replay", &receipt, "--dir", &dir, "--reference"];
    for kernels in [&[][..], &["--threads", "1", "--path", "scalar"]] {
        let replayed = og_json([&replay[..], kernels].concat());
        assert_eq!(replayed["equal"], true, "{replayed}");
        let compared = replayed["compared"].as_array().unwrap();
        // Four tensors, and every operation on the first text.
        assert_eq!(compared.len(), 5, "{replayed}");
    }
    let refused = og_fails(["embed", "--model", "story", "x", "--dir", &dir]);
    assert!(refused.contains("embeds no texts"), "{refused}");
}

/// An OpenAI-compatible server that answers one question; its address.
fn upstream() -> String {
    answer_once(|head, _| {
        assert!(
            head.starts_with("POST /v1/chat/completions HTTP/1.1"),
            "{head}"
        );
        json!({
            "model": "far-1",
            "choices": [{ "message": { "role": "assistant", "content": "From afar." }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 5, "completion_tokens": 3 },
        })
    })
}

fn a_model_of_another_service_answers_and_says_so(network: &Devnet) {
    let address = upstream();
    let file = network.beside("far.toml");
    let text = format!("[relay]\nurl = \"http://{address}/v1\"\nmodel = \"far\"\n");
    fs::write(&file, text).unwrap();
    network.og(&["model", "add", &file, "--name", "far"]);
    let receipt = network.beside("far.receipt");
    let said = network.og(&[
        "chat",
        "--model",
        "far",
        "--prompt",
        "Hello",
        "--receipt",
        &receipt,
    ]);
    assert_eq!(said["text"], "From afar.");
    assert_eq!(
        (
            &said["computed"],
            &said["relayed_from"],
            &said["completion_tokens"]
        ),
        (&json!("relayed"), &json!(address), &json!(3))
    );
    og_json([
        "verify",
        &receipt,
        "--genesis",
        &network.file("genesis.json"),
    ]);
    let refused = og_fails(["replay", &receipt]);
    assert!(refused.contains("relayed"), "{refused}");
    // The server is gone.
    let arguments = ["chat", "--model", "far", "--prompt", "Hello"];
    let failed = network.og_fails(&arguments);
    assert!(failed.contains(&address), "{failed}");
}

fn a_checkpoint_does_what_the_genesis_file_does(network: &Devnet) {
    let receipt = network.beside("seven.receipt");
    let genesis = network.file("genesis.json");
    let checkpoint = network.beside("checkpoint.json");
    og_json([
        "verify",
        &receipt,
        "--genesis",
        &genesis,
        "--write-checkpoint",
        &checkpoint,
    ]);
    let later = network.beside("three.receipt");
    infer(network, 3, &["--receipt", &later]);
    for receipt in [&receipt, &later] {
        let verdict = og_json(["verify", receipt, "--checkpoint", &checkpoint]);
        assert_eq!(verdict["valid"], true);
    }
}

fn another_network_s_genesis_file_proves_nothing(network: &Devnet) {
    let other = network.beside("other");
    og_json(["network", "init", "--dir", &other]);
    let genesis = format!("{other}/genesis.json");
    let error = og_fails([
        "verify",
        &network.beside("seven.receipt"),
        "--genesis",
        &genesis,
    ]);
    assert!(error.contains("receipt.finalization"), "{error}");
}

fn a_funded_account_can_pay(network: &Devnet) {
    let endpoints = network.endpoints();
    let url = endpoints["rpc"].as_str().unwrap();
    let accounts = read_json(&network.path().join("accounts.json"));
    let signer: PrivateKeySigner = accounts[1]["private_key"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(accounts[1]["address"], json!(signer.address()));
    let to = Address::repeat_byte(0x77);
    let chain_id = quantity(&rpc(url, "eth_chainId", json!([])));
    assert_eq!(endpoints["chain_id"], chain_id);
    let nonce = rpc(
        url,
        "eth_getTransactionCount",
        json!([signer.address(), "latest"]),
    );
    let raw = transfer(&signer, chain_id, quantity(&nonce), to);
    let hash = rpc(url, "eth_sendRawTransaction", json!([raw]));
    let receipt = wait_for("receipt of the transfer", || {
        Some(rpc(url, "eth_getTransactionReceipt", json!([hash]))).filter(|found| !found.is_null())
    });
    assert_eq!(receipt["status"], "0x1");
    for url in endpoints["rpcs"].as_array().unwrap() {
        wait_for("balance at every validator", || {
            let balance = rpc(
                url.as_str().unwrap(),
                "eth_getBalance",
                json!([to, "latest"]),
            );
            (quantity(&balance) == 1234).then_some(())
        });
    }
}

fn requests_that_cannot_be_answered_are_explained(network: &Devnet) {
    let endpoints = network.endpoints();
    let gateway = endpoints["gateway"].as_str().unwrap();
    let url = format!("{gateway}/v1/infer");
    let row = json!([0, 0, 0, 0, 0, 0, 0, 0]);
    let picture = json!([[[row, row, row, row, row, row, row, row]]]);
    let ask = |inputs: Value| json!({ "model": "digits", "inputs": inputs }).to_string();
    assert_eq!(post(&url, ask(json!({ "image": picture }))).0, 200);
    for (body, status, expected) in [
        (ask(json!({ "picture": picture })), 400, "picture"),
        (
            ask(json!({ "image": picture, "more": picture })),
            400,
            "more",
        ),
        (ask(json!({})), 400, "image"),
        (ask(json!({ "image": [[1, 2]] })), 400, "shape"),
        (ask(json!({ "image": [[[["a"]]]] })), 400, "element"),
        (
            ask(json!({ "image": { "shape": [1, 1, 8, 8], "dtype": "u8", "data": [0] } })),
            400,
            "u8",
        ),
        (
            json!({ "model": "oracle", "inputs": {} }).to_string(),
            404,
            "no node offers",
        ),
        ("{\"model\": ".to_owned(), 400, "invalid_json"),
        ("".to_owned(), 400, "invalid_json"),
        (
            json!({ "model": "digits", "inputs": {}, "tier": "certain" }).to_string(),
            400,
            "certain",
        ),
        (
            format!("\"{}\"", "a".repeat(9 * 1024 * 1024)),
            413,
            "longer",
        ),
    ] {
        let shown: String = body.chars().take(80).collect();
        let (found, answer) = post(&url, body);
        assert_eq!(found, status, "{shown}: {answer}");
        let error: Value = serde_json::from_str(&answer).unwrap();
        let message = error["error"].to_string();
        assert!(message.contains(expected), "{shown}: {message}");
    }
}

fn pictures_and_files_that_are_none_are_explained(network: &Devnet) {
    for (name, bytes, expected) in [
        ("empty.png", &b""[..], "PNG"),
        ("text.png", b"not a picture", "PNG"),
        ("broken.json", b"{\"image\": [", "not JSON"),
        ("wrong.json", b"{\"image\": [1, 2]}", "shape"),
        ("list.json", b"[1, 2]", "inputs"),
        ("picture.jpeg", b"", "neither"),
    ] {
        let path = network.beside(name);
        fs::write(&path, bytes).unwrap();
        let error = network.og_fails(&["infer", "--model", "digits", "--input", &path]);
        assert!(error.contains(expected), "{name}: {error}");
    }
    let picture = format!("{EXAMPLES}/7-1.png");
    let error = network.og_fails(&["infer", "--model", "oracle", "--input", &picture]);
    assert!(error.contains("no node offers"), "{error}");
    let path = network.beside("bad.onnx");
    for bytes in [
        &b""[..],
        b"not a model",
        &fs::read(ADD_MODEL).unwrap()[..100],
    ] {
        fs::write(&path, bytes).unwrap();
        let error = network.og_fails(&["model", "add", &path, "--name", "bad"]);
        assert!(error.contains("cannot be served"), "{error}");
    }
}

fn a_model_is_added_and_answers(network: &Devnet) {
    let error = network.og_fails(&["model", "add", ADD_MODEL, "--name", "digits"]);
    assert!(error.contains("taken"), "{error}");
    let added = network.og(&["model", "add", ADD_MODEL, "--name", "add"]);
    assert!(added["transaction"].is_string(), "{added}");
    let listed = network.og(&["model", "list"]);
    let names: Vec<_> = listed["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["name"])
        .collect();
    assert_eq!(names, ["digits", "story", "add"]);
    let shown = network.og(&["model", "show", "add"]);
    assert_eq!(shown["id"], added["id"]);

    let inputs = network.beside("inputs.json");
    fs::write(&inputs, "{\"left\": [[1, 2]], \"right\": [[0.5, 40]]}").unwrap();
    let receipt = network.beside("sum.receipt");
    let arguments = [
        "infer",
        "--model",
        "add",
        "--input",
        &inputs,
        "--receipt",
        &receipt,
    ];
    let outcome = network.og(&arguments);
    let sum = outcome["outputs"]["sum"].to_string();
    assert!(sum.contains("1.5") && sum.contains("42"), "{sum}");
    og_json([
        "verify",
        &receipt,
        "--genesis",
        &network.file("genesis.json"),
    ]);

    let again = network.og(&["model", "add", ADD_MODEL, "--name", "add"]);
    assert!(again["transaction"].is_null(), "{again}");
}

fn a_second_start_is_refused(network: &Devnet) {
    let error = network.og_fails(&["devnet", "--detach"]);
    assert!(error.contains("runs already"), "{error}");
    let config = network.file("gateway/config.toml");
    let error = og_fails(["node", "--config", &config]);
    assert!(error.contains("uses the data directory"), "{error}");
}

/// The process and the height of a node, as `og devnet status` says.
pub(super) fn node_status(network: &Devnet, name: &str) -> (Option<u64>, Option<u64>) {
    let status = network.og(&["devnet", "status"]);
    let nodes = status["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["name"] == name).unwrap();
    (node["pid"].as_u64(), node["height"].as_u64())
}

fn a_killed_validator_is_missed_by_nobody_and_catches_up(network: &Devnet) {
    let (pid, _) = node_status(network, "validator-2");
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid.unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_for("death", || {
        node_status(network, "validator-2")
            .0
            .is_none()
            .then_some(())
    });
    let mut block = 0;
    for digit in [1, 2, 5] {
        block = infer(network, digit, &[])["block"].as_u64().unwrap();
    }

    let log = fs::File::create(network.beside("restarted.log")).unwrap();
    let mut restarted = std::process::Command::new(env!("CARGO_BIN_EXE_og"))
        .args(["node", "--config", &network.file("validator-2/config.toml")])
        .stderr(log)
        .spawn()
        .unwrap();
    wait_for("catching up", || {
        let (_, height) = node_status(network, "validator-2");
        height.filter(|height| *height >= block)
    });
    let endpoints = network.endpoints();
    let blocks: Vec<_> = endpoints["rpcs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|url| {
            let height = format!("{block:#x}");
            let found = rpc(
                url.as_str().unwrap(),
                "eth_getBlockByNumber",
                json!([height, false]),
            );
            (found["hash"].clone(), found["stateRoot"].clone())
        })
        .collect();
    assert!(blocks[0].1.is_string());
    assert!(blocks.iter().all(|found| *found == blocks[0]), "{blocks:?}");
    // From here on it is a node like the others: `og devnet stop` ends it too.
    network.og(&["devnet", "stop"]);
    assert!(restarted.wait().unwrap().success());
}

fn a_stopped_network_resumes(network: &Devnet) {
    let status = network.og(&["devnet", "status"]);
    assert_eq!(status["running"], 0);
    let genesis = fs::read(network.file("genesis.json")).unwrap();
    let port = (network.base_port + 1).to_string();
    let error = network.og_fails(&["devnet", "--detach", "--base-port", &port]);
    assert!(error.contains("holds another network"), "{error}");
    network.og(&["devnet", "--detach"]);
    assert_eq!(fs::read(network.file("genesis.json")).unwrap(), genesis);
    let receipt = network.beside("after.receipt");
    infer(network, 9, &["--receipt", &receipt]);
    let genesis = network.file("genesis.json");
    for receipt in [receipt, network.beside("seven.receipt")] {
        og_json(["verify", &receipt, "--genesis", &genesis]);
    }
    network.og(&["devnet", "stop"]);
}

fn a_data_directory_of_another_genesis_is_refused(network: &Devnet) {
    let path = network.file("genesis.json");
    let mut genesis: Value = read_json(path.as_ref());
    genesis["network"] = json!("another");
    fs::write(&path, genesis.to_string()).unwrap();
    for node in ["validator-0", "gateway"] {
        let config = network.file(&format!("{node}/config.toml"));
        let error = og_fails(["node", "--config", &config]);
        assert!(error.contains("belongs to"), "{node}: {error}");
    }
}
