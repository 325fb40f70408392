//! Names by hash: blocks, genesis files, validator sets, model files.

use alloy_primitives::B256;
use commonware_cryptography::{Hasher as _, Sha256};
use og_types::{BlockHash, Canonical, Genesis, GenesisValidator, Header, ModelId, cbor::Field};

const GENESIS_DOMAIN: &[u8] = b"_OG_GENESIS_V1";
const VALIDATORS_DOMAIN: &[u8] = b"_OG_VALIDATORS_V1";

/// keccak256 of the concatenation of `parts`.
///
/// Each caller starts with a domain and uses parts of fixed length, the last one excepted, so
/// that no two inputs concatenate to the same bytes.
pub fn keccak256(parts: &[&[u8]]) -> B256 {
    let mut hasher = alloy_primitives::Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The name of a block: keccak256 of its header's canonical bytes.
pub fn block_hash(header: &Header) -> BlockHash {
    BlockHash(keccak256(&[&header.to_bytes()]).0)
}

/// The name of a chain: hash of its genesis file's canonical form.
pub fn genesis_hash(genesis: &Genesis) -> B256 {
    keccak256(&[GENESIS_DOMAIN, &genesis.to_bytes()])
}

/// The hash of a set of validators, as headers commit to it.
pub fn validators_hash(validators: &[GenesisValidator]) -> B256 {
    let mut writer = minicbor::Encoder::new(Vec::new());
    validators.to_vec().write_field(&mut writer);
    keccak256(&[VALIDATORS_DOMAIN, writer.writer()])
}

/// The name of a model: SHA-256 of its file, so that `sha256sum` shows it.
pub fn model_id(file: &[u8]) -> ModelId {
    ModelId(Sha256::hash(&[file]).0)
}
