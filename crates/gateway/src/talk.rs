//! Talking to language models over HTTP: a body in one of the published formats, an answer in the same, whole or in frames.

use crate::{
    api::{Shared, read_body},
    ask::{Asked, Asking, Event, Task},
    dialect::{Dialect, Wanted, style},
    error::ApiError as HttpError,
    extra::{Extra, extra, signed_request},
    infer::now_ms,
    reply::Answered,
    visit::Visit,
};
use alloy_primitives::{B256, hex};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use futures::stream;
use og_dialects::{ApiError, Fault, Head, Usage};
use og_http::Place;
use og_types::{Canonical as _, Computed, JobResult, ModelInfo, SignedRecord, language::Said};
use serde_json::Value;
use std::{convert::Infallible, sync::Arc};
use tokio::sync::mpsc;

/// Holds the signed record of an answer that is not streamed, its canonical bytes in hexadecimal.
const RECORD_HEADER: HeaderName = HeaderName::from_static("og-record");
/// Says where the receipt of such an answer will be.
const RECEIPT_HEADER: HeaderName = HeaderName::from_static("og-receipt");
/// Seconds after which a client that was told to come back should do so.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// Frames of one answer that wait for its client; then the model waits.
const MAX_FRAMES_WAITING: usize = 16;

/// Answers a request in `dialect`.
pub(crate) async fn talk(
    shared: Arc<Shared>,
    visit: Arc<Visit>,
    dialect: Dialect,
    request: Request,
) -> Response {
    let answered = async {
        let mut place = shared.place(&request).map_err(HttpError::into_dialect)?;
        let style = style(request.headers());
        let body = read_body(request).await.map_err(HttpError::into_dialect)?;
        place.holds(body.len());
        let wanted = dialect.parse(&body, style)?;
        let talk = Talk::begin(shared, visit, wanted, body, place).await?;
        match talk.wants_stream() {
            true => talk.stream().await.map(Frames::into_response),
            false => talk.whole().await.map(Whole::into_response),
        }
    };
    let answered: Result<_, ApiError> = answered.await;
    answered.unwrap_or_else(|error| refusal(dialect, &error))
}

/// An error before anything was said.
pub(crate) fn refusal(dialect: Dialect, error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.fault.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(dialect.error(error))).into_response();
    if matches!(error.fault, Fault::TooMany | Fault::Busy) {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    response
}

/// An answer that is complete.
pub(crate) struct Whole {
    pub(crate) body: Value,
    /// The record, and where its receipt will be, if there is one choice.
    record: Option<(String, String)>,
}

impl Whole {
    /// An answer with one record.
    pub(crate) fn of(body: Value, result: &JobResult) -> Self {
        Self {
            body,
            record: Some(told(&result.record)),
        }
    }
}

/// What headers say of a record: its bytes, and where its receipt will be.
fn told(record: &SignedRecord) -> (String, String) {
    let receipt = format!("/v1/receipts/{}", record.record.request_id);
    (hex::encode(record.to_bytes()), receipt)
}

impl IntoResponse for Whole {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let (record, receipt) = self.record.unzip();
        for (name, text) in [(RECORD_HEADER, record), (RECEIPT_HEADER, receipt)] {
            // Hexadecimal digits and a path of ours are always fit for a header.
            if let Some(Ok(value)) = text.map(|text| HeaderValue::from_str(&text)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The frames of an answer, as they come.
pub(crate) struct Frames(mpsc::Receiver<String>);

impl Frames {
    /// The next frames; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

impl IntoResponse for Frames {
    fn into_response(self) -> Response {
        let body = stream::unfold(self, async |mut frames| {
            let frame = frames.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(frame)), frames))
        });
        let headers = [(CONTENT_TYPE, EVENT_STREAM), (CACHE_CONTROL, NO_CACHE)];
        (headers, Body::from_stream(body)).into_response()
    }
}

/// A request that can be answered.
pub(crate) struct Talk {
    asked: Asked,
    telling: Telling,
}

/// What it takes to tell a client what nodes answer.
struct Telling {
    shared: Arc<Shared>,
    visit: Arc<Visit>,
    wanted: Wanted,
    /// The request's hash, if the answer is to be signed for OpenGradient's clients.
    request_hash: Option<B256>,
    head: Head,
    /// Its place among the requests in progress.
    _place: Place,
}

impl Talk {
    /// Finds who is to answer what is `wanted`; `body` is the request as its client hashes it.
    ///
    /// # Errors
    /// [`ApiError`] if it cannot be answered.
    pub(crate) async fn begin(
        shared: Arc<Shared>,
        visit: Arc<Visit>,
        wanted: Wanted,
        body: Bytes,
        place: Place,
    ) -> Result<Self, ApiError> {
        visit.read(body.len());
        let (offers, model) = shared.service.model(wanted.model(), Task::Language).await?;
        visit.asks(&model)?;
        let questions = wanted.questions();
        let is_signed = shared.identity.is_some() && questions.len() == 1;
        let request_hash = is_signed.then(|| signed_request(&wanted, &body));
        let seeds = seeds(wanted.seed(), questions.len(), &model)?;
        let service = &shared.service;
        let asked = service.ask(offers, &model, &questions, &seeds, wanted.parameter())?;
        let id: [u8; 16] = rand::random();
        let telling = Telling {
            head: Head {
                id: format!("{}{}", wanted.id_prefix(), hex::encode(id)),
                created: now_ms() / 1000,
                model: wanted.model().to_owned(),
            },
            request_hash: request_hash.transpose()?.flatten(),
            shared,
            visit,
            wanted,
            _place: place,
        };
        Ok(Self { asked, telling })
    }

    /// Whether the client wants frames.
    pub(crate) fn wants_stream(&self) -> bool {
        self.telling.wanted.stream()
    }

    /// Waits for all choices.
    ///
    /// # Errors
    /// [`ApiError`] of the first that cannot be completed.
    pub(crate) async fn whole(self) -> Result<Whole, ApiError> {
        let Self { asked, telling } = self;
        telling.visit.begins();
        let Complete {
            said,
            usage,
            extra,
            record,
        } = telling.complete(asked.whole().await?)?;
        let body = telling.wanted.whole(&telling.head, &said, usage, extra)?;
        Ok(Whole { body, record })
    }

    /// The answer in frames. What fails before the first piece is an error of its own.
    ///
    /// # Errors
    /// [`ApiError`] if nothing was said.
    pub(crate) async fn stream(self) -> Result<Frames, ApiError> {
        let Self { asked, telling } = self;
        telling.visit.begins();
        let choices = Choices((0..asked.choices()).map(|_| None).collect());
        let mut asking = asked.stream();
        let first = match asking.next().await {
            Some(Event::Failed(error)) => return Err(error),
            first => first,
        };
        telling.visit.streams();
        let (frames, sent) = mpsc::channel(MAX_FRAMES_WAITING);
        tokio::spawn(telling.write(first, asking, choices, frames));
        Ok(Frames(sent))
    }
}

impl Telling {
    /// Writes frames until the answer is complete or its client has left.
    async fn write(
        self,
        first: Option<Event>,
        mut asking: Asking,
        mut choices: Choices,
        out: mpsc::Sender<String>,
    ) {
        let mut frames = self.wanted.frames(self.head.clone());
        let mut event = first;
        while let Some(now) = event {
            let text = match now {
                Event::Piece(choice, piece) => {
                    self.visit.piece();
                    let text = frames.pieces(choice, &[piece]);
                    text.map_err(|error| ApiError::new(Fault::Upstream, error.to_string()))
                }
                Event::Done(choice, answered) => {
                    choices.put(choice, *answered);
                    Ok(String::new())
                }
                Event::Failed(error) => Err(error),
            };
            let is_last = text.is_err();
            let text = text.unwrap_or_else(|error| frames.error(&error));
            if (!text.is_empty() && out.send(text).await.is_err()) || is_last {
                return;
            }
            event = tokio::select! {
                event = asking.next() => event,
                () = out.closed() => return,
            };
        }
        let complete = choices.finish().and_then(|done| self.complete(done));
        let last = match complete {
            Ok(complete) => frames.end(&complete.said, complete.usage, complete.extra),
            Err(error) => frames.error(&error),
        };
        // A client that has left does not see the end.
        let _ = out.send(last).await;
    }

    /// All choices, and what stands beside them.
    fn complete(&self, done: Vec<Answered>) -> Result<Complete, ApiError> {
        let usage = usage(&done);
        self.visit.took(usage);
        let signing = self.shared.identity.as_ref().zip(self.request_hash);
        let extra = extra(signing, &done)?;
        let only = <&[Answered; 1]>::try_from(&done[..]).ok();
        let record = only.map(|[only]| told(&only.result.record));
        Ok(Complete {
            said: done.into_iter().map(|choice| choice.said).collect(),
            usage,
            extra,
            record,
        })
    }
}

/// An answer whose choices are all complete.
struct Complete {
    said: Vec<Said>,
    usage: Option<Usage>,
    extra: Extra,
    /// The record, and where its receipt will be, if there is one choice.
    record: Option<(String, String)>,
}

/// The choices of an answer that are complete.
struct Choices(Vec<Option<Answered>>);

impl Choices {
    fn put(&mut self, choice: usize, answered: Answered) {
        if let Some(place) = self.0.get_mut(choice) {
            *place = Some(answered);
        }
    }

    fn finish(self) -> Result<Vec<Answered>, ApiError> {
        let broken = || ApiError::new(Fault::Internal, "the answer broke off: try again");
        let choices = self.0.into_iter();
        choices.map(|choice| choice.ok_or_else(broken)).collect()
    }
}

/// A seed for each of so many choices. What another service makes of a seed is its own: it gets one only if the client chose
/// one, and 0 stands for none. Seeds that are drawn are such that JavaScript's numbers hold them, so that any client can send
/// them again.
fn seeds(chosen: Option<u64>, choices: usize, model: &ModelInfo) -> Result<Vec<u64>, ApiError> {
    let is_relayed = model.computed == Computed::Relayed;
    if is_relayed && chosen.is_none() {
        return Ok(vec![0; choices]);
    }
    let first = chosen.unwrap_or_else(|| rand::random::<u64>() >> 12);
    let counted = (0..).map(|choice| first.wrapping_add(choice));
    let seeds: Vec<_> = counted.take(choices).collect();
    if is_relayed && seeds.contains(&0) {
        let reason = "must not be 0 for a model of another service: choose another";
        return Err(ApiError::unsupported("seed", reason));
    }
    Ok(seeds)
}

/// Tokens of all choices; the prompt counts once. `None` if one of them is unknown.
fn usage(done: &[Answered]) -> Option<Usage> {
    let answer_tokens = done.iter().map(|choice| choice.answer_tokens);
    Some(Usage {
        prompt_tokens: done.first()?.prompt_tokens?,
        answer_tokens: answer_tokens.sum::<Option<u32>>()?,
    })
}
