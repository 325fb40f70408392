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
    InferenceRequest, JobResult, Tensor,
    embedding::{RelayedVectors, Texts},
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
    let vectors = vectors(&response.outputs, inputs.texts.len())?;
    service.keep(&result).map_err(HttpError::into_dialect)?;
    visit.took(vectors.prompt_tokens.map(|prompt_tokens| Usage {
        prompt_tokens,
        answer_tokens: 0,
    }));
    let beside = extra::receipts([(&result, Some(vectors.upstream.as_str()))]);
    let embedded = Embedded {
        vectors: vectors.vectors,
        model: wanted.model,
        tokens: vectors.prompt_tokens,
    };
    let body = embeddings::whole(&embedded, wanted.encoding, beside);
    Ok(Whole::of(body, &result))
}

/// The vectors in a node's outputs: as many as there are texts.
fn vectors(outputs: &[Tensor], texts: usize) -> Result<RelayedVectors, ApiError> {
    let unfit = |reason: String| {
        ApiError::new(
            Fault::Upstream,
            format!("the node's answer holds no vectors for the texts: {reason}"),
        )
    };
    let vectors =
        RelayedVectors::from_tensors(outputs).map_err(|error| unfit(error.to_string()))?;
    match vectors.vectors.len() == texts {
        true => Ok(vectors),
        false => Err(unfit(format!("{} for {texts}", vectors.vectors.len()))),
    }
}
