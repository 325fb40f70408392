//! Keep HTTP servers within bounds.
//!
//! What axum leaves open and every server of the network needs. So far: how many connections.

#![forbid(unsafe_code)]

mod listener;

pub use listener::{BoundedListener, Connection};
