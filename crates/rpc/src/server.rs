//! The HTTP server and its limits.

use crate::{
    chain::Chain,
    eth::{Ethereum, EthereumApiServer as _},
    network::{Network, NetworkApiServer as _},
};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    server::{BatchRequestConfig, Server, ServerConfig},
};
use std::{future::Future, io, sync::Arc};
use tokio::net::TcpListener;

/// Bytes of one request: a transaction of the largest size in hexadecimal, and batches.
pub const MAX_REQUEST_BYTES: u32 = 2 * 1024 * 1024;
/// Bytes of one response: a full block with all its transactions as JSON.
pub const MAX_RESPONSE_BYTES: u32 = 32 * 1024 * 1024;
/// Connections that are open at the same time; more are told to come back.
pub const MAX_CONNECTIONS: u32 = 512;
/// Calls in one batch.
pub const MAX_BATCH: u32 = 100;

/// Why JSON-RPC could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener cannot be used.
    #[error("the JSON-RPC listener failed")]
    Listener(#[from] io::Error),
    /// Two methods have one name.
    #[error("the JSON-RPC methods clash")]
    Methods(#[from] RegisterMethodError),
}

/// Serves JSON-RPC over HTTP for `chain` on `listener` until `shutdown` completes.
///
/// # Errors
/// [`ServeError`] if the listener cannot be used.
pub async fn serve<C: Chain>(
    listener: TcpListener,
    chain: C,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let chain = Arc::new(chain);
    let mut methods = RpcModule::new(());
    methods.merge(Ethereum::new(chain.clone()).into_rpc())?;
    methods.merge(Network(chain).into_rpc())?;
    let config = ServerConfig::builder()
        .http_only()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_CONNECTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .build();
    let server = Server::builder()
        .set_config(config)
        .build_from_tcp(listener.into_std()?)?
        .start(methods);
    shutdown.await;
    // It fails only if the server has stopped already.
    let _ = server.stop();
    server.stopped().await;
    Ok(())
}
