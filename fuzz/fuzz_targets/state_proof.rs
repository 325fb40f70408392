//! The judge of proofs of state: whatever it is given, it says no or tells of a state, and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_types::Genesis;
use og_verify::{TrustAnchor, verify_state};
use std::sync::LazyLock;

static ANCHOR: LazyLock<TrustAnchor> = LazyLock::new(|| {
    let genesis: Genesis = serde_json::from_slice(include_bytes!(
        "../../crates/types/tests/vectors/genesis.json"
    ))
    .expect("the committed genesis file");
    TrustAnchor::from_genesis(&genesis).expect("a set of validators")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proven) = verify_state(bytes, &ANCHOR) {
        // The certificate is for one header, so every proof that is accepted is about it.
        assert_eq!(proven.header.height, 7);
    }
});
