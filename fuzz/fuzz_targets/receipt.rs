//! The verifier of receipts: it accepts the two committed receipts, and no other bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_types::Genesis;
use og_verify::{TrustAnchor, verify};
use std::sync::LazyLock;

const VALID: [&[u8]; 2] = [
    include_bytes!("../../crates/types/tests/vectors/receipt.bin"),
    include_bytes!("../../crates/types/tests/vectors/receipt_descendants.bin"),
];

static ANCHOR: LazyLock<TrustAnchor> = LazyLock::new(|| {
    let genesis: Genesis = serde_json::from_slice(include_bytes!(
        "../../crates/types/tests/vectors/genesis.json"
    ))
    .expect("the committed genesis file");
    TrustAnchor::from_genesis(&genesis).expect("a set of validators")
});

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(verify(bytes, &ANCHOR).is_ok(), VALID.contains(&bytes));
});
