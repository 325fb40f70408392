//! `POST /v1/embeddings`: texts, and a vector for each, signed as any other answer is.

use crate::{
    api::{Shared, read_body},
    ask::{Task, job, run_error},
    dialect::Dialect,
    error::ApiError as HttpError,
    extra,
    infer::now_ms,
    talk::{Whole, refusal},
    visit::Visit,
};
use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use og_dialects::{
    ApiError, Fault, Usage,
    openai::embeddings::{self, Embedded},
};
use og_types::{
    Computed, InferenceRequest, JobResult, Tensor,
    embedding::{RelayedVectors, Texts, Vectors},
};
use std::sync::Arc;

/// Answers a request.
pub(crate) async fn embed(shared: Arc<Shared>, visit: Arc<Visit>, request: Request) -> Response {
    match answer(&shared, &visit, request).await {
        Ok(whole) => whole.into_response(),
        Err(error) => refusal(Dialect::Chat, &error),
    }
}

async fn answer(shared: &Shared, visit: &Visit, request: Request) -> Result<Whole, ApiError> {
    let mut place = shared.place(&request).map_err(HttpError::into_dialect)?;
    let body = read_body(request).await.map_err(HttpError::into_dialect)?;
    place.holds(body.len());
    visit.read(body.len());
    let wanted = embeddings::Request::parse(&body)?;
    drop(body);
    let service = &shared.service;
    let (offers, model) = service.model(&wanted.model, Task::Embeddings).await?;
    visit.asks(&model)?;
    let inputs = Texts {
        texts: wanted.texts,
        dimensions: wanted.dimensions,
    };
    let request = InferenceRequest {
        version: 1,
        model: model.id,
        inputs: inputs
            .to_tensors()
            .map_err(|error| ApiError::new(Fault::Request, error.to_string()))?,
    };
    // There is nothing to sample.
    let job = job(&request, 0)?;
    let judge = |result: &JobResult| service.checker.check(&job, &request, result, now_ms());
    let run = service.nodes.run(&offers, &model.id, &job, judge).await;
    // Inputs are called as the API's parameters are.
    let (result, response) = run.map_err(|error| run_error(error, str::to_owned))?;
    let answer = Answer::of(&result, &response.outputs, inputs.texts.len())?;
    service.keep(&result).map_err(HttpError::into_dialect)?;
    visit.took(answer.prompt_tokens.map(|prompt_tokens| Usage {
        prompt_tokens,
        answer_tokens: 0,
    }));
    let beside = extra::receipts([(&result, answer.relayed_from.as_deref())]);
    let embedded = Embedded {
        vectors: answer.vectors,
        model: wanted.model,
        tokens: answer.prompt_tokens,
    };
    let body = embeddings::whole(&embedded, wanted.encoding, beside);
    Ok(Whole::of(body, &result))
}

/// What a node's outputs say.
struct Answer {
    vectors: Vec<Vec<f32>>,
    /// Tokens of all texts, where they are known.
    prompt_tokens: Option<u32>,
    /// The host that a relayed answer is from.
    relayed_from: Option<String>,
}

impl Answer {
    /// Reads what a node signed for so many texts.
    ///
    /// # Errors
    /// [`ApiError`] if it holds no vectors, or not one for each text; the node is at fault.
    fn of(result: &JobResult, outputs: &[Tensor], texts: usize) -> Result<Self, ApiError> {
        let answer = match result.record.record.computed {
            Computed::Relayed => RelayedVectors::from_tensors(outputs).map(|answer| Self {
                vectors: answer.vectors,
                prompt_tokens: answer.prompt_tokens,
                relayed_from: Some(answer.upstream),
            }),
            _ => Vectors::from_tensors(outputs).map(|answer| Self {
                prompt_tokens: u32::try_from(answer.prompt_tokens.iter().flatten().count()).ok(),
                vectors: answer.vectors,
                relayed_from: None,
            }),
        };
        let reason = match answer {
            Ok(answer) if answer.vectors.len() == texts => return Ok(answer),
            Ok(answer) => format!("{} for {texts}", answer.vectors.len()),
            Err(error) => error.to_string(),
        };
        let message = format!("the node's answer holds no vectors for the texts: {reason}");
        Err(ApiError::new(Fault::Upstream, message))
    }
}
