//! The crate's suites: each runs blocks on a chain that lives in a map.

mod admission;
mod codec;
mod contracts;
mod execution;
mod headers;
mod native_move;
mod opg;
mod opg_signatures;
mod predeploys;
mod simulations;
pub(crate) mod support;
mod tee_registry;
