//! The HTTP interface: paths, bodies, status codes. Its description is generated from here.

use crate::{
    config::{BODY_TIMEOUT, MAX_BODY_BYTES},
    count::count_tokens,
    dialect::Dialect,
    embed::embed,
    enclave::{
        __path_attestation, __path_heartbeat_status, __path_provider_keys, __path_web_search,
        attestation, heartbeat_status, provider_keys, web_search,
    },
    error::{ApiError, ErrorBody},
    identity::{
        __path_health, __path_ohttp_config, __path_signing_key, health, ohttp_config, signing_key,
    },
    infer::{InferAnswer, InferRequest, Service, store_error},
    keys::Gate,
    models::{ModelsBody, OfferedModel},
    sealed::{__path_sealed, sealed},
    settle::blocking,
    store::Answer,
    talk::talk,
    view::receipt_json,
    visit::{Visit, VisitMetrics, attend},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest as _, Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use og_http::{Admission, Place};
use og_opengradient::GatewayIdentity;
use og_types::{Canonical as _, Receipt, RequestId};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Seconds after which to ask again for a receipt that is not there yet.
const RECEIPT_RETRY_SECONDS: &str = "1";
const CBOR: &str = "application/cbor";

#[derive(OpenApi)]
#[openapi(info(
    title = "Gateway",
    description = "Asks models and hands out receipts that anyone can verify offline.",
    license(name = "MIT OR Apache-2.0")
))]
struct Description;

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) service: Arc<Service>,
    /// The keys that OpenGradient's clients know this gateway by, if it has any.
    pub(crate) identity: Option<GatewayIdentity>,
    /// Places for inference requests in progress.
    pub(crate) admission: Admission,
    /// Who may ask.
    pub(crate) gate: Gate,
    /// Whose word counts on whom they ask for.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) visits: VisitMetrics,
}

impl Shared {
    /// A place among the requests in progress.
    ///
    /// # Errors
    /// [`ApiError`] if there is none left.
    pub(crate) fn place(&self, request: &Request) -> Result<Place, ApiError> {
        self.admission.admit(request.body()).ok_or_else(|| {
            ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "too many requests are in progress: try again",
            )
        })
    }
}

/// Where a program learns that the receipt is not there yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingBody {
    /// Always `pending`.
    pub status: &'static str,
}

/// Form of a receipt.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReceiptQuery {
    /// `cbor` for the file that `og verify` takes, `json` for people.
    #[param(value_type = Option<String>)]
    format: Option<ReceiptFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReceiptFormat {
    Cbor,
    Json,
}

fn router() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(infer))
        .routes(routes!(receipt))
        .routes(routes!(models))
        .routes(routes!(chat))
        .routes(routes!(completions))
        .routes(routes!(responses))
        .routes(routes!(embeddings))
        .routes(routes!(messages))
        .routes(routes!(count_tokens_of_messages))
        .routes(routes!(sealed))
        .routes(routes!(ohttp_config))
        .routes(routes!(signing_key))
        .routes(routes!(health))
        .routes(routes!(attestation))
        .routes(routes!(heartbeat_status))
        .routes(routes!(web_search))
        .routes(routes!(provider_keys))
}

/// The interface's OpenAPI description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    router().into_openapi()
}

/// Everything that the gateway answers to.
pub(crate) fn app(shared: Arc<Shared>) -> axum::Router {
    let (router, description) = router().split_for_parts();
    router
        .route("/openapi.json", get(async || Json(description)))
        .fallback(async || {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "no_such_path",
                "no such path: GET /openapi.json describes them",
            )
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path takes another method: GET /openapi.json says which",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(shared.clone(), attend))
        .with_state(shared)
}

/// Ask a model.
///
/// The answer comes at once, signed by the node that computed it; its receipt follows when the
/// record of it is final on the chain.
#[utoipa::path(
    post, path = "/v1/infer", request_body = InferRequest,
    responses(
        (status = 200, body = InferAnswer),
        (status = 400, description = "The request is wrong; `param` says where.", body = ErrorBody),
        (status = 401, description = "The gateway needs an API key, and this is none that it knows.", body = ErrorBody),
        (status = 403, description = "The API key is for other models.", body = ErrorBody),
        (status = 404, description = "No node offers the model.", body = ErrorBody),
        (status = 408, description = "The body came too slowly.", body = ErrorBody),
        (status = 409, description = "The request id was used before.", body = ErrorBody),
        (status = 413, description = "The request is too large.", body = ErrorBody),
        (status = 422, description = "The node cannot run the model on these inputs.", body = ErrorBody),
        (status = 429, description = "Too many requests in progress, or the client has used what it may; `Retry-After` says when to come back.", body = ErrorBody),
        (status = 502, description = "No node gave a sound answer.", body = ErrorBody),
        (status = 503, description = "No node is there, or the chain is behind.", body = ErrorBody),
    )
)]
async fn infer(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Result<Json<InferAnswer>, ApiError> {
    let mut place = shared.place(&request)?;
    let body = read_body(request).await?;
    place.holds(body.len());
    shared.service.infer(body.into(), &visit).await.map(Json)
}

pub(crate) async fn read_body(request: Request) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body is longer than {MAX_BODY_BYTES} bytes"),
            ))
        }
        Ok(Err(rejection)) => Err(ApiError::new(
            rejection.status(),
            "unreadable_body",
            rejection.body_text(),
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!(
                "the body did not arrive within {} s",
                BODY_TIMEOUT.as_secs()
            ),
        )),
    }
}

/// Fetch the receipt of an answer.
#[utoipa::path(
    get, path = "/v1/receipts/{request_id}",
    params(
        ("request_id" = String, Path, description = "The request's id, `0x` and 64 hexadecimal digits."),
        ReceiptQuery,
    ),
    responses(
        (status = 200, description = "The receipt: a file for `og verify`, or JSON if that is asked for.", content(
            (Vec<u8> = "application/cbor"),
            (Object = "application/json"),
        )),
        (status = 202, description = "Not final yet; ask again.", body = PendingBody),
        (status = 400, description = "Not a request id.", body = ErrorBody),
        (status = 404, description = "Unknown, or no longer kept.", body = ErrorBody),
        (status = 410, description = "The chain did not admit the record; the message says why.", body = ErrorBody),
    )
)]
async fn receipt(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<RequestId>, PathRejection>,
    query: Result<Query<ReceiptQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid("request_id", error.body_text()))?;
    let Query(query) = query.map_err(|error| ApiError::invalid("format", error.body_text()))?;
    let store = shared.service.store.clone();
    let answer = blocking(move || store.answer(&id))
        .await
        .map_err(store_error)?;
    match answer {
        Some(Answer::Final(bytes)) => match receipt_format(&query, &headers) {
            ReceiptFormat::Cbor => Ok(receipt_file(&id, bytes)),
            ReceiptFormat::Json => {
                let receipt =
                    Receipt::from_bytes(&bytes).map_err(|error| ApiError::internal(&error))?;
                Ok(Json(receipt_json(&receipt)).into_response())
            }
        },
        Some(Answer::Pending) => Ok((
            StatusCode::ACCEPTED,
            [(RETRY_AFTER, RECEIPT_RETRY_SECONDS)],
            Json(PendingBody { status: "pending" }),
        )
            .into_response()),
        Some(Answer::Failed(reason)) => {
            Err(ApiError::new(StatusCode::GONE, "not_admitted", reason))
        }
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "receipt_not_found",
            "this gateway knows no such request, or no longer keeps its receipt",
        )),
    }
}

fn receipt_format(query: &ReceiptQuery, headers: &HeaderMap) -> ReceiptFormat {
    query.format.unwrap_or_else(|| {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        match accepted {
            Some(accepted) if accepted.contains("application/json") && !accepted.contains(CBOR) => {
                ReceiptFormat::Json
            }
            _ => ReceiptFormat::Cbor,
        }
    })
}

fn receipt_file(id: &RequestId, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{id}.receipt\"");
    (
        [
            (CONTENT_TYPE, CBOR.to_owned()),
            (CONTENT_DISPOSITION, disposition),
        ],
        bytes,
    )
        .into_response()
}

/// List the models that can be asked.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelsBody)))]
async fn models(State(shared): State<Arc<Shared>>) -> Json<ModelsBody> {
    let offers = shared.service.nodes.offers().await;
    let data = offers
        .models()
        .into_iter()
        .map(|(model, nodes)| OfferedModel::new(&model, nodes))
        .collect();
    Json(ModelsBody {
        object: "list",
        data,
    })
}

/// Go on with a conversation, as OpenAI's API does.
#[utoipa::path(
    post, path = "/v1/chat/completions", request_body = Object,
    responses(
        (status = 200, description = "OpenAI's `chat.completion`, or a stream of `chat.completion.chunk`, with `og_receipt` beside.", body = Object),
        (status = "4XX", description = "The request cannot be answered; `param` says where.", body = ErrorBody),
        (status = "5XX", description = "No node gave a sound answer.", body = ErrorBody),
    )
)]
async fn chat(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    talk(shared, visit, Dialect::Chat, request).await
}

/// Go on with a text, as OpenAI's older API does.
#[utoipa::path(
    post, path = "/v1/completions", request_body = Object,
    responses(
        (status = 200, description = "OpenAI's `text_completion`, whole or streamed, with `og_receipt` beside.", body = Object),
        (status = "4XX", description = "The request cannot be answered; `param` says where.", body = ErrorBody),
        (status = "5XX", description = "No node gave a sound answer.", body = ErrorBody),
    )
)]
async fn completions(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    talk(shared, visit, Dialect::Completions, request).await
}

/// Go on with a list of items, as OpenAI's newer API does. Nothing is kept: a request holds the whole conversation.
#[utoipa::path(
    post, path = "/v1/responses", request_body = Object,
    responses(
        (status = 200, description = "OpenAI's `response`, or a stream of its events, with `og_receipt` beside.", body = Object),
        (status = "4XX", description = "The request cannot be answered; `param` says where.", body = ErrorBody),
        (status = "5XX", description = "No node gave a sound answer.", body = ErrorBody),
    )
)]
async fn responses(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    talk(shared, visit, Dialect::Responses, request).await
}

/// Make vectors of texts, as OpenAI's API does.
#[utoipa::path(
    post, path = "/v1/embeddings", request_body = Object,
    responses(
        (status = 200, description = "OpenAI's list of `embedding`, with `og_receipt` beside.", body = Object),
        (status = "4XX", description = "The request cannot be answered; `param` says where.", body = ErrorBody),
        (status = "5XX", description = "No node gave a sound answer.", body = ErrorBody),
    )
)]
async fn embeddings(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    embed(shared, visit, request).await
}

/// Go on with a conversation, as Anthropic's API does.
#[utoipa::path(
    post, path = "/v1/messages", request_body = Object,
    responses(
        (status = 200, description = "Anthropic's `message`, or a stream of its events, with `og_receipt` beside.", body = Object),
        (status = "4XX", description = "The request cannot be answered, in Anthropic's shape.", body = Object),
        (status = "5XX", description = "No node gave a sound answer, in Anthropic's shape.", body = Object),
    )
)]
async fn messages(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    talk(shared, visit, Dialect::Messages, request).await
}

/// Count the tokens of a conversation, as Anthropic's API does. Only models that run on nodes can.
#[utoipa::path(
    post, path = "/v1/messages/count_tokens", request_body = Object,
    responses(
        (status = 200, description = "`{\"input_tokens\"}`: the tokens that the model would read.", body = Object),
        (status = "4XX", description = "The tokens cannot be counted, in Anthropic's shape.", body = Object),
        (status = "5XX", description = "No node gave a sound answer, in Anthropic's shape.", body = Object),
    )
)]
async fn count_tokens_of_messages(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    count_tokens(shared, visit, request).await
}
