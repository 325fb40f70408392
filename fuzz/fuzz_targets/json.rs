//! What people and programs hand in as JSON or TOML: genesis files, checkpoints, tensors, services to relay to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_engine::{Backend as _, OnnxFloat, Relay, UpstreamKeys};
use og_types::{
    Canonical as _, Checkpoint, Genesis,
    tensor_json::{tensors_from_json, tensors_to_json},
};
use og_verify::TrustAnchor;
use serde_json::Value;
use std::sync::LazyLock;

const DIGITS: &[u8] = include_bytes!("../../models/digits/digits.onnx");

static MODEL: LazyLock<OnnxFloat> =
    LazyLock::new(|| OnnxFloat::load(DIGITS).expect("the embedded model"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Relay::new(text, &UpstreamKeys::new());
    }
    if let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) {
        let _ = genesis.to_bytes();
        let _ = og_chain::Rules::new(genesis.clone());
        let _ = TrustAnchor::from_genesis(&genesis);
    }
    if let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(bytes) {
        let _ = TrustAnchor::from_checkpoint(&checkpoint);
    }
    if let Ok(inputs) = serde_json::from_slice::<Value>(bytes)
        && let Ok(tensors) = tensors_from_json(&inputs, MODEL.describe())
    {
        tensors_to_json(&tensors).expect("what came from JSON goes back to it");
    }
});
