//! What operators' tools of OpenGradient ask a gateway for beside answers: evidence, heartbeats, and what is refused here.

use crate::{api::Shared, error::ApiError as HttpError, infer::now_ms};
use alloy_primitives::hex;
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use og_opengradient::{ATTESTATION_NONCE_BYTES, ohttp::InnerError, simulated_attestation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::IntoParams;

const NO_HEARTBEATS: &str = "this gateway sends none: rows of the genesis file are active without, unless it says otherwise";
const NO_KEYS: &str = "this gateway takes no keys of other services over HTTP: \
     its operator names files of them in the inference nodes' configuration (upstream_keys)";

/// A refusal as OpenGradient's clients read it.
type Refusal = (StatusCode, Json<Value>);

fn refusal(status: StatusCode, reason: &str) -> Refusal {
    (status, Json(json!({ "error": reason })))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttestationQuery {
    /// 40 hexadecimal digits that nobody can foresee: the document has them.
    nonce: String,
}

/// What vouches for the gateway's keys: nothing yet, in the form of an enclave's document.
///
/// The document names itself simulated, has zeros for measurements and no certificate, and is signed by the gateway's own key.
#[utoipa::path(
    get, path = "/enclave/attestation", params(AttestationQuery),
    responses(
        (status = 200, description = "A COSE_Sign1 message in base64.", body = String, content_type = "text/plain"),
        (status = 400, description = "There is no nonce of 40 hexadecimal digits.", body = crate::error::ErrorBody),
        (status = 404, description = "This gateway has no identity.", body = crate::error::ErrorBody),
    )
)]
pub(crate) async fn attestation(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<AttestationQuery>, QueryRejection>,
) -> Result<String, HttpError> {
    let wrong = || HttpError::invalid("nonce", "has to be 40 hexadecimal digits");
    let Query(query) = query.map_err(|_| wrong())?;
    let nonce: [u8; ATTESTATION_NONCE_BYTES] =
        hex::decode_to_array(&query.nonce).map_err(|_| wrong())?;
    let document = simulated_attestation(shared.identity()?, &nonce, now_ms());
    let document = document.map_err(|error| HttpError::internal(&error))?;
    Ok(BASE64_STANDARD.encode(document))
}

/// Whether the gateway tells the registry that it is there.
#[utoipa::path(get, path = "/heartbeat/status", responses((status = 200, body = Object)))]
pub(crate) async fn heartbeat_status() -> Json<Value> {
    Json(json!({ "enabled": false, "reason": NO_HEARTBEATS }))
}

/// Search the web: refused, for no search is configured.
#[utoipa::path(
    post, path = "/v1/web_search", request_body = Object,
    responses((status = 503, description = "No search is configured: `{\"error\": \"<why>\"}`.", body = Object)),
)]
pub(crate) async fn web_search() -> Refusal {
    let reason = InnerError::WebSearch.to_string();
    refusal(StatusCode::SERVICE_UNAVAILABLE, &reason)
}

/// Hand over keys of other services: refused, for keys are in files of the operator.
#[utoipa::path(
    post, path = "/v1/keys", request_body = Object,
    responses((status = 403, description = "Keys are not taken over HTTP: `{\"error\": \"<why>\"}`.", body = Object)),
)]
pub(crate) async fn provider_keys() -> Refusal {
    refusal(StatusCode::FORBIDDEN, NO_KEYS)
}
