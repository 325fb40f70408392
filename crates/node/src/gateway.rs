//! The gateway role: requests in, receipts out.

use crate::{
    NodeError, config::GatewayConfig, data_dir::DataDir, keys::read_gateway_identity, network,
};
use og_crypto::genesis_hash;
use og_gateway::{ServeError, config::DEFAULT_RETAINED_BYTES};
use tokio::net::TcpListener;
use tracing::info;

/// What to do when the database cannot be used.
const STORE_ADVICE: &str = "If the disk is full or cannot be written, make room or repair it. \
     If the file is damaged, restore it from a backup, or remove it: then the receipts that nobody \
     has fetched are lost, and nothing else";

/// Runs a gateway until the process is told to stop.
///
/// # Errors
/// [`NodeError`] says what to do.
pub(crate) fn run(config: &GatewayConfig) -> Result<(), NodeError> {
    let genesis = network::read_genesis(&config.genesis)?;
    let genesis_hash = genesis_hash(&genesis);
    let data = DataDir::open(&config.data_dir, genesis_hash, "a gateway")?;
    let listener = crate::bind("gateway", config.listen)?;
    let secure = config.tls_listen.map(|address| crate::bind("TLS", address));
    let secure = secure.transpose()?;
    let operators = crate::bind("operators", config.operator_listen)?;
    let database = data.join("gateway.redb");
    crate::refuse_empty(&database, STORE_ADVICE)?;
    let identity = config.identity.as_deref().map(read_gateway_identity);
    let gateway = og_gateway::GatewayConfig {
        chain_id: genesis.chain_id,
        genesis_hash,
        nodes: config.nodes.clone(),
        validators: config.rpc.clone(),
        data: data.join(""),
        identity: identity.transpose()?,
        keys: config.keys.clone(),
        address_limits: config.address_limits,
        trusted_proxies: config.trusted_proxies.clone(),
        retained_bytes: DEFAULT_RETAINED_BYTES,
    };
    info!(listen = %config.listen, operators = %config.operator_listen, "gateway is up");
    crate::block_on(async move {
        let listener = TcpListener::from_std(listener).map_err(NodeError::Runtime)?;
        let secure = secure.map(TcpListener::from_std).transpose();
        let secure = secure.map_err(NodeError::Runtime)?;
        let operators = TcpListener::from_std(operators).map_err(NodeError::Runtime)?;
        og_gateway::serve(listener, secure, operators, gateway, crate::stop_signal())
            .await
            .map_err(|error| match error {
                ServeError::Store(error) => crate::database_error(database, &error, STORE_ADVICE),
                other => NodeError::Gateway(other),
            })
    })
}
