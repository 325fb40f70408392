//! A question to a language model, from the gateway's door to a signed answer, piece by piece.

use crate::{
    config::MAX_PIECES_WAITING,
    error::ApiError as HttpError,
    infer::{Service, now_ms},
    nodes::{Offers, RunError, StreamError},
    reply::Answered,
};
use alloy_primitives::Address;
use futures::future::try_join_all;
use og_dialects::{ApiError, Fault};
use og_types::{
    Amount, Canonical as _, InferenceRequest, Job, ModelDescription, ModelInfo, RequestId, Tier,
    embedding,
    language::{self, Piece, Question},
    limits::MAX_PAYLOAD_BYTES,
};
use std::sync::{Arc, LazyLock};
use tokio::{sync::mpsc, task::JoinHandle};
use tracing::Instrument as _;

/// What comes of a question, with the number of the choice that it is about.
pub(crate) enum Event {
    /// More of a choice.
    Piece(usize, Piece),
    /// A choice is complete, judged and stored.
    Done(usize, Box<Answered>),
    /// A choice cannot be completed.
    Failed(ApiError),
}

/// Questions to one model, one for each choice, ready to be handed to nodes.
pub(crate) struct Asked {
    service: Arc<Service>,
    offers: Offers,
    questions: Vec<(InferenceRequest, Job)>,
    /// What the client calls an input of a question.
    call: fn(&str) -> String,
}

impl Asked {
    /// Number of choices.
    pub(crate) const fn choices(&self) -> usize {
        self.questions.len()
    }

    /// Has nodes answer, each choice whole. Dropping the future ends the work on them.
    ///
    /// # Errors
    /// [`ApiError`] of the first that cannot be completed.
    pub(crate) async fn whole(&self) -> Result<Vec<Answered>, ApiError> {
        let choices = self.questions.iter();
        try_join_all(choices.map(|(request, job)| self.answer(request, job, None))).await
    }

    /// Has nodes answer, piece by piece.
    pub(crate) fn stream(self) -> Asking {
        let (sender, events) = mpsc::channel(MAX_PIECES_WAITING);
        let asked = Arc::new(self);
        let running = (0..asked.choices()).map(|choice| {
            let asked = asked.clone();
            let pieces = Pieces {
                choice,
                events: sender.clone(),
            };
            let answer = async move {
                let Some((request, job)) = asked.questions.get(choice) else {
                    return;
                };
                let event = match asked.answer(request, job, Some(&pieces)).await {
                    Ok(answered) => Event::Done(choice, Box::new(answered)),
                    Err(error) => Event::Failed(error),
                };
                // A client that has left hears nothing.
                let _ = pieces.emit(event).await;
            };
            tokio::spawn(answer.in_current_span())
        });
        let running = running.collect();
        Asking { events, running }
    }

    /// One choice: a node answers, the answer is judged and stored. `pieces` get it as it comes.
    async fn answer(
        &self,
        request: &InferenceRequest,
        job: &Job,
        pieces: Option<&Pieces>,
    ) -> Result<Answered, ApiError> {
        let Self {
            service, offers, ..
        } = self;
        let judge = |result: &_| service.checker.check(job, request, result, now_ms());
        let answered = match pieces {
            None => {
                let run = service.nodes.run(offers, &request.model, job, judge).await;
                let (result, response) = run.map_err(|error| run_error(error, self.call))?;
                Answered::of(result, &response)
            }
            Some(pieces) => {
                let streamed = service
                    .nodes
                    .stream(offers, &request.model, job, judge, pieces)
                    .await
                    .map_err(|error| stream_error(error, self.call))?;
                Answered::streamed(streamed)
            }
        };
        let answered =
            answered.map_err(|error| ApiError::new(Fault::Upstream, error.to_string()))?;
        let kept = service.keep(&answered.result);
        kept.map_err(HttpError::into_dialect)?;
        Ok(answered)
    }
}

/// Answers on their way. Dropping it ends the work on them.
pub(crate) struct Asking {
    events: mpsc::Receiver<Event>,
    running: Vec<JoinHandle<()>>,
}

impl Asking {
    /// The next event; `None` when all choices are complete.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        for choice in &self.running {
            choice.abort();
        }
    }
}

/// Where the pieces of one choice go.
#[derive(Clone)]
pub(crate) struct Pieces {
    choice: usize,
    events: mpsc::Sender<Event>,
}

/// Nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Pieces {
    /// Passes a piece on; waits while the client is slower than the model.
    ///
    /// # Errors
    /// [`Gone`] if the client has left.
    pub(crate) async fn send(&self, piece: Piece) -> Result<(), Gone> {
        self.emit(Event::Piece(self.choice, piece)).await
    }

    async fn emit(&self, event: Event) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// It answers questions.
    Language,
    /// It makes vectors of texts.
    Embeddings,
    /// It takes tensors of its own.
    Tensors,
}

impl Task {
    /// The task of a model: what it takes says so.
    pub(crate) fn of(model: &ModelInfo) -> Self {
        static LANGUAGE: LazyLock<ModelDescription> = LazyLock::new(language::description);
        static EMBEDDINGS: LazyLock<ModelDescription> = LazyLock::new(embedding::description);
        let inputs = &model.description.inputs;
        if *inputs == LANGUAGE.inputs {
            Self::Language
        } else if *inputs == EMBEDDINGS.inputs {
            Self::Embeddings
        } else {
            Self::Tensors
        }
    }

    /// As `GET /v1/models` says it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::Embeddings => "embeddings",
            Self::Tensors => "tensors",
        }
    }

    /// The paths that take such a model, for people.
    const fn paths(self) -> &'static str {
        match self {
            Self::Language => "conversations and texts: ask it with POST /v1/chat/completions",
            Self::Embeddings => "embeddings: ask it with POST /v1/embeddings",
            Self::Tensors => "tensors: ask it with POST /v1/infer",
        }
    }
}

impl Service {
    /// The model that a client means by `name`, which must be one for this task.
    ///
    /// # Errors
    /// [`ApiError`] if no node answers, or none has such a model.
    pub(crate) async fn model(
        &self,
        name: &str,
        task: Task,
    ) -> Result<(Offers, Arc<ModelInfo>), ApiError> {
        let offers = self.nodes.offers().await;
        if offers.answering() == 0 {
            let reason = "no inference node answers: try again, or ask the operator";
            return Err(ApiError::new(Fault::Busy, reason));
        }
        let missing = |reason: String| ApiError {
            fault: Fault::NotFound,
            message: reason,
            param: Some("model".to_owned()),
            code: Some("model_not_found"),
        };
        let model = offers.find(name).ok_or_else(|| {
            missing(format!(
                "no node offers the model {name:?}: GET /v1/models lists those that are offered"
            ))
        })?;
        if Task::of(&model) != task {
            return Err(missing(format!(
                "{name:?} is for {}",
                Task::of(&model).paths()
            )));
        }
        Ok((offers, model))
    }

    /// Makes `questions` ready, one for each choice, each with its seed. `call` says what the client calls an input of a
    /// question.
    ///
    /// # Errors
    /// [`ApiError`] if a question is one that no node could take.
    pub(crate) fn ask(
        self: &Arc<Self>,
        offers: Offers,
        model: &ModelInfo,
        questions: &[Question],
        seeds: &[u64],
        call: fn(&str) -> String,
    ) -> Result<Asked, ApiError> {
        let questions = questions.iter().zip(seeds).map(|(question, seed)| {
            let request = request(model, question)?;
            let job = job(&request, *seed)?;
            Ok((request, job))
        });
        Ok(Asked {
            service: self.clone(),
            offers,
            questions: questions.collect::<Result<_, ApiError>>()?,
            call,
        })
    }
}

/// The request that asks `model` a question.
///
/// # Errors
/// [`ApiError`] if it cannot be written.
pub(crate) fn request(
    model: &ModelInfo,
    question: &Question,
) -> Result<InferenceRequest, ApiError> {
    let inputs = question.to_tensors();
    Ok(InferenceRequest {
        version: 1,
        model: model.id,
        inputs: inputs.map_err(|error| ApiError::new(Fault::Request, error.to_string()))?,
    })
}

/// A job that nobody pays for.
///
/// # Errors
/// [`ApiError`] if the request is too large.
pub(crate) fn job(request: &InferenceRequest, seed: u64) -> Result<Job, ApiError> {
    let bytes = request.to_bytes();
    if bytes.len() > MAX_PAYLOAD_BYTES {
        let reason = format!(
            "the question takes {} bytes, {MAX_PAYLOAD_BYTES} are allowed: shorten it",
            bytes.len()
        );
        return Err(ApiError::new(Fault::TooLarge, reason));
    }
    Ok(Job {
        version: 1,
        request_id: RequestId(rand::random()),
        payer: Address::ZERO,
        price: Amount(0),
        tier: Tier::Signed,
        seed,
        request: bytes.into(),
    })
}

fn stream_error(error: StreamError, call: fn(&str) -> String) -> ApiError {
    match error {
        StreamError::Run(error) => run_error(error, call),
        StreamError::BrokenOff(reason) => {
            ApiError::new(Fault::Upstream, format!("the answer broke off: {reason}"))
        }
        StreamError::Gone => ApiError::new(Fault::Internal, "the client has left"),
    }
}

/// What the client is told if no node answers. `call` says what the client calls an input.
pub(crate) fn run_error(error: RunError, call: fn(&str) -> String) -> ApiError {
    match error {
        RunError::Rejected(rejection) => {
            let fault = match rejection.status.as_u16() {
                413 => Fault::TooLarge,
                _ => Fault::Request,
            };
            let (param, message) = rejection.told(call);
            ApiError {
                code: param.as_ref().map(|_| "unsupported_parameter"),
                param,
                ..ApiError::new(fault, message)
            }
        }
        RunError::Busy(reason) => ApiError::new(Fault::TooMany, reason),
        RunError::NoneAnswered(reason) => ApiError::new(
            Fault::Upstream,
            format!("no node gave an answer that can be passed on; the last one: {reason}"),
        ),
    }
}
