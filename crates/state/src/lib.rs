//! Keep chain state in an authenticated database.
//!
//! The only crate that names QMDB, commonware's authenticated database: what it stores, how it is
//! configured, and how the chain's pure functions are run against it. A change of its version
//! changes this crate alone.

#![forbid(unsafe_code)]

mod access;
mod database;
mod draft;
mod run;
mod sync;

pub use access::{StateError, prove_latest, read_latest};
pub use database::{
    Batch, Database, DatabaseConfig, Databases, Merkleized, Operation, commitment, database_config,
    empty_commitment, is_empty, sync_target,
};
pub use draft::Draft;
pub use run::run;
pub use sync::{
    MAX_OPERATIONS, PeerConfig, Request, Response, StatePeers, decode_response, max_payload_bytes,
};
