//! Serve inference over HTTP and hand out receipts.
//!
//! A request goes to an inference node, whose answer is judged, stored and only then passed on;
//! its record then travels to the validators in the background, and its receipt is kept from the
//! moment it is final. The gateway decides nothing about truth: what it hands out, anyone can
//! verify without it.
//!
//! Reading order: `api`, `keys` and `visit` (who asks, and what that uses), `infer` (tensors), `talk` and `ask` (language models), `nodes`, `check`, `store`, `settle`, `chain`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

mod api;
mod ask;
mod chain;
mod check;
pub mod config;
mod count;
mod dialect;
mod embed;
mod enclave;
mod error;
mod extra;
mod http;
mod identity;
mod in_flight;
mod infer;
mod keys;
mod models;
mod nodes;
mod operated;
mod reply;
mod sealed;
mod server;
mod settle;
mod store;
mod talk;
mod view;
mod visit;

pub use api::openapi;
pub use config::GatewayConfig;
pub use keys::{KeysError, Limits as KeyLimits, NewKey};
pub use server::{ServeError, serve};
pub use store::StoreError;
