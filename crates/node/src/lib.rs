//! Assemble the roles into processes.
//!
//! [`run`] is the life of one process: it reads what its configuration names, checks that it all
//! belongs to one chain, starts the role and stops it on a signal. [`network`] makes the files of
//! a new network.

#![forbid(unsafe_code)]

mod chain_api;
pub mod config;
pub mod data_dir;
mod gateway;
mod inference;
pub mod keys;
mod logging;
pub mod network;
mod validator;

use config::NodeConfig;
use og_types::ValidatorId;
use std::{io, net::SocketAddr};

pub use logging::LogFilterError;

/// Why a node cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The log filter cannot be understood.
    #[error(transparent)]
    Log(#[from] LogFilterError),
    /// A key file is missing or is no key.
    #[error(transparent)]
    Key(#[from] keys::KeyFileError),
    /// A file of the network is missing or malformed.
    #[error(transparent)]
    Network(#[from] network::NetworkError),
    /// The genesis file is not one that a chain can start from.
    #[error(transparent)]
    Rules(#[from] og_chain::rules::RulesError),
    /// The folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] data_dir::DataDirError),
    /// The seat key names no validator.
    #[error("{0} is not a validator of this chain: check seat_key and genesis")]
    NoSeat(ValidatorId),
    /// The consensus key is no validator's.
    #[error(
        "the consensus key is not that of a validator of this chain: check consensus_key and genesis"
    )]
    NoVote,
    /// A validator of the chain has no address in the configuration.
    #[error("the address of validator {0} is not known: add it to peers")]
    UnknownPeer(ValidatorId),
    /// A port cannot be listened on.
    #[error(
        "cannot listen on {address} for {purpose}: {source}. Stop what uses the port, or configure another"
    )]
    Listen {
        /// What for.
        purpose: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The index of blocks failed.
    #[error(transparent)]
    Index(#[from] og_rpc::index::IndexError),
    /// The model folder cannot be used.
    #[error(transparent)]
    Models(#[from] og_engine::LibraryError),
    /// JSON-RPC failed.
    #[error("JSON-RPC failed: {0}")]
    Rpc(og_rpc::ServeError),
    /// The inference node's list of answered requests cannot be used.
    #[error(transparent)]
    Ledger(#[from] og_inference::LedgerError),
    /// The inference server failed.
    #[error("the inference server failed: {0}")]
    Inference(io::Error),
    /// The gateway failed.
    #[error(transparent)]
    Gateway(#[from] og_gateway::ServeError),
    /// The runtime failed.
    #[error("the runtime failed: {0}")]
    Runtime(io::Error),
    /// Part of the node ended.
    #[error("the node stopped: {0}. Restart it; it recovers by itself")]
    Actor(String),
}

/// Runs one node until the process is told to stop (SIGINT or SIGTERM).
///
/// # Errors
/// [`NodeError`] says what is wrong and what to do.
pub fn run(config: &NodeConfig) -> Result<(), NodeError> {
    logging::start(config.log())?;
    match config {
        NodeConfig::Validator(config) => validator::run(config),
        NodeConfig::Inference(config) => inference::run(config),
        NodeConfig::Gateway(config) => gateway::run(config),
    }
}

/// Listens on `address`, ready to be handed to tokio.
fn bind(purpose: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, NodeError> {
    let listen = |source| NodeError::Listen {
        purpose,
        address,
        source,
    };
    let listener = std::net::TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    Ok(listener)
}

/// Runs `service` on a runtime of its own.
fn block_on(service: impl Future<Output = Result<(), NodeError>>) -> Result<(), NodeError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?
        .block_on(service)
}

/// Resolves when the process is told to stop.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
