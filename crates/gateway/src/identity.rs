//! Who this gateway is to OpenGradient's clients: the keys that they read.

use crate::{api::Shared, error::ApiError};
use axum::{Json, extract::State, http::StatusCode};
use og_opengradient::{GatewayIdentity, ohttp::SignedConfig};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

impl Shared {
    /// The keys, if this gateway has any.
    ///
    /// # Errors
    /// [`ApiError`] if it has none.
    pub(crate) fn identity(&self) -> Result<&GatewayIdentity, ApiError> {
        self.identity.as_ref().ok_or_else(|| {
            let reason = "this gateway has no identity: ask one that the registry lists";
            ApiError::new(StatusCode::NOT_FOUND, "no_identity", reason)
        })
    }

    fn signed_config(&self) -> Result<SignedConfig, ApiError> {
        let config = self.identity()?.signed_ohttp_config();
        config.map_err(|error| ApiError::internal(&error))
    }
}

/// The keys of a gateway, as OpenGradient's clients read them.
#[derive(Debug, Serialize)]
struct SigningKeyBody {
    public_key: String,
    tee_id: String,
    /// How far the keys can be trusted: nothing vouches for them yet.
    evidence: &'static str,
    /// OpenGradient's gateways say nothing here either.
    measurements: Option<Value>,
    hpke: SignedConfig,
}

/// What the gateway signs with, and what requests to it are sealed for.
#[utoipa::path(get, path = "/signing-key", responses(
    (status = 200, description = "The public keys.", body = Object),
    (status = 404, description = "This gateway has no identity.", body = crate::error::ErrorBody),
))]
pub(crate) async fn signing_key(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Value>, ApiError> {
    let identity = shared.identity()?;
    let body = SigningKeyBody {
        public_key: identity.signing.public_key_pem(),
        tee_id: identity.signing.tee_id().to_string(),
        evidence: "simulated",
        measurements: None,
        hpke: shared.signed_config()?,
    };
    serde_json::to_value(&body)
        .map(Json)
        .map_err(|error| ApiError::internal(&error))
}

/// What requests to this gateway are sealed for.
#[utoipa::path(get, path = "/v1/ohttp/config", responses(
    (status = 200, description = "The key's configuration, signed.", body = Object),
    (status = 404, description = "This gateway has no identity.", body = crate::error::ErrorBody),
))]
pub(crate) async fn ohttp_config(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Value>, ApiError> {
    serde_json::to_value(shared.signed_config()?)
        .map(Json)
        .map_err(|error| ApiError::internal(&error))
}

/// Whether the gateway is there, as OpenGradient's clients ask.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Object)))]
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({
        "status": "OK",
        "version": env!("CARGO_PKG_VERSION"),
        "tee_enabled": shared.identity.is_some(),
    }))
}
