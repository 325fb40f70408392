//! Decide which blocks are valid: state transition, EVM, records.
//!
//! Pure: no clock, no I/O, no randomness. A block is a function of its parent's header and state;
//! [`execute`](execute()) checks one, [`build`](build()) makes one, and both make the same writes.
//! State is read through a [`Source`]. A [`Cache`] is one: what it does not hold comes back as
//! [`Attempt::Missing`], to be fetched by the caller, who runs the computation again. Roots of the state are the caller's to check: the database computes them.
//!
//! Reading order: [`state`], [`block`], [`rules`], [`header`], [`transaction`], [`execute`](mod@execute),
//! [`records`], [`registry`], [`contracts`], [`precompile`], [`mempool`].

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

pub mod block;
pub mod build;
pub mod call;
pub mod contracts;
mod evm;
pub mod execute;
pub mod fees;
pub mod genesis;
pub mod header;
pub mod mempool;
pub mod nullifiers;
pub mod precompile;
pub mod prefetch;
pub mod receipts;
pub mod records;
pub mod registry;
pub mod rules;
mod runner;
pub mod simulate;
pub mod state;
pub mod transaction;
mod view;

#[cfg(test)]
mod tests;

pub use block::{Block, BlockDecodeError};
pub use build::{Built, Candidates, build};
pub use call::{CallError, CallOutcome, CallRequest};
pub use evm::Context;
pub use execute::{BlockError, Effects, Executed, execute};
pub use header::{HeaderError, Slot};
pub use mempool::Mempool;
pub use prefetch::{prefetch_block, prefetch_candidates};
pub use receipts::{Log, TransactionReceipt};
pub use records::{RecordError, VerifiedRecord};
pub use rules::{Rules, RulesError};
pub use simulate::{Simulation, SimulationError};
pub use state::{Account, Attempt, Cache, Key, Source, StateCommitment, Value};
pub use transaction::{Transaction, TransactionError};
pub use view::{Changes, StateError, View, Writes};
