//! What is hashed: requests, answers, the message that is signed, and names of keys.
//!
//! keccak256 throughout, as on chain. The 32 bytes that come out are what RSASSA-PSS signs, which
//! hashes them once more with SHA-256.

use alloy_primitives::{B256, U256, keccak256};

/// The domain of a signed OHTTP configuration: keccak256 of this text.
const OHTTP_CONFIG_DOMAIN: &[u8] = b"OPENGRADIENT_TEE_OHTTP_CONFIG_V1";

/// The hash of a request: of its [canonical](crate::canonical) bytes.
pub fn request_hash(canonical: &[u8]) -> B256 {
    keccak256(canonical)
}

/// The hash of an answer: of its text, or of [its tool calls](crate::tool_calls_output).
pub fn output_hash(output: &str) -> B256 {
    keccak256(output)
}

/// What is signed for an answer given at `timestamp_s`, in whole seconds of Unix time.
pub fn message_hash(request_hash: B256, output_hash: B256, timestamp_s: u64) -> B256 {
    keccak256(concatenated([request_hash, output_hash, word(timestamp_s)]))
}

/// What is signed to say that the key was in use at `timestamp_s`, in whole seconds of Unix time.
pub fn heartbeat_hash(tee_id: B256, timestamp_s: u64) -> B256 {
    keccak256(concatenated([tee_id, word(timestamp_s)]))
}

/// What clients and contracts call a gateway: the hash of its signing key, as DER of
/// SubjectPublicKeyInfo.
pub fn tee_id(public_key_der: &[u8]) -> B256 {
    keccak256(public_key_der)
}

/// What is signed to bind an OHTTP configuration to a gateway: its algorithms, the hash of its
/// public key, and the hash of its 41 bytes.
pub(crate) fn ohttp_config_hash(
    tee_id: B256,
    [key_id, kem_id, kdf_id, aead_id]: [u16; 4],
    public_key: &[u8],
    key_config: &[u8],
) -> B256 {
    let words = [
        keccak256(OHTTP_CONFIG_DOMAIN),
        tee_id,
        word(key_id.into()),
        word(kem_id.into()),
        word(kdf_id.into()),
        word(aead_id.into()),
        keccak256(public_key),
        keccak256(key_config),
    ];
    keccak256(concatenated(words))
}

fn word(number: u64) -> B256 {
    U256::from(number).into()
}

fn concatenated<const N: usize>(words: [B256; N]) -> Vec<u8> {
    words.iter().flatten().copied().collect()
}
