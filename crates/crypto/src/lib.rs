//! Hash, sign, commit under a domain.
//!
//! Every hash and signature of the network is made here, each under a domain of its own, so that
//! what was made for one purpose is worthless for another. Changing a domain breaks the format.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod commitment;
pub mod hash;
pub mod merkle;
pub mod record;
pub mod validators;

pub use commitment::{commit_input, commit_output};
pub use hash::{block_hash, genesis_hash, keccak256, model_id, validators_hash};
pub use record::{NodeKey, RecordVerifier};
pub use validators::{ConsensusKey, ConsensusPublicKey, SeatKey, ValidatorSet, ValidatorSetError};

/// Decodes a value of commonware's codec, which reads from owned buffers only.
pub(crate) fn decode<T: commonware_codec::DecodeExt<()>>(bytes: &[u8]) -> Option<T> {
    T::decode(bytes::Bytes::copy_from_slice(bytes)).ok()
}
