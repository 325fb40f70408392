//! The relay role: sealed requests in, sealed answers out.

use crate::{NodeError, config::RelayConfig, data_dir::DataDir, network};
use og_chain::contracts::TEE_REGISTRY;
use og_crypto::genesis_hash;
use tokio::net::TcpListener;
use tracing::info;

/// Runs a relay until the process is told to stop.
///
/// # Errors
/// [`NodeError`] says what to do.
pub(crate) fn run(config: &RelayConfig) -> Result<(), NodeError> {
    let genesis = network::read_genesis(&config.genesis)?;
    let _data = DataDir::open(&config.data_dir, genesis_hash(&genesis), "a relay")?;
    let listener = crate::bind("relay", config.listen)?;
    let operators = crate::bind("operators", config.operator_listen)?;
    let relay = og_relay::RelayConfig {
        rpc: config.rpc.clone(),
        chain_id: genesis.chain_id,
        registry: TEE_REGISTRY,
        trusted_proxies: config.trusted_proxies.clone(),
    };
    info!(listen = %config.listen, operators = %config.operator_listen, "relay is up");
    crate::block_on(async move {
        let listener = TcpListener::from_std(listener).map_err(NodeError::Runtime)?;
        let operators = TcpListener::from_std(operators).map_err(NodeError::Runtime)?;
        og_relay::serve(listener, operators, &relay, crate::stop_signal()).await?;
        Ok(())
    })
}
