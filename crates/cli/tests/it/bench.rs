//! `og bench` on a real network: its lines are what scripts read.

use super::support::{og, one_network};
use serde_json::Value;

/// The names of the figures that `og bench` measures with these arguments, each on a line of JSON of its own.
fn figures(arguments: &[&str]) -> Vec<String> {
    let arguments = ["--json", "bench", "--rounds", "1"].iter().chain(arguments);
    let output = og(arguments.copied());
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{errors}{lines}");
    let name = |line: &str| {
        let figure: Value = serde_json::from_str(line).unwrap();
        let value = figure["value"].as_f64().unwrap();
        assert!(value > 0.0, "{line}");
        assert!(!figure["unit"].as_str().unwrap().is_empty(), "{line}");
        let spread = figure["spread"].as_array().unwrap();
        let [least, greatest] = [0, 1].map(|end| spread[end].as_f64().unwrap());
        assert!(least <= value && value <= greatest, "{line}");
        let name = figure["name"].as_str().unwrap();
        match figure["accounts"].as_u64() {
            Some(accounts) => format!("{name}, {accounts} accounts"),
            None => name.to_owned(),
        }
    };
    lines.lines().map(name).collect()
}

#[test]
fn every_figure_of_the_network_has_a_value_a_unit_and_a_spread() {
    let _one = one_network();
    let names = figures(&[]);
    for name in [
        "network_ready",
        "finality_p50",
        "records_per_second",
        "transfers_per_second",
        "receipt_bytes",
        "receipt_verify",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}

#[test]
fn the_evm_is_measured_in_consensus_and_bare_and_as_the_state_grows() {
    let _one = one_network();
    let names = figures(&["evm", "--mgas", "10", "--accounts", "2000"]);
    for work in ["transfers", "token", "compute"] {
        for what in ["", "_bare", "_bare_signed", "_ratio"] {
            let name = format!("evm_{work}{what}");
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
    for what in ["block_time", "cold_transfers", "node_restart"] {
        for accounts in [1000, 2000] {
            let name = format!("{what}, {accounts} accounts");
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
}

#[test]
fn json_rpc_is_measured_by_its_methods() {
    let _one = one_network();
    let names = figures(&["rpc", "--seconds", "1"]);
    for method in ["eth_call", "eth_get_balance", "eth_block_number"] {
        for what in ["per_second", "p50", "p99"] {
            let name = format!("{method}_{what}");
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
    assert!(names.iter().any(|name| name == "eth_get_logs"), "{names:?}");
}
