//! JSON-RPC over HTTP and WebSocket, and its limits.
//!
//! A message on a WebSocket is answered as the body of an HTTP request would be, by the same
//! service; only subscriptions need the connection.

mod access;
mod sending;
mod turns;
mod websocket;

pub(crate) use access::Client;
pub use access::{Access, AccessError};

use crate::{
    chain::Chain,
    error::{CODE_INVALID_REQUEST, CODE_PARSE_ERROR, CODE_TIMEOUT, with_code},
    eth::{Ethereum, EthereumApiServer as _},
    faucet::Faucet,
    history::{History, HistoryApiServer as _},
    logs::{Logs, LogsApiServer as _},
    metrics::{self, CallMetrics, Counted},
    network::{Network, NetworkApiServer as _},
    patience::{Patience, PatienceApiServer as _},
    pool::{PoolApiServer as _, PoolMethods},
    states::States,
    subscriptions::{Subscriptions, SubscriptionsApiServer as _},
    trace::{Debug, DebugApiServer as _},
};
use axum::{
    Extension, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
    routing::get,
};
use jsonrpsee::{
    RpcModule,
    core::{BoxError, RegisterMethodError, middleware::RpcServiceBuilder},
    server::{BatchRequestConfig, HttpResponse, Server as JsonRpc, ServerConfig, stop_channel},
    types::{Id, Response as JsonRpcResponse, ResponsePayload},
};
use og_http::{RequestMetrics, Shares};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use sending::Sending;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tower::{ServiceExt as _, util::BoxCloneSyncService};
use turns::{InTurn, Turns};

/// Bytes of one request: a transaction of the largest size in hexadecimal, and batches.
pub const MAX_REQUEST_BYTES: u32 = 2 * 1024 * 1024;
/// Bytes of one response: a full block with all its transactions as JSON.
pub const MAX_RESPONSE_BYTES: u32 = 32 * 1024 * 1024;
/// Connections that are open at the same time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 512;
/// Connections that one client may have open at the same time; more are refused.
pub const MAX_CONNECTIONS_OF_CLIENT: usize = MAX_CONNECTIONS / 2;
/// Connections that may be WebSockets, so that some are always left for HTTP.
pub const MAX_WEBSOCKETS: usize = MAX_CONNECTIONS / 2;
/// WebSockets that one client may have.
pub const MAX_WEBSOCKETS_OF_CLIENT: usize = MAX_WEBSOCKETS / 2;
/// Calls in one batch.
pub const MAX_BATCH: u32 = 100;
/// Longest time that a request may take, from its head to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Two methods have one name.
#[derive(Debug, thiserror::Error)]
#[error("the JSON-RPC methods clash: {0}")]
pub struct MethodsError(#[from] RegisterMethodError);

/// The connections of one server of [`app`]: for [`og_http::serve`].
pub fn connections() -> Shares {
    Shares::new(MAX_CONNECTIONS, MAX_CONNECTIONS_OF_CLIENT)
}

/// JSON-RPC for `chain` at the path `/`, for whom `access` lets in, with its figures in `registry`;
/// and a faucet beside it, if there is one. It must be served by [`og_http::serve`], which says who the clients are.
///
/// # Errors
/// [`MethodsError`] if two methods have one name.
pub fn app<C: Chain>(
    chain: C,
    access: Access,
    faucet: Option<Faucet>,
    registry: &mut Registry,
) -> Result<Router, MethodsError> {
    let chain = Arc::new(chain);
    let methods = methods(chain.clone(), registry)?;
    let server = Server {
        rpc: service(methods, registry),
        sending: Arc::default(),
        open_websockets: metrics::gauge("rpc_websockets", "WebSockets that are open", registry),
        websockets: Arc::new(Shares::new(MAX_WEBSOCKETS, MAX_WEBSOCKETS_OF_CLIENT)),
    };
    let mut app = Router::new()
        .route("/", get(websocket::upgrade).post(answer))
        .with_state(server);
    if let Some(faucet) = faucet {
        app = app.merge(faucet.route(chain));
    }
    Ok(RequestMetrics::register(registry).observe(access.guard(app)))
}

/// Every method that is served.
fn methods<C: Chain>(
    chain: Arc<C>,
    registry: &mut Registry,
) -> Result<RpcModule<()>, MethodsError> {
    let mut methods = RpcModule::new(());
    let states = Arc::new(States::new(chain.clone()));
    methods.merge(Ethereum::new(states.clone()).into_rpc())?;
    methods.merge(Debug(states).into_rpc())?;
    methods.merge(History(chain.clone()).into_rpc())?;
    methods.merge(Logs::new(chain.clone()).into_rpc())?;
    methods.merge(Patience(chain.clone()).into_rpc())?;
    methods.merge(PoolMethods(chain.clone()).into_rpc())?;
    let open = metrics::gauge("rpc_subscriptions", "Subscriptions of WebSockets", registry);
    methods.merge(Subscriptions::new(chain.clone(), open).into_rpc())?;
    methods.merge(Network(chain).into_rpc())?;
    Ok(methods)
}

/// What answers a POST of JSON-RPC.
type Service = BoxCloneSyncService<Request, HttpResponse, BoxError>;

fn service(methods: RpcModule<()>, registry: &mut Registry) -> Service {
    let metrics = CallMetrics::register(methods.method_names(), registry);
    let turns = Arc::new(Turns::default());
    let config = ServerConfig::builder()
        // WebSockets are ours: jsonrpsee takes as many messages at once as a client sends.
        .http_only()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        // What bounds them is the number of connections, and of messages on each.
        .max_connections(u32::MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .build();
    // Only jsonrpsee's WebSockets listen to it.
    let (stop, _) = stop_channel();
    let middleware = RpcServiceBuilder::new()
        .layer_fn(move |service| Counted {
            service,
            metrics: metrics.clone(),
        })
        .layer_fn(move |service| InTurn {
            service,
            turns: turns.clone(),
        });
    let service = JsonRpc::builder()
        .set_config(config)
        .set_rpc_middleware(middleware)
        .to_service_builder()
        .build(methods, stop);
    BoxCloneSyncService::new(service)
}

/// What HTTP and WebSockets share.
#[derive(Clone)]
struct Server {
    rpc: Service,
    sending: Arc<Sending>,
    websockets: Arc<Shares>,
    open_websockets: Gauge,
}

impl Server {
    /// Answers a POST, whichever way it came.
    async fn answer(&self, request: Request) -> Response<Bytes> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let (head, body) = request.into_parts();
        let most_bytes = usize::try_from(MAX_REQUEST_BYTES).unwrap_or(usize::MAX);
        let body = match timeout_at(deadline, to_bytes(body, most_bytes)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                let (status, code) = (StatusCode::PAYLOAD_TOO_LARGE, CODE_INVALID_REQUEST);
                return refusal(status, Id::Null, code, TOO_LONG);
            }
            Err(_) => {
                return refusal(
                    StatusCode::REQUEST_TIMEOUT,
                    Id::Null,
                    CODE_TIMEOUT,
                    TOO_SLOW,
                );
            }
        };
        let answer = timeout_at(deadline, self.call(Request::from_parts(head, body.clone())));
        let busy = |_| {
            refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                id(&body),
                CODE_TIMEOUT,
                BUSY,
            )
        };
        answer.await.unwrap_or_else(busy)
    }

    /// Answers a POST in whatever time it takes.
    async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        let nonsense = |why| refusal(StatusCode::BAD_REQUEST, Id::Null, CODE_PARSE_ERROR, why);
        // jsonrpsee does not look.
        if str::from_utf8(request.body()).is_err() {
            return nonsense(NOT_UTF8);
        }
        let response = match self.rpc.clone().oneshot(request.map(Body::from)).await {
            Ok(response) => response,
            Err(error) => return nonsense(&error.to_string()),
        };
        let (head, body) = response.into_parts();
        // It is there as a whole, and was bounded when it was made.
        let body = to_bytes(Body::new(body), usize::MAX).await;
        let body = body.unwrap_or_default();
        // What jsonrpsee has for a notification, which has no answer.
        let is_answer = body.as_ref() != b"null";
        Response::from_parts(head, if is_answer { body } else { Bytes::new() })
    }
}

/// The id of a call, if `body` is one.
fn id(body: &[u8]) -> Id<'_> {
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        id: Id<'a>,
    }
    serde_json::from_slice(body).map_or(Id::Null, |call: Call<'_>| call.id)
}

/// What a request is told that was not answered within [`REQUEST_TIMEOUT`], in Ethereum's words.
const BUSY: &str =
    "request timed out: the node is busy, or the calls of a batch take too long together";
/// What a request is told that was not sent within [`REQUEST_TIMEOUT`].
const TOO_SLOW: &str = "request timed out: it was sent too slowly";
/// What a request is told that has more than [`MAX_REQUEST_BYTES`].
const TOO_LONG: &str = "content length too large: split the batch, or send less data";
/// What a request is told that is no text.
const NOT_UTF8: &str = "parse error: the request is not UTF-8";

/// The answer to a request that does not reach any method.
fn refusal(status: StatusCode, id: Id<'_>, code: i32, message: &str) -> Response<Bytes> {
    let error = ResponsePayload::<()>::error(with_code(code, message));
    let body = JsonRpcResponse::new(error, id);
    // It can be written: there is nothing in it but text and numbers.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

async fn answer(
    State(server): State<Server>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    server.sending.bound(client, server.answer(request).await)
}
