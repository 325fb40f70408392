//! `cargo bench -p og`: finality of the network beside that of the bare engine, in one run.
//!
//! The bare engine is commonware's simplex and marshal with the network's own keys, signing scheme,
//! sockets and disk, and blocks that are empty: what is left when execution, state, records and
//! JSON-RPC are taken away.

mod bare;

use serde_json::Value;
use std::process::Command;

/// Seconds that the bare engine runs.
const BARE_SECONDS: u64 = 15;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bare = bare::measure(folder.path(), BARE_SECONDS);
    println!(
        "bare engine: {} blocks, propose to final p50 {:.1} ms, p99 {:.1} ms",
        bare.blocks, bare.p50_ms, bare.p99_ms
    );
    let output = Command::new(env!("CARGO_BIN_EXE_og"))
        .args(["bench", "--json"])
        .output()
        .expect("og runs");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let p50 = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|figure| figure["name"] == "finality_p50")
        .and_then(|figure| figure["value"].as_f64())
        .expect("og bench measures finality_p50");
    println!(
        "finality_p50 is {:.2} times the bare engine's",
        p50 / bare.p50_ms
    );
}
