//! JSON-RPC as an HTTP application, and its limits.

use crate::{
    chain::Chain,
    eth::{Ethereum, EthereumApiServer as _},
    history::{History, HistoryApiServer as _},
    logs::{Logs, LogsApiServer as _},
    metrics::{CallMetrics, Counted},
    network::{Network, NetworkApiServer as _},
    states::States,
    trace::{Debug, DebugApiServer as _},
};
use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use jsonrpsee::{
    RpcModule,
    core::{RegisterMethodError, middleware::RpcServiceBuilder},
    server::{BatchRequestConfig, Server, ServerConfig, stop_channel},
};
use og_http::RequestMetrics;
use prometheus_client::registry::Registry;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tower::ServiceExt as _;

/// Bytes of one request: a transaction of the largest size in hexadecimal, and batches.
pub const MAX_REQUEST_BYTES: u32 = 2 * 1024 * 1024;
/// Bytes of one response: a full block with all its transactions as JSON.
pub const MAX_RESPONSE_BYTES: u32 = 32 * 1024 * 1024;
/// Connections that are open at the same time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 512;
/// Requests that are answered at the same time; more are told to come back.
pub const MAX_REQUESTS: u32 = 512;
/// Calls in one batch.
pub const MAX_BATCH: u32 = 100;
/// Longest time that a request may take, from its head to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Two methods have one name.
#[derive(Debug, thiserror::Error)]
#[error("the JSON-RPC methods clash: {0}")]
pub struct MethodsError(#[from] RegisterMethodError);

/// JSON-RPC for `chain` at the path `/`, with its figures in `registry`.
///
/// # Errors
/// [`MethodsError`] if two methods have one name.
pub fn app<C: Chain>(chain: C, registry: &mut Registry) -> Result<Router, MethodsError> {
    let chain = Arc::new(chain);
    let mut methods = RpcModule::new(());
    let states = Arc::new(States::new(chain.clone()));
    methods.merge(Ethereum::new(states.clone()).into_rpc())?;
    methods.merge(Debug(states).into_rpc())?;
    methods.merge(History(chain.clone()).into_rpc())?;
    methods.merge(Logs::new(chain.clone()).into_rpc())?;
    methods.merge(Network(chain).into_rpc())?;
    let metrics = CallMetrics::register(methods.method_names(), registry);
    let config = ServerConfig::builder()
        .http_only()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_REQUESTS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .build();
    // Only WebSockets listen to it; stopping is the matter of whoever serves this application.
    let (stop, _) = stop_channel();
    let service = Server::builder()
        .set_config(config)
        .set_rpc_middleware(RpcServiceBuilder::new().layer_fn(move |service| Counted {
            service,
            metrics: metrics.clone(),
        }))
        .to_service_builder()
        .build(methods, stop);
    let answer = async move |request: Request| -> Response {
        match timeout(REQUEST_TIMEOUT, service.clone().oneshot(request)).await {
            Ok(Ok(response)) => response.into_response(),
            Ok(Err(error)) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    };
    let app = Router::new().route("/", any(answer));
    Ok(RequestMetrics::register(registry).observe(app))
}
