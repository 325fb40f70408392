//! Accounts as the state holds them, and proofs of what the state holds.

use crate::{
    cbor::{Canonical as _, DecodeError},
    header::Header,
    limits::{
        MAX_CODE_BYTES, MAX_DESCENDANTS, MAX_FINALIZATION_BYTES, MAX_STATE_ENTRIES,
        MAX_STATE_ENTRY_PROOF_BYTES, MAX_STATE_PROOF_BYTES,
    },
};
use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256};

/// An account as the state holds it. An account that is [empty](Self::is_empty) is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in the token's smallest unit.
    pub balance: U256,
    /// keccak256 of the code.
    pub code_hash: B256,
}

canonical_struct!(Account, max_bytes = 128, { nonce, balance, code_hash });

impl Default for Account {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK256_EMPTY,
        }
    }
}

impl Account {
    /// Whether the account is indistinguishable from one that never existed (EIP-161).
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The value under the account's key: `None` deletes it.
    pub fn to_value(&self) -> Option<Bytes> {
        (!self.is_empty()).then(|| self.to_bytes().into())
    }

    /// Reads the value under an account's key, absent meaning empty.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not an account.
    pub fn from_value(value: Option<&Bytes>) -> Result<Self, DecodeError> {
        value.map_or_else(|| Ok(Self::default()), |bytes| Self::from_bytes(bytes))
    }
}

/// One key of the state with what stands under it, or that nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// The key (see `docs/formats/state.md`).
    pub key: B256,
    /// Its value.
    pub value: Option<Bytes>,
    /// The database's proof of either, for the root in the header.
    pub proof: Bytes,
}

canonical_struct!(StateEntry, max_bytes = MAX_CODE_BYTES + MAX_STATE_ENTRY_PROOF_BYTES + 64, {
    key,
    value <= MAX_CODE_BYTES,
    proof <= MAX_STATE_ENTRY_PROOF_BYTES,
});

/// What the state held after a block, for a stranger to check: `docs/formats/state-proof.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    /// Format version, 1.
    pub version: u16,
    /// Header of the block after which the state was so.
    pub header: Header,
    /// Headers from that block's child to the block that the certificate names, usually none.
    pub descendants: Vec<Header>,
    /// The validators' finality certificate for the last of `header` and `descendants`.
    pub finalization: Bytes,
    /// What the state held.
    pub entries: Vec<StateEntry>,
}

canonical_struct!(StateProof, max_bytes = MAX_STATE_PROOF_BYTES, {
    version,
    header,
    descendants <= MAX_DESCENDANTS,
    finalization <= MAX_FINALIZATION_BYTES,
    entries <= MAX_STATE_ENTRIES,
});
