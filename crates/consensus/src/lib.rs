//! Drive commonware with our chain.
//!
//! Consensus orders block hashes and knows neither EVM nor inference. This crate wires
//! commonware's parts (simplex, marshal, the stateful machine, peer-to-peer channels) to the pure
//! functions of `og-chain`, generic over runtime and network, so that the same code runs in a
//! deterministic simulation and on real sockets and disks.
//!
//! Reading order: [`block`], [`application`] (propose and verify), [`intake`] (what enters the
//! mempool), [`gossip`], `journal` (the mempool on disk), [`epochs`] (one simplex engine per
//! epoch), [`history`] (what is kept), [`probe`] and `startup` (where the network is, and how a
//! node gets there), [`validator`] (all of it wired).

#![forbid(unsafe_code)]

pub mod application;
pub mod block;
pub mod channels;
pub mod epochs;
pub mod gossip;
pub mod history;
pub mod intake;
pub mod journal;
pub mod pool;
pub mod probe;
pub mod schemes;
mod startup;
pub mod throttle;
pub mod validator;
mod warm;

pub use application::{Application, Observer, Undecided};
pub use block::ConsensusBlock;
pub use channels::{Channels, NETWORK_CHANNELS, max_message_bytes};
pub use history::{History, MIN_RETAIN_BLOCKS};
pub use intake::Intake;
pub use pool::Pool;
pub use schemes::{ConsensusScheme, Schemes};
pub use validator::{Config, Timing, Validator};
