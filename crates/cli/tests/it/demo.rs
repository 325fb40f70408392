//! The main job of the README: `og demo`.

use super::support::{og_json, one_network};

#[test]
fn the_demo_shows_what_it_promises() {
    let _one = one_network();
    let summary = og_json(["demo"]);
    assert_eq!(summary["questions"], 10);
    assert_eq!(summary["right"], 10);
    assert_eq!(summary["receipts_verified"], 10);
    assert!(summary["largest_receipt_bytes"].as_u64().unwrap() <= 8 * 1024);
    assert!(summary["common_block"].as_u64().unwrap() > 0);
    for answer in summary["answers"].as_array().unwrap() {
        assert!(answer["signers"].as_u64().unwrap() >= 3, "{answer}");
    }
}
