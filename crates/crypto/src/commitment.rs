//! Salted commitments to what was asked and answered.

use crate::hash::keccak256;
use alloy_primitives::B256;

const INPUT_DOMAIN: &[u8] = b"_OG_INPUT_V1";
const OUTPUT_DOMAIN: &[u8] = b"_OG_OUTPUT_V1";

/// Commitment to a request's canonical bytes.
pub fn commit_input(salt: &B256, request: &[u8]) -> B256 {
    keccak256(&[INPUT_DOMAIN, salt.as_slice(), request])
}

/// Commitment to a response's canonical bytes.
pub fn commit_output(salt: &B256, response: &[u8]) -> B256 {
    keccak256(&[OUTPUT_DOMAIN, salt.as_slice(), response])
}
