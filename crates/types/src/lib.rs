//! Name the things: ids, records, receipts; canonical bounded encoding.
//!
//! Everything that crosses a wire or meets a disk is defined here as plain data with one
//! canonical encoding (CBOR, deterministic, bounded; see [`cbor`]). Nothing here hashes, signs
//! or judges: that is `og-crypto` and the laws above it.
//!
//! Reading order: [`ids`], [`tensor`], [`model`], [`language`], [`embedding`], [`refusal`], [`record`], [`header`], [`receipt`], [`genesis`],
//! [`limits`], and [`cbor`] for how all of them become bytes.

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

#[macro_use]
pub mod cbor;
pub mod embedding;
pub mod genesis;
pub mod header;
pub mod ids;
pub mod job;
pub mod language;
pub mod limits;
pub mod model;
pub mod receipt;
pub mod record;
pub mod refusal;
pub mod state;
pub mod tensor;
pub mod tensor_json;

pub use cbor::{Canonical, DecodeError};
pub use genesis::{Checkpoint, Genesis, GenesisAccount, GenesisValidator};
pub use header::Header;
pub use ids::{Amount, BlockHash, ModelId, NodeId, RequestId, Signature, ValidatorId};
pub use job::{Job, JobEvent, JobEvents, JobFailure, JobResult};
pub use model::{InputError, ModelDescription, ModelInfo, TensorDescription};
pub use receipt::{Inclusion, Opening, Receipt};
pub use record::{Computed, Record, SignedRecord, Tier};
pub use refusal::Refusal;
pub use state::{Account, StateEntry, StateProof};
pub use tensor::{
    ElementType, InferenceRequest, InferenceResponse, Tensor, TensorsError, count_elements,
};
