//! The relay's HTTP interface: `POST /api/v1/chat/ohttp`.

use crate::{
    RelayError, answer,
    config::{
        BODY_TIMEOUT, MAX_BUFFERED_BYTES, MAX_BUFFERED_BYTES_EACH, MAX_CONNECTIONS,
        MAX_CONNECTIONS_EACH, MAX_REQUESTS, MAX_REQUESTS_EACH, RelayConfig,
    },
    directory::{Directory, FindError},
    error::Failure,
    operated::OperatedRelay,
    registry::Registry,
};
use alloy_primitives::B256;
use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest as _, Request, State},
    http::{HeaderMap, Response, StatusCode, header},
    routing::post,
};
use futures::FutureExt as _;
use og_http::{Connection, RequestMetrics, Share, Shares, Transport, operator};
use og_opengradient::ohttp::{
    self, CHUNKED_RESPONSE_MEDIA_TYPE, MAX_REQUEST_BYTES, REQUEST_MEDIA_TYPE, RESPONSE_MEDIA_TYPE,
    STREAM_HEADER, TEE_ID_HEADER,
};
use std::{net::IpAddr, sync::Arc};
use tokio::{net::TcpListener, time::timeout};
use tracing::warn;

/// Buffered bytes are counted in units of so many.
const BUFFER_UNIT_BYTES: usize = 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) directory: Directory,
    pub(crate) requests: Shares,
    buffers: Shares,
    proxies: Vec<IpAddr>,
}

/// Serves clients on `listener`, and the relay's operators on `operators`, until `shutdown` is
/// ready; answers that were begun go on for at most [`og_http::DRAIN_TIMEOUT`].
///
/// # Errors
/// [`RelayError`] says what is wrong with the configuration.
pub async fn serve(
    listener: TcpListener,
    operators: TcpListener,
    config: &RelayConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RelayError> {
    let units = |bytes: usize| bytes.div_ceil(BUFFER_UNIT_BYTES);
    let relay = Arc::new(Relay {
        directory: Directory::new(Registry::new(config)?),
        requests: Shares::new(MAX_REQUESTS, MAX_REQUESTS_EACH),
        buffers: Shares::new(units(MAX_BUFFERED_BYTES), units(MAX_BUFFERED_BYTES_EACH)),
        proxies: config.trusted_proxies.clone(),
    });
    let mut registry = operator::registry("relay");
    let app = RequestMetrics::register(&mut registry).observe(router(Arc::clone(&relay)));
    let operated = Arc::new(OperatedRelay::new(Arc::clone(&relay), registry));
    let shutdown = shutdown.shared();
    // All clients may come through one proxy.
    let most_each = match config.trusted_proxies.is_empty() {
        true => MAX_CONNECTIONS_EACH,
        false => MAX_CONNECTIONS,
    };
    let places = Shares::new(MAX_CONNECTIONS, most_each);
    let servers = futures::future::join(
        og_http::serve(listener, app, Transport::Http1, places, shutdown.clone()),
        operator::serve(operators, operated, shutdown),
    );
    tokio::select! {
        _ = servers => {}
        () = relay.directory.keep_fresh() => {}
    }
    Ok(())
}

fn router(relay: Arc<Relay>) -> Router {
    Router::new()
        .route("/api/v1/chat/ohttp", post(chat))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "no such path") })
        .method_not_allowed_fallback(|| async {
            let message = "the path takes another method";
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(relay)
}

async fn chat(
    State(relay): State<Arc<Relay>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Result<Response<Body>, Failure> {
    let headers = request.headers();
    let client = og_http::client(connection.peer(), headers, &relay.proxies);
    let place = relay.requests.try_take(client, 1);
    let place = place.ok_or_else(Failure::busy)?;
    let tee_id = tee_id(headers)?;
    let accept = accept(headers)?;
    let buffer = relay.buffer(client, headers)?;
    let sealed = read(request).await?;
    let gateway = relay.directory.find(tee_id).await.map_err(not_found)?;
    let answer = gateway.ask(sealed, accept).await.map_err(|error| {
        warn!(%tee_id, %error, "a gateway does not answer");
        Failure::gateway("the gateway does not answer: try again, or seal for another one")
    })?;
    // The request is sent, and gone.
    drop(buffer);
    answer::pass_on(tee_id, answer, place).await
}

fn tee_id(headers: &HeaderMap) -> Result<B256, Failure> {
    let name = headers.get(TEE_ID_HEADER);
    let tee_id = name.and_then(|name| ohttp::tee_id(name.as_bytes()));
    tee_id.ok_or_else(|| {
        let message = "X-TEE-ID has to name the gateway by 64 hexadecimal digits";
        Failure::new(StatusCode::BAD_REQUEST, message)
    })
}

/// The kind of answer that the gateway is to give.
fn accept(headers: &HeaderMap) -> Result<&'static str, Failure> {
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let is_sealed = value(header::CONTENT_TYPE.as_str())
        .is_some_and(|value| value.eq_ignore_ascii_case(REQUEST_MEDIA_TYPE.as_bytes()));
    if !is_sealed {
        let message = format!("a request has to be sealed: send it as {REQUEST_MEDIA_TYPE}");
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let (stream, accept) = (value(STREAM_HEADER), value(header::ACCEPT.as_str()));
    Ok(match ohttp::wants_chunks(stream, accept) {
        true => CHUNKED_RESPONSE_MEDIA_TYPE,
        false => RESPONSE_MEDIA_TYPE,
    })
}

impl Relay {
    /// Room for a request as long as its head says, or as long as any may be.
    fn buffer(&self, client: IpAddr, headers: &HeaderMap) -> Result<Share, Failure> {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let length: usize = length.unwrap_or(MAX_REQUEST_BYTES);
        if length > MAX_REQUEST_BYTES {
            return Err(too_large());
        }
        let units = u32::try_from(length.div_ceil(BUFFER_UNIT_BYTES)).unwrap_or(u32::MAX);
        let buffer = self.buffers.try_take(client, units);
        buffer.ok_or_else(Failure::busy)
    }
}

async fn read(request: Request) -> Result<Bytes, Failure> {
    let body = timeout(BODY_TIMEOUT, Bytes::from_request(request, &()));
    let body = body.await.map_err(|_| {
        let seconds = BODY_TIMEOUT.as_secs();
        let message = format!("the request did not arrive within {seconds} s");
        Failure::new(StatusCode::REQUEST_TIMEOUT, message)
    })?;
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        status => Failure::new(status, "the request broke off"),
    })
}

fn too_large() -> Failure {
    let message = format!("a sealed request has at most {MAX_REQUEST_BYTES} bytes");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

fn not_found(error: FindError) -> Failure {
    match error {
        FindError::Unknown => {
            let message =
                "the registry has no active gateway of this name that takes sealed requests";
            Failure::new(StatusCode::NOT_FOUND, message)
        }
        FindError::Stale => {
            let message = "the relay cannot read the registry: try again later";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }
}
