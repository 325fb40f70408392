//! Run a whole network from a seed.
//!
//! The validators' own code (consensus, chain, records) on commonware's deterministic runtime and
//! simulated network: links delay and lose messages, one validator crashes and comes back, clients
//! submit good and bad transactions and records. Checkers look at every finalized block. The same
//! seed gives the same history, bit for bit.

#![forbid(unsafe_code)]

mod checks;
mod network;
mod workload;
mod world;

pub use network::{Options, Outcome, simulate};
