//! Judge a proof of state: what an account had after a final block.

use crate::{
    anchor::TrustAnchor,
    check_version,
    error::{Document, VerifyError},
    finality::{self, Claim},
    history::{self, Position},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use commonware_codec::{Decode as _, Encode as _, RangeCfg};
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_storage::{
    mmr::Family,
    qmdb::{
        any::value::VariableEncoding,
        current::ordered::proof::constant::{ExclusionProof, KeyValueProof},
    },
};
use commonware_utils::sequence::FixedBytes;
use og_crypto::keccak256;
use og_types::{
    Account, BlockHash, Canonical as _, Header, StateEntry, StateProof, ValidatorId,
    limits::MAX_CODE_BYTES,
};
use std::collections::BTreeMap;

/// What keys of the state are hashed with (`docs/formats/state.md`).
const KEY_DOMAIN: &[u8] = b"_OG_STATE_V1";
const ACCOUNT_KIND: u8 = 0;
const STORAGE_KIND: u8 = 1;
/// Bytes of a chunk of the database's bitmap.
const CHUNK_BYTES: usize = 32;
/// Most hashes on the path to one operation: that of a log of 2^63, with its peaks.
const MAX_DIGESTS: usize = 192;

type Key = FixedBytes<32>;
type Encoding = VariableEncoding<bytes::Bytes>;
type Presence = KeyValueProof<Family, Key, Digest, CHUNK_BYTES>;
type Absence = ExclusionProof<Family, Key, Encoding, Digest, CHUNK_BYTES>;

/// What was proven of the state after a block.
#[derive(Clone, Debug)]
pub struct ProvenState {
    /// The block's header.
    pub header: Header,
    /// The block's hash.
    pub block: BlockHash,
    /// Seats that signed the certificate.
    pub signers: Vec<ValidatorId>,
    /// Where the block lies, seen from the trusted one.
    pub position: Position,
    values: BTreeMap<B256, Option<Bytes>>,
}

impl ProvenState {
    /// The account at `address`; `None` if the proof is not about it, or what is there is no account.
    pub fn account(&self, address: Address) -> Option<Account> {
        let value = self.values.get(&key(ACCOUNT_KIND, address, &[]))?;
        Account::from_value(value.as_ref()).ok()
    }

    /// The value of a contract's storage slot; `None` if the proof is not about it.
    pub fn storage(&self, address: Address, slot: U256) -> Option<B256> {
        let key = key(STORAGE_KIND, address, &slot.to_be_bytes::<32>());
        match self.values.get(&key)? {
            None => Some(B256::ZERO),
            Some(value) => B256::try_from(value.as_ref()).ok(),
        }
    }
}

fn key(kind: u8, address: Address, rest: &[u8]) -> B256 {
    keccak256(&[KEY_DOMAIN, &[kind], address.as_slice(), rest])
}

/// Judges a proof of state against what its holder trusts: a quorum of the anchor's seats finalized the header's block,
/// and each entry follows from the header's root.
///
/// # Errors
/// [`VerifyError`] names the field of the proof that failed.
pub fn verify_state(proof: &[u8], anchor: &TrustAnchor) -> Result<ProvenState, VerifyError> {
    let proof =
        StateProof::from_bytes(proof).map_err(|error| VerifyError::decode(error, "proof"))?;
    check_version("proof.version", proof.version)?;
    let claim = Claim {
        document: Document::StateProof,
        header: &proof.header,
        descendants: &proof.descendants,
        finalization: &proof.finalization,
    };
    let finality = finality::check(claim, anchor)?;
    let position = history::check(claim, anchor)?;
    let root = Digest(proof.header.state_root.0);
    let mut values = BTreeMap::new();
    for (index, entry) in proof.entries.into_iter().enumerate() {
        check_entry(&entry, &root).map_err(|reason| VerifyError::State {
            field: format!("proof.entries[{index}]"),
            reason: reason.to_owned(),
        })?;
        values.insert(entry.key, entry.value);
    }
    Ok(ProvenState {
        header: proof.header,
        block: finality.block,
        signers: finality.signers,
        position,
        values,
    })
}

/// Checks that `entry` follows from the root of the state.
fn check_entry(entry: &StateEntry, root: &Digest) -> Result<(), &'static str> {
    let proof_bytes = bytes::Bytes::copy_from_slice(&entry.proof);
    let key = Key::new(entry.key.0);
    let values = RangeCfg::from(0..=MAX_CODE_BYTES);
    let holds = match &entry.value {
        Some(value) => {
            let proof = Presence::decode_cfg(proof_bytes, &(MAX_DIGESTS, ()))
                .map_err(|_| "the proof is not one of presence")?;
            let value = bytes::Bytes::copy_from_slice(value);
            proof.encode() == *entry.proof && proof.verify::<Sha256, Encoding>(key, value, root)
        }
        None => {
            let proof = Absence::decode_cfg(proof_bytes, &(MAX_DIGESTS, ((), values), values))
                .map_err(|_| "the proof is not one of absence")?;
            proof.encode() == *entry.proof && proof.verify::<Sha256>(&key, root)
        }
    };
    if holds {
        Ok(())
    } else {
        Err("it does not follow from the root in the header")
    }
}
