//! What makes connections: kept open between requests, over TLS wherever the address says so, through the environment's proxy
//! only encrypted.

use crate::{Limits, UpstreamAuthority, UpstreamError};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::{
            Client, ResponseFuture,
            connect::{HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use og_http::{Lane, Lanes};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tower::{BoxError, ServiceBuilder, util::BoxCloneSyncService};

/// How long a connection without requests is kept: less than the 5 seconds after which vLLM's server closes it.
const IDLE: Duration = Duration::from_secs(4);

/// Makes connections, directly or through a proxy.
type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// The clients of one server. Over HTTP/2 each has one connection; over HTTP/1.1, which is all that is spoken without TLS, one
/// client makes as many connections as it needs.
#[derive(Debug)]
pub(crate) struct Clients {
    lanes: Lanes,
    /// One for each lane.
    all: Vec<Client<Connector, Full<Bytes>>>,
}

impl Clients {
    /// Clients for as many requests at once to a server.
    pub(crate) fn new(
        server: &Uri,
        max_requests: usize,
        authorities: &[UpstreamAuthority],
        limits: &Limits,
    ) -> Result<Self, UpstreamError> {
        let encrypted = server.scheme_str() == Some("https");
        let lanes = Lanes::for_requests(if encrypted { max_requests } else { 1 });
        let proxy = encrypted.then(|| Matcher::from_env().intercept(server));
        let tcp = tcp();
        let connector = match proxy.flatten() {
            None => connector(tls(tcp, authorities)?, limits),
            Some(proxy) => {
                let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                let tunnel = match proxy.basic_auth() {
                    Some(password) => tunnel.with_auth(password.clone()),
                    None => tunnel,
                };
                connector(tls(tunnel, authorities)?, limits)
            }
        };
        let client = |_| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build(connector.clone())
        };
        Ok(Self {
            all: (0..lanes.count()).map(client).collect(),
            lanes,
        })
    }

    /// A place for one more request, to be held until its answer was read.
    pub(crate) fn lane(&self) -> Lane<'_> {
        self.lanes.take()
    }

    /// Sends a request. Dropping the future or the response drops the request.
    #[expect(clippy::indexing_slicing, reason = "there is a client for each lane")]
    pub(crate) fn send(&self, request: Request<Full<Bytes>>, lane: &Lane<'_>) -> ResponseFuture {
        self.all[lane.number()].request(request)
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

/// TLS for addresses that say so, with servers whose certificates browsers would trust, or one of `authorities` signed.
fn tls<T>(tcp: T, authorities: &[UpstreamAuthority]) -> Result<HttpsConnector<T>, UpstreamError> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for authority in authorities {
        let added = roots.add(authority.0.clone());
        added.map_err(|error| UpstreamError::Authority(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::Client(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp))
}

/// Any way to connect, bounded in time.
fn connector<S>(connect: S, limits: &Limits) -> Connector
where
    S: tower::Service<Uri, Response = MaybeHttpsStream<TokioIo<TcpStream>>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let bounded = ServiceBuilder::new().timeout(limits.connect);
    BoxCloneSyncService::new(bounded.service(connect))
}
