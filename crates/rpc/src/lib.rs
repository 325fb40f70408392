//! Answer Ethereum and network JSON-RPC.
//!
//! [`app`] answers for whatever implements [`Chain`]; [`index`] is the store of final blocks
//! that a validator keeps for it.
//!
//! Reading order: [`index`], [`chain`], `eth`, `states`, `calls`, `simulations`, `trace`, `history`, `logs`, `pool`,
//! `network`, `views`, [`server`], `subscriptions`, [`faucet`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

mod calls;
pub mod chain;
pub mod error;
mod eth;
pub mod faucet;
mod history;
pub mod index;
mod logs;
mod metrics;
mod network;
mod overrides;
mod patience;
mod pool;
pub mod server;
mod simulations;
mod states;
mod subscriptions;
mod trace;
mod views;

pub use chain::{Chain, MempoolSize, ProvenView, ReadError, StateView, SubmitError, Waiting};
pub use faucet::Faucet;
pub use index::Index;
pub use server::{Access, AccessError, MethodsError, app};
