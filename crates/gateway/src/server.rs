//! Assembling a gateway from its configuration and running it.

use crate::{
    api::{Shared, app},
    chain::Validator,
    check::ResultChecker,
    config::{GatewayConfig, MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_HELD_BYTES, MAX_IN_FLIGHT},
    http::client,
    in_flight::InFlight,
    infer::Service,
    keys::{Gate, Keys, KeysError, KeysFile, follow},
    nodes::Nodes,
    operated::{OperatedGateway, SettlementMetrics},
    settle::Settler,
    store::{Store, StoreError},
    visit::VisitMetrics,
};
use futures::{FutureExt as _, future::OptionFuture};
use og_crypto::RecordVerifier;
use og_http::{Admission, RequestMetrics, Shares, Tls, TlsError, Transport, operator};
use std::{future::Future, sync::Arc, time::Instant};
use tokio::net::TcpListener;

/// Why a gateway could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It was told of no inference node or no validator.
    #[error("the gateway's configuration names no {0}: give it at least one URL")]
    Missing(&'static str),
    /// The address of a node or a validator is none.
    #[error("{url}, named as the address of the {of}, cannot be used: {reason}")]
    Address {
        /// Whose it is.
        of: &'static str,
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It shall serve TLS and has no certificate.
    #[error(
        "TLS needs the certificate of an identity: name one in the configuration, or no address for TLS"
    )]
    NoCertificate,
    /// Its certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its file of keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Serves requests on `listener`, over TLS with the identity's certificate on `secure`, and the gateway's operators on
/// `operators`, until `shutdown` completes; requests in progress are answered first, within [`og_http::DRAIN_TIMEOUT`]. Records
/// that are not final by then are taken up again at the next start.
///
/// # Errors
/// [`ServeError`] says what the gateway lacks.
pub async fn serve(
    listener: TcpListener,
    secure: Option<TcpListener>,
    operators: TcpListener,
    config: GatewayConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if config.nodes.is_empty() {
        return Err(ServeError::Missing("inference node"));
    }
    if config.validators.is_empty() {
        return Err(ServeError::Missing("validator"));
    }
    let tls = match (&secure, &config.identity) {
        (None, _) => None,
        (Some(_), None) => return Err(ServeError::NoCertificate),
        (Some(_), Some(identity)) => {
            let identity = &identity.tls;
            let tls = Tls::new(&[identity.certificate()], identity.private_key())?;
            Some(tls)
        }
    };
    let mut registry = operator::registry("gateway");
    let client = client();
    let (keys_file, keys) = match &config.keys {
        Some(path) => KeysFile::open(path).map(|(file, keys)| (Some(file), keys))?,
        None => (None, Keys::without_file(config.address_limits)),
    };
    let store = Arc::new(Store::open(&config.data, config.retained_bytes)?);
    let validators: Vec<_> = config
        .validators
        .iter()
        .map(|url| Validator::new(client.clone(), url.clone()))
        .collect::<Result<_, _>>()?;
    let (settler, queue) = Settler::new(
        store.clone(),
        validators.clone(),
        SettlementMetrics::register(&mut registry),
    );
    let shared = Arc::new(Shared {
        service: Arc::new(Service {
            nodes: Nodes::new(&config.nodes)?,
            checker: ResultChecker {
                chain_id: config.chain_id,
                verifier: RecordVerifier::new(&config.genesis_hash),
            },
            store,
            queue,
            in_flight: InFlight::default(),
        }),
        identity: config.identity,
        admission: Admission::new(MAX_IN_FLIGHT, MAX_HELD_BYTES, MAX_BODY_BYTES),
        gate: Gate::new(keys, Instant::now()),
        trusted_proxies: config.trusted_proxies,
        visits: VisitMetrics::register(&mut registry),
    });
    let app = RequestMetrics::register(&mut registry).observe(app(shared.clone()));
    let operated = OperatedGateway::new(shared.clone(), validators, registry);
    let shutdown = shutdown.shared();
    // All clients may come through one proxy.
    let places = || Shares::new(MAX_CONNECTIONS, MAX_CONNECTIONS);
    let secure = secure.zip(tls).map(|(secure, tls)| {
        let (app, shutdown) = (app.clone(), shutdown.clone());
        og_http::serve(secure, app, Transport::Tls(tls), places(), shutdown)
    });
    let server = og_http::serve(listener, app, Transport::Plain, places(), shutdown.clone());
    let servers = futures::future::join(server, OptionFuture::from(secure));
    let operators = operator::serve(operators, Arc::new(operated), shutdown.clone());
    let served = futures::future::join3(servers, operators, settler.run(shutdown));
    tokio::select! {
        _ = served => Ok(()),
        never = follow(keys_file, &shared.gate) => match never {},
    }
}
