//! Assembling a gateway from its configuration and running it.

use crate::{
    api::{Shared, app},
    chain::Validator,
    check::ResultChecker,
    config::{GatewayConfig, MAX_CONNECTIONS, MAX_IN_FLIGHT},
    http::client,
    in_flight::InFlight,
    infer::Service,
    nodes::Nodes,
    settle::Settler,
    store::{Store, StoreError},
};
use futures::FutureExt as _;
use og_crypto::RecordVerifier;
use og_http::BoundedListener;
use std::{future::Future, io, sync::Arc};
use tokio::{net::TcpListener, sync::Semaphore};

/// Why a gateway could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It was told of no inference node or no validator.
    #[error("the gateway's configuration names no {0}: give it at least one URL")]
    Missing(&'static str),
    /// Its database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No HTTP client could be made.
    #[error("the HTTP client cannot be set up")]
    Client(#[from] reqwest::Error),
    /// The listener failed.
    #[error("the gateway's listener failed")]
    Listener(#[from] io::Error),
}

/// Serves requests on `listener` until `shutdown` completes and the requests in progress have
/// been answered. Records that are not final by then are taken up again at the next start.
///
/// # Errors
/// [`ServeError`] says what the gateway lacks.
pub async fn serve(
    listener: TcpListener,
    config: GatewayConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if config.nodes.is_empty() {
        return Err(ServeError::Missing("inference node"));
    }
    if config.validators.is_empty() {
        return Err(ServeError::Missing("validator"));
    }
    let client = client()?;
    let store = Arc::new(Store::open(&config.database, config.retained_bytes)?);
    let validators: Vec<_> = config
        .validators
        .iter()
        .map(|url| Validator::new(client.clone(), url.clone()))
        .collect();
    let (settler, queue) = Settler::new(store.clone(), validators.clone());
    let service = Service {
        nodes: Nodes::new(client, &config.nodes),
        checker: ResultChecker {
            chain_id: config.chain_id,
            verifier: RecordVerifier::new(&config.genesis_hash),
        },
        store,
        queue,
        in_flight: InFlight::default(),
    };
    let app = app(Arc::new(Shared {
        service,
        validators,
        in_flight: Semaphore::new(MAX_IN_FLIGHT),
    }));
    let shutdown = shutdown.shared();
    let listener = BoundedListener::new(listener, MAX_CONNECTIONS);
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone());
    let server = async { server.await.map_err(ServeError::from) };
    let settler = async { settler.run(shutdown).await.map_err(ServeError::from) };
    futures::try_join!(server, settler)?;
    Ok(())
}
