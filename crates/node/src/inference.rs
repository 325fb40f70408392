//! The inference role: a folder of models, a key that signs, an HTTP server.

use crate::{
    NodeError,
    config::{InferenceConfig, UpstreamKeySource},
    data_dir::DataDir,
    keys::{self, KeyFileError},
    network,
};
use alloy_primitives::B256;
use og_crypto::genesis_hash;
use og_engine::{Library, UpstreamAccess};
use og_inference::{Ledger, Worker, WorkerConfig};
use rand::RngExt as _;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;
use tracing::info;

/// What to do when the ledger cannot be used.
const LEDGER_ADVICE: &str = "If the disk is full or cannot be written, make room or repair it. \
     If it is damaged, leave the node stopped for an hour, then remove the folder: what it \
     remembered matters no longer";

/// Runs an inference node until the process is told to stop.
///
/// # Errors
/// [`NodeError`] says what to do.
pub(crate) fn run(config: &InferenceConfig) -> Result<(), NodeError> {
    let genesis = network::read_genesis(&config.genesis)?;
    let genesis_hash = genesis_hash(&genesis);
    let key = keys::read_node_key(&config.node_key)?;
    let owner = format!("inference node {}", key.id());
    let data = DataDir::open(&config.data_dir, genesis_hash, &owner)?;
    let listener = crate::bind("inference", config.listen)?;
    let operators = crate::bind("operators", config.operator_listen)?;
    let ledger = data.join("ledger");
    let library = Library::open(&config.models_dir)?.with_upstream_access(access(config)?);
    let worker = Worker::new(WorkerConfig {
        payee: config.payee,
        chain_id: genesis.chain_id,
        genesis_hash,
        library: Arc::new(library),
        ledger: Ledger::open(&ledger, now_ms())
            .map_err(|error| crate::database_error(ledger, &error, LEDGER_ADVICE))?,
        clock: Arc::new(now_ms),
        salts: Arc::new(|| B256::from(rand::rng().random::<[u8; 32]>())),
        key,
    });
    info!(node = %worker.node_id(), listen = %config.listen, operators = %config.operator_listen, "inference node is up");
    crate::block_on(async move {
        let listener = TcpListener::from_std(listener).map_err(NodeError::Runtime)?;
        let operators = TcpListener::from_std(operators).map_err(NodeError::Runtime)?;
        og_inference::serve(listener, operators, Arc::new(worker), crate::stop_signal()).await;
        Ok(())
    })
}

/// What the node has for services that its models ask.
fn access(config: &InferenceConfig) -> Result<UpstreamAccess, KeyFileError> {
    let keys = config.upstream_keys.iter().map(|(host, source)| {
        let key = match source {
            UpstreamKeySource::File(path) => keys::read_upstream_key(path)?,
            UpstreamKeySource::Environment { env } => keys::upstream_key_of_environment(env)?,
        };
        Ok((host.clone(), key))
    });
    let authorities = config.upstream_authorities.as_deref();
    Ok(UpstreamAccess {
        keys: keys.collect::<Result<_, KeyFileError>>()?,
        authorities: authorities.map_or_else(|| Ok(vec![]), keys::read_authorities)?,
    })
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| {
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    })
}
