//! The gateway role: requests in, receipts out.

use crate::{NodeError, config::GatewayConfig, data_dir::DataDir, network};
use og_crypto::genesis_hash;
use og_gateway::config::DEFAULT_RETAINED_BYTES;
use tokio::net::TcpListener;
use tracing::info;

/// Runs a gateway until the process is told to stop.
///
/// # Errors
/// [`NodeError`] says what to do.
pub(crate) fn run(config: &GatewayConfig) -> Result<(), NodeError> {
    let genesis = network::read_genesis(&config.genesis)?;
    let genesis_hash = genesis_hash(&genesis);
    let data = DataDir::open(&config.data_dir, genesis_hash)?;
    let listener = crate::bind("gateway", config.listen)?;
    let gateway = og_gateway::GatewayConfig {
        chain_id: genesis.chain_id,
        genesis_hash,
        nodes: config.nodes.clone(),
        validators: config.rpc.clone(),
        database: data.join("gateway.redb"),
        retained_bytes: DEFAULT_RETAINED_BYTES,
    };
    info!(listen = %config.listen, "gateway is up");
    crate::block_on(async move {
        let listener = TcpListener::from_std(listener).map_err(NodeError::Runtime)?;
        og_gateway::serve(listener, gateway, crate::stop_signal())
            .await
            .map_err(NodeError::Gateway)
    })
}
