//! `og bench` on a real network: its lines are what scripts read.

use super::support::{og, one_network};
use serde_json::Value;

#[test]
fn every_figure_is_one_line_of_json_with_a_value_a_unit_and_a_spread() {
    let _one = one_network();
    let output = og(["--json", "bench", "--rounds", "1"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut names = Vec::new();
    for line in lines.lines() {
        let figure: Value = serde_json::from_str(line).unwrap();
        let value = figure["value"].as_f64().unwrap();
        assert!(value > 0.0, "{line}");
        assert!(!figure["unit"].as_str().unwrap().is_empty(), "{line}");
        let spread = figure["spread"].as_array().unwrap();
        let [least, greatest] = [0, 1].map(|end| spread[end].as_f64().unwrap());
        assert!(least <= value && value <= greatest, "{line}");
        names.push(figure["name"].as_str().unwrap().to_owned());
    }
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
