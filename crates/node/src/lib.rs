//! Assemble the roles into processes.
//!
//! [`run`] is the life of one process: it reads what its configuration names, checks that it all
//! belongs to one chain, starts the role and stops it on a signal. [`network`] makes the files of
//! a new network.

#![forbid(unsafe_code)]

mod chain_api;
pub mod config;
pub mod data_dir;
mod figures;
mod files;
mod gateway;
mod inference;
pub mod keys;
mod logging;
pub mod network;
mod open_files;
mod operated;
mod relay;
mod validator;

use config::NodeConfig;
use og_types::ValidatorId;
use std::{
    error::Error,
    io,
    net::SocketAddr,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub use logging::{LogFilterError, LoggingError};
pub use og_gateway::{KeyLimits, KeysError, NewKey};
pub use og_http::{Check, Readiness};

/// How long work that cannot be interrupted (a model that runs) may hold up the end of a process.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a node cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Logging, or what hands out traces, cannot start.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
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
    /// A database cannot be used.
    #[error("cannot use the database {}: {reason}. {advice}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The model folder cannot be used.
    #[error(transparent)]
    Models(#[from] og_engine::LibraryError),
    /// JSON-RPC cannot be served.
    #[error(transparent)]
    Rpc(#[from] og_rpc::MethodsError),
    /// The gateway failed.
    #[error(transparent)]
    Gateway(og_gateway::ServeError),
    /// The relay failed.
    #[error(transparent)]
    Relay(#[from] og_relay::RelayError),
    /// The system lets the process open too few files.
    #[error(
        "the system lets this process open {allowed} files and connections, it needs {needed}: \
         raise the limit, for example with ulimit -n {needed}, or LimitNOFILE= in its systemd unit"
    )]
    OpenFiles {
        /// The limit.
        allowed: u64,
        /// The least that is enough.
        needed: u64,
    },
    /// The runtime failed.
    #[error("the runtime failed: {0}")]
    Runtime(io::Error),
    /// Part of the node ended.
    #[error("the node stopped: {0}. Restart it; it recovers by itself")]
    Actor(String),
    /// Something failed where to go on could have done harm.
    #[error(
        "the node stopped because it could not go on safely: {reason}. Start it again: it recovers by itself. \
         If it says the same again, and the disk is sound, its data is damaged: restore {} from a backup",
        data_dir.display()
    )]
    Fatal {
        /// What failed.
        reason: String,
        /// Where the node keeps its data.
        data_dir: PathBuf,
    },
    /// The same, and now the disk cannot be written.
    #[error(
        "the node stopped because it could not go on safely: {reason}. The reason is the disk: {disk}. \
         Then start the node again: it recovers by itself"
    )]
    Disk {
        /// What failed.
        reason: String,
        /// What the disk says.
        disk: data_dir::DataDirError,
    },
}

/// Runs one node until the process is told to stop (SIGINT or SIGTERM).
///
/// # Errors
/// [`NodeError`] says what is wrong and what to do.
pub fn run(config: &NodeConfig) -> Result<(), NodeError> {
    let traces = logging::start(config.log(), config.traced_as())?;
    open_files::raise()?;
    // What fails where to go on could do harm (signing something wrong, forgetting what was
    // signed) panics; so do libraries on files that are not what they wrote.
    let run = || match config {
        NodeConfig::Validator(config) => validator::run(config),
        NodeConfig::Inference(config) => inference::run(config),
        NodeConfig::Gateway(config) => gateway::run(config),
        NodeConfig::Relay(config) => relay::run(config),
    };
    let ended = match catch_unwind(run) {
        Ok(result) => result,
        // Tasks that are ended in the middle of something may miss each other.
        Err(_) if STOPPING.load(Ordering::Relaxed) => {
            tracing::warn!("stopped in the middle of a step; the next start recovers it");
            Ok(())
        }
        Err(_) => Err(fatal(config.data_dir())),
    };
    if let Some(traces) = traces {
        traces.shutdown();
    }
    ended
}

/// Why the process cannot go on after a panic.
fn fatal(data_dir: &Path) -> NodeError {
    let reason = logging::first_panic();
    match data_dir::try_writing(data_dir) {
        Ok(()) => NodeError::Fatal {
            reason,
            data_dir: data_dir.to_owned(),
        },
        Err(disk) => NodeError::Disk { reason, disk },
    }
}

/// Refuses a database that exists and is empty: it would be taken for a new one, and what was
/// promised in it would be forgotten.
fn refuse_empty(path: &Path, advice: &'static str) -> Result<(), NodeError> {
    match path.metadata() {
        Ok(metadata) if metadata.len() == 0 => Err(NodeError::Database {
            path: path.to_owned(),
            reason: "the file is empty".to_owned(),
            advice,
        }),
        // Opening it says what is wrong with it otherwise.
        _ => Ok(()),
    }
}

/// An error of a database with everything that caused it, and `advice` if the file is damaged.
fn database_error(path: PathBuf, error: &dyn Error, advice: &'static str) -> NodeError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reason.push_str(": ");
        reason.push_str(&error.to_string());
        source = error.source();
    }
    NodeError::Database {
        path,
        reason,
        advice,
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let result = runtime.block_on(service);
    runtime.shutdown_timeout(STOP_TIMEOUT);
    result
}

/// Whether the process has been told to stop.
static STOPPING: AtomicBool = AtomicBool::new(false);

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
    STOPPING.store(true, Ordering::Relaxed);
    tracing::info!("stopping: told to");
}
