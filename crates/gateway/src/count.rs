//! `POST /v1/messages/count_tokens`: how many tokens a model that runs here would read. Nothing is run or signed.

use crate::{
    api::{Shared, read_body},
    ask::{Task, request as inference_request, run_error},
    dialect::Dialect,
    error::ApiError as HttpError,
    talk::refusal,
    visit::Visit,
};
use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use og_dialects::{ApiError, Usage, anthropic, parameter};
use serde_json::Value;
use std::sync::Arc;

/// Answers a request.
pub(crate) async fn count_tokens(
    shared: Arc<Shared>,
    visit: Arc<Visit>,
    request: Request,
) -> Response {
    match count(&shared, &visit, request).await {
        Ok(counted) => Json(counted).into_response(),
        Err(error) => refusal(Dialect::Messages, &error),
    }
}

async fn count(shared: &Shared, visit: &Visit, request: Request) -> Result<Value, ApiError> {
    let mut place = shared.place(&request).map_err(HttpError::into_dialect)?;
    let body = read_body(request).await.map_err(HttpError::into_dialect)?;
    place.holds(body.len());
    visit.read(body.len());
    let wanted = anthropic::Request::parse_count(&body)?;
    let service = &shared.service;
    let (offers, model) = service.model(&wanted.model, Task::Language).await?;
    visit.asks(&model)?;
    let request = inference_request(&model, &wanted.question)?;
    let counted = service.nodes.count_prompt(&offers, &request).await;
    let tokens = counted.map_err(|error| run_error(error, parameter::messages))?;
    // To count costs no tokens.
    visit.took(Some(Usage {
        prompt_tokens: 0,
        answer_tokens: 0,
    }));
    Ok(anthropic::count(tokens))
}
