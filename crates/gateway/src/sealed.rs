//! Sealed requests (OHTTP): a conversation that whoever carries it cannot look into.
//!
//! What is inside is what `/v1/chat/completions` takes and gives. Failures of it are sealed as well: a relay learns how long
//! answers are, and nothing else.

use crate::{
    api::{Shared, read_body},
    dialect::Dialect,
    error::ApiError as HttpError,
    talk::{Frames, Talk, refusal},
    visit::Visit,
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::stream;
use og_dialects::{ApiError, Fault, openai::Style};
use og_opengradient::ohttp::{
    self, CHUNKED_RESPONSE_MEDIA_TYPE, ChunkSealer, InnerError, OhttpError, RESPONSE_MEDIA_TYPE,
    Responder, STREAM_HEADER,
};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};

/// Ask a model through a relay.
#[utoipa::path(
    post, path = "/v1/ohttp", request_body(content = Vec<u8>, content_type = "message/ohttp-req"),
    responses(
        (status = 200, description = "The sealed answer, whole or in chunks; failures of a request that opens are sealed too.", content(
            (Vec<u8> = "message/ohttp-res"),
            (Vec<u8> = "message/ohttp-chunked-res"),
        )),
        (status = 400, description = "The request cannot be opened: `{\"error\": \"<why>\"}`.", body = Object),
        (status = 401, description = "The gateway needs an API key beside the sealed request, and this is none that it knows.", body = Object),
        (status = 404, description = "This gateway has no key for sealed requests.", body = Object),
        (status = 429, description = "Too many requests in progress.", body = Object),
    )
)]
pub(crate) async fn sealed(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    let answered = answer(shared, visit, request).await;
    answered.unwrap_or_else(|error| refusal(Dialect::Sealed, &error.into_dialect()))
}

/// The sealed answer; what is wrong with the envelope, or with this gateway, is not sealed.
async fn answer(
    shared: Arc<Shared>,
    visit: Arc<Visit>,
    request: Request,
) -> Result<Response, HttpError> {
    let mut place = shared.place(&request)?;
    let chunked = wants_chunks(request.headers());
    let body = read_body(request).await?;
    place.holds(body.len());
    let identity = shared.identity()?;
    let (inner, responder) = identity.ohttp.open(&body).map_err(|error| cannot(&error))?;
    let talk = async {
        let question = ohttp::question(&inner, chunked).map_err(|error| no_question(&error))?;
        let wanted = Dialect::Sealed.parse(&question, Style::OpenGradient)?;
        Talk::begin(shared.clone(), visit, wanted, inner.into(), place).await
    };
    let talk = talk.await;
    if !chunked {
        let answer = match talk {
            Ok(talk) => talk.whole().await.map(|whole| whole.body),
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| failure(&error));
        let sealed = responder.seal(rand::random(), answer.to_string().as_bytes());
        let sealed = sealed.map_err(|error| HttpError::internal(&error))?;
        return Ok(([(CONTENT_TYPE, RESPONSE_MEDIA_TYPE)], sealed).into_response());
    }
    let frames = match talk {
        Ok(talk) => talk.stream().await,
        Err(error) => Err(error),
    };
    chunks(frames, responder).map_err(|error| HttpError::internal(&error))
}

fn wants_chunks(headers: &HeaderMap) -> bool {
    let stream = headers.get(STREAM_HEADER).map(|value| value.as_bytes());
    let accept = headers.get(ACCEPT).map(|value| value.as_bytes());
    ohttp::wants_chunks(stream, accept)
}

fn cannot(error: &OhttpError) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "not_opened", error.to_string())
}

fn no_question(error: &InnerError) -> ApiError {
    let fault = match error {
        InnerError::WebSearch => Fault::Busy,
        InnerError::Json(_) | InnerError::Endpoint => Fault::Request,
    };
    ApiError::new(fault, error.to_string())
}

/// A failure, as clients find it in place of an answer.
fn failure(error: &ApiError) -> Value {
    json!({"status": error.fault.status(), "body": error.opengradient()})
}

/// The frames of an answer, each sealed as it comes.
fn chunks(frames: Result<Frames, ApiError>, responder: Responder) -> Result<Response, OhttpError> {
    let (nonce, sealer) = responder.seal_chunks(rand::random())?;
    let (failed, frames) = match frames {
        Ok(frames) => (None, Some(frames)),
        Err(error) => (Some(format!("data: {}\n\n", error.opengradient())), None),
    };
    let begin = (Some(nonce), failed, frames, Some(sealer));
    let body = stream::unfold(begin, async |(nonce, failed, mut frames, sealer)| {
        let mut sealer: ChunkSealer = sealer?;
        if let Some(nonce) = nonce {
            return Some((Ok(nonce), (None, failed, frames, Some(sealer))));
        }
        let next = match (failed, &mut frames) {
            (Some(failed), _) => Some(failed),
            (None, Some(frames)) => frames.next().await,
            (None, None) => None,
        };
        let (sealed, sealer) = match next {
            Some(text) => (sealer.seal(text.as_bytes()), Some(sealer)),
            None => (sealer.finish(&[]), None),
        };
        // A stream that cannot be sealed ends here; that its last chunk is missing tells the client.
        Some((
            Ok::<_, Infallible>(sealed.ok()?),
            (None, None, frames, sealer),
        ))
    });
    let headers = [
        (CONTENT_TYPE, CHUNKED_RESPONSE_MEDIA_TYPE),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}
