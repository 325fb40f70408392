//! Commands that need no running network, and what they say when something is wrong.

use super::support::{EXAMPLES, free_base_port, og, og_fails, og_json};
use std::{fs, net::TcpListener, process::Command};

fn init(dir: &str, more: &[&str]) {
    let arguments = ["network", "init", "--dir", dir];
    og_json(arguments.into_iter().chain(more.iter().copied()));
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in [
        vec!["--help"],
        vec!["demo", "--help"],
        vec!["devnet", "--help"],
        vec!["infer", "--help"],
        vec!["verify", "--help"],
        vec!["verify", "state", "--help"],
        vec!["tx", "send", "--help"],
        vec!["model", "add", "--help"],
        vec!["node", "--help"],
        vec!["network", "init", "--help"],
        vec!["gateway", "key", "new", "--help"],
        vec!["sim", "--help"],
    ] {
        let output = og(command.iter().copied());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command:?}");
        assert!(text.contains("Example"), "{command:?}: {text}");
    }
    let usage = og(["infer", "--modle", "digits"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_simulation_is_run_and_its_traffic_counted() {
    let summary = og_json(["sim", "--seeds", "2", "--seed", "3"]);
    assert_eq!(summary["seeds"], 2);
    assert_eq!(summary["failures"].as_array().map(Vec::len), Some(0));
    assert!(summary["blocks"].as_u64().unwrap() > 0, "{summary}");
    let traffic = og_json(["sim", "--traffic", "4", "--blocks", "5"]);
    let votes = traffic[0]["messages_per_block"].as_f64().unwrap();
    // Each of four validators votes twice, to three others, for every block.
    assert!(votes >= 24.0, "{traffic}");
    let usage = og(["sim", "--traffic", "3"]);
    assert_eq!(usage.status.code(), Some(2));
    let error = String::from_utf8(usage.stderr).unwrap();
    assert!(error.contains("4..=100"), "{error}");
}

#[test]
fn a_network_for_several_hosts_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let dir = dir.to_str().unwrap();
    init(
        dir,
        &[
            "--validators",
            "7",
            "--inference",
            "2",
            "--hosts",
            "10.0.0.1,10.0.0.2",
        ],
    );
    for node in ["validator-6", "inference-1", "gateway", "relay"] {
        assert!(
            folder
                .path()
                .join("net")
                .join(node)
                .join("config.toml")
                .is_file()
        );
    }
    let error = og_fails(["network", "init", "--dir", dir]);
    assert!(error.contains("not empty"), "{error}");
}

#[test]
fn chain_ids_of_other_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    for id in ["0", "1", "8453", "84532", "10740", "10744"] {
        let arguments = [
            "network",
            "init",
            "--dir",
            dir.to_str().unwrap(),
            "--chain-id",
            id,
        ];
        let error = og_fails(arguments);
        assert!(error.contains("belongs to another network"), "{error}");
    }
    assert!(!dir.exists());
}

#[test]
fn a_port_in_use_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let base_port = free_base_port();
    let taken = base_port + 102;
    let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let port = base_port.to_string();
    let dir = dir.to_str().unwrap();
    let error = og_fails(["devnet", "--detach", "--dir", dir, "--base-port", &port]);
    assert!(
        error.contains(&format!("port {taken} is in use")),
        "{error}"
    );
    assert!(error.contains("validator-2"), "{error}");
    let status = og_json(["devnet", "status", "--dir", dir]);
    assert_eq!(status["running"], 0);
}

#[test]
fn without_a_network_the_next_step_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("nowhere");
    let picture = format!("{EXAMPLES}/7-1.png");
    let dir = dir.to_str().unwrap();
    let error = og_fails([
        "infer", "--model", "digits", "--input", &picture, "--dir", dir,
    ]);
    assert!(error.contains("no network"), "{error}");
    let gateway = format!("http://127.0.0.1:{}", free_base_port());
    let error = og_fails(["model", "list", "--gateway", &gateway]);
    assert!(error.contains("no answer from the gateway"), "{error}");
    assert!(error.contains("og devnet"), "{error}");
    for action in ["status", "stop"] {
        let error = og_fails(["devnet", action, "--dir", dir]);
        assert!(error.contains("no network"), "{error}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    init(dir.to_str().unwrap(), &[]);
    let path = dir.join("validator-0/config.toml");
    let good = fs::read_to_string(&path).unwrap();
    for (bad, expected) in [
        (
            good.replace("leader_timeout_ms = ", "leader_timeout_ms = 1 # "),
            "leader_timeout_ms",
        ),
        (good.replace("seat.key", "lost.key"), "lost.key"),
        (good.replace("p2p_listen", "listen_here"), "listen_here"),
        (good.replace("../genesis.json", "../lost.json"), "lost.json"),
        ("role = ".to_owned(), "not a valid configuration"),
    ] {
        assert_ne!(bad, good);
        fs::write(&path, bad).unwrap();
        let error = og_fails(["node", "--config", path.to_str().unwrap()]);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let dir = dir.to_str().unwrap();
    init(dir, &["--base-port", &free_base_port().to_string()]);
    let node = format!(
        "ulimit -n 256 && exec {} node --config {dir}/validator-0/config.toml",
        env!("CARGO_BIN_EXE_og")
    );
    let output = Command::new("sh").args(["-c", &node]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("ulimit -n 2048"), "{error}");
}

#[test]
fn a_receipt_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    init(dir.to_str().unwrap(), &[]);
    let genesis = dir.join("genesis.json");
    let genesis = genesis.to_str().unwrap();
    let path = folder.path().join("bad.receipt");
    let receipt = path.to_str().unwrap();
    let error = og_fails(["verify", receipt, "--genesis", genesis]);
    assert!(error.contains("cannot read"), "{error}");
    for bytes in [&b""[..], b"\xff", b"not a receipt", &[0x88; 1000]] {
        fs::write(&path, bytes).unwrap();
        let error = og_fails(["verify", receipt, "--genesis", genesis]);
        assert!(error.contains("does not verify"), "{error}");
    }
    let error = og_fails(["verify", "/dev/zero", "--genesis", genesis]);
    assert!(error.contains("more than the"), "{error}");
    for file in [receipt, "/nowhere/genesis.json"] {
        og_fails(["verify", receipt, "--genesis", file]);
        og_fails(["verify", receipt, "--checkpoint", file]);
    }
    let neither = og(["verify", receipt]);
    assert_eq!(neither.status.code(), Some(2));
}

#[test]
fn an_example_configuration_is_printed_for_every_role() {
    for role in ["validator", "inference", "gateway", "relay"] {
        let output = og(["node", "--config-example", role]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("role = \"{role}\"")), "{text}");
        assert!(text.contains("operator_listen = "), "{text}");
        let printed = og_json(["node", "--config-example", role]);
        assert_eq!(printed["config"].as_str().unwrap().trim(), text.trim());
    }
    assert_eq!(og(["node"]).status.code(), Some(2));
}

#[test]
fn an_api_key_is_shown_once_and_its_table_goes_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let path = file.to_str().unwrap();
    let command = ["gateway", "key", "new", "alice"];
    let shown = og(command);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("sk-") && text.contains("[[key]]"), "{text}");
    let limited = [
        "--file",
        path,
        "--requests-per-minute",
        "60",
        "--model",
        "small-chat",
    ];
    let made = og_json(command.into_iter().chain(limited));
    let secret = made["secret"].as_str().unwrap();
    let table = made["table"].as_str().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), table);
    assert!(table.contains("requests_per_minute = 60"), "{table}");
    assert!(!table.contains(&secret[3..]) && !text.contains(secret));
    let again = og_fails(command.into_iter().chain(["--file", path]));
    assert!(again.contains("another key has this name"), "{again}");
    assert!(again.contains("choose another name"), "{again}");
}
