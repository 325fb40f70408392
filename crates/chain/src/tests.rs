//! The crate's suites: each runs blocks on a chain that lives in a map.

mod admission;
mod codec;
mod contracts;
mod execution;
mod headers;
pub(crate) mod support;
