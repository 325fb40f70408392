//! One request from its JSON to its answer.

use crate::{
    check::ResultChecker,
    error::ApiError,
    http::excerpt,
    in_flight::{Claim, InFlight},
    nodes::{Nodes, Offers, RunError},
    settle::{Queue, blocking},
    store::{Store, StoreError},
    visit::Visit,
};
use alloy_primitives::{Address, Bytes};
use axum::http::StatusCode;
use og_types::{
    Amount, Canonical as _, Computed, InferenceRequest, InferenceResponse, Job, JobResult, ModelId,
    NodeId, RequestId, Tier,
    limits::MAX_PAYLOAD_BYTES,
    tensor_json::{TensorJsonError, tensors_from_json, tensors_to_json},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use utoipa::ToSchema;

/// A question to a model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InferRequest {
    /// Name or id (`0x` and 64 hexadecimal digits) of the model.
    #[schema(example = "digits")]
    pub model: String,
    /// The model's inputs by name: nested arrays of numbers, or `{"shape", "dtype", "data"}`.
    #[schema(value_type = Object)]
    pub inputs: Value,
    /// How the answer shall be trusted.
    #[serde(default = "default_tier")]
    #[schema(value_type = String, example = "signed", default = "signed")]
    pub tier: Tier,
    /// Name for this request: 32 bytes in hexadecimal, used once. Chosen at random if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub request_id: Option<RequestId>,
    /// Seed of the sampling, for models that sample.
    #[serde(default)]
    pub seed: u64,
}

fn default_tier() -> Tier {
    Tier::Signed
}

/// A model's answer, before its record is final.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InferAnswer {
    /// Name of the request: the key to its receipt.
    #[schema(value_type = String)]
    pub request_id: RequestId,
    /// Id of the model that answered.
    #[schema(value_type = String)]
    pub model: ModelId,
    /// The model's outputs by name, each as `{"shape", "dtype", "data"}`.
    #[schema(value_type = Object)]
    pub outputs: Value,
    /// How the answer was computed: `exact`, `float` or `relayed`.
    #[schema(value_type = String)]
    pub computed: Computed,
    /// How the answer can be trusted.
    #[schema(value_type = String)]
    pub tier: Tier,
    /// The node that answered.
    #[schema(value_type = String)]
    pub node: NodeId,
    /// The signed record's canonical bytes in hexadecimal.
    #[schema(value_type = String)]
    pub record: Bytes,
    /// Where the receipt will be.
    pub receipt_url: String,
}

/// What it takes to answer requests.
pub(crate) struct Service {
    pub(crate) nodes: Nodes,
    pub(crate) checker: ResultChecker,
    pub(crate) store: Arc<Store>,
    pub(crate) queue: Queue,
    pub(crate) in_flight: InFlight,
}

impl Service {
    /// Has a node answer the request in `body`, stores the answer, leaves its record to the
    /// settler.
    pub(crate) async fn infer(&self, body: Bytes, visit: &Visit) -> Result<InferAnswer, ApiError> {
        let offers = self.nodes.offers().await;
        if offers.answering() == 0 {
            return Err(ApiError::unavailable(
                "no_node",
                "no inference node answers: try again, or ask the operator",
            ));
        }
        let (question, job) = prepare(&offers, &body, visit)?;
        drop(body);
        let _claim = self.claim(&job.request_id).await?;
        let judge = |result: &JobResult| self.checker.check(&job, &question, result, now_ms());
        let (result, response) = self
            .nodes
            .run(&offers, &question.model, &job, judge)
            .await
            .map_err(run_error)?;
        let answer = answer(&result, &response)?;
        self.keep(&result)?;
        Ok(answer)
    }

    /// Reserves a request id, so that no node is asked to answer it twice.
    async fn claim(&self, id: &RequestId) -> Result<Claim<'_>, ApiError> {
        let claim = self
            .in_flight
            .claim(*id)
            .ok_or_else(|| store_error(StoreError::Duplicate(*id)))?;
        let (store, id) = (self.store.clone(), *id);
        let known = blocking(move || store.answer(&id))
            .await
            .map_err(store_error)?;
        match known {
            Some(_) => Err(store_error(StoreError::Duplicate(id))),
            None => Ok(claim),
        }
    }

    /// Stores the answer before anybody sees it, and leaves its record to the settler.
    ///
    /// # Errors
    /// [`ApiError`] if it cannot be stored.
    pub(crate) fn keep(&self, result: &JobResult) -> Result<(), ApiError> {
        self.store.add_pending(result).map_err(store_error)?;
        self.queue.push(result.record.record.request_id);
        Ok(())
    }
}

/// Reads a request. There is no waiting in here: JSON takes many times its size in memory while
/// it is read, and so only as many are at once as there are threads.
fn prepare(
    offers: &Offers,
    body: &[u8],
    visit: &Visit,
) -> Result<(InferenceRequest, Job), ApiError> {
    let request = parse(body)?;
    let model = offers.find(&request.model).ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "model_not_found",
            "no node offers this model: GET /v1/models lists those that are offered",
        )
        .about("model")
    })?;
    visit.asks(&model)?;
    let question = InferenceRequest {
        version: 1,
        model: model.id,
        inputs: tensors_from_json(&request.inputs, &model.description).map_err(input_error)?,
    };
    let bytes = question.to_bytes();
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "inputs_too_large",
            format!(
                "the inputs take {} bytes, {MAX_PAYLOAD_BYTES} are allowed",
                bytes.len()
            ),
        )
        .about("inputs"));
    }
    let job = Job {
        version: 1,
        request_id: request
            .request_id
            .unwrap_or_else(|| RequestId(rand::random())),
        payer: Address::ZERO,
        price: Amount(0),
        tier: request.tier,
        seed: request.seed,
        request: bytes.into(),
    };
    Ok((question, job))
}

fn parse(body: &[u8]) -> Result<InferRequest, ApiError> {
    let invalid = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message);
    // Serde would take an array for a structure, field by field.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(invalid("the body must be a JSON object".to_owned()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let request = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let invalid = invalid(error.into_inner().to_string());
        // The root has no name; the message then says which field is missing or unknown.
        match path.as_str() {
            "." | "?" => invalid,
            _ => invalid.about(path),
        }
    })?;
    deserializer
        .end()
        .map_err(|error| invalid(error.to_string()))?;
    Ok(request)
}

fn input_error(error: TensorJsonError) -> ApiError {
    let param = match &error {
        TensorJsonError::Form { name, .. }
        | TensorJsonError::Ragged { name }
        | TensorJsonError::TooLarge { name }
        | TensorJsonError::Element { name, .. } => Some(name.as_str()),
        TensorJsonError::Input(error) => error.input(),
        _ => None,
    };
    let param = param.map_or_else(
        || "inputs".to_owned(),
        |name| format!("inputs.{}", excerpt(name)),
    );
    ApiError::invalid(param, excerpt(&error.to_string()))
}

fn answer(result: &JobResult, response: &InferenceResponse) -> Result<InferAnswer, ApiError> {
    let record = &result.record.record;
    let outputs = tensors_to_json(&response.outputs).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "outputs_not_representable",
            error.to_string(),
        )
    })?;
    Ok(InferAnswer {
        request_id: record.request_id,
        model: record.model,
        outputs,
        computed: record.computed,
        tier: record.tier,
        node: record.node,
        record: result.record.to_bytes().into(),
        receipt_url: format!("/v1/receipts/{}", record.request_id),
    })
}

fn run_error(error: RunError) -> ApiError {
    match error {
        RunError::Rejected(rejection) => {
            let status = rejection.status;
            let (param, message) = rejection.told(|input| match input {
                "seed" => input.to_owned(),
                input => format!("inputs.{input}"),
            });
            let param = param.unwrap_or_else(|| "inputs".to_owned());
            ApiError::new(status, "rejected_by_node", message).about(param)
        }
        RunError::Busy(reason) => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", reason)
        }
        RunError::NoneAnswered(reason) => ApiError::new(
            StatusCode::BAD_GATEWAY,
            "no_answer",
            format!("no node gave an answer that can be passed on; the last one: {reason}"),
        ),
    }
}

pub(crate) fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::Duplicate(_) => {
            ApiError::new(StatusCode::CONFLICT, "request_id_used", error.to_string())
                .about("request_id")
        }
        StoreError::Full => ApiError::unavailable("chain_behind", error.to_string()),
        other => ApiError::internal(&other),
    }
}

/// Our clock, Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        })
}
