//! A job whose answer comes in pieces.

use super::{Node, Nodes, Offers, PostError, Rejection, RunError, traced, way::request};
use crate::{
    ask::{Gone, Pieces},
    check::ResultError,
    config::{JOB_TIMEOUT, MAX_ATTEMPTS, PIECE_TIMEOUT},
    http::{chunk, excerpt},
    reply::Streamed,
};
use axum::{
    body::Bytes,
    http::{HeaderValue, StatusCode, header::ACCEPT},
};
use og_types::{
    Canonical as _, InferenceResponse, Job, JobEvent, JobEvents, JobFailure, JobResult, ModelId,
    language::Said,
};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

/// The media type of a job's events (RFC 8742).
const CBOR_SEQUENCE: HeaderValue = HeaderValue::from_static("application/cbor-seq");

/// Why there is no answer in pieces.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// No node began to answer.
    Run(RunError),
    /// A node failed after pieces of its answer were passed on; why.
    BrokenOff(String),
    /// The client has left.
    Gone,
}

/// What one node's answer came to.
enum Outcome {
    Whole(Box<JobResult>, Said),
    /// It failed; whether pieces of it were passed on already.
    Failed(PostError, bool),
    Gone,
}

impl Nodes {
    /// Hands `job` to the nodes that offer the model, one after another, until one begins to answer; passes pieces on as
    /// they come. What was begun is not begun again elsewhere: the client has seen it.
    ///
    /// # Errors
    /// [`StreamError`] says whose fault it is.
    pub(crate) async fn stream(
        &self,
        offers: &Offers,
        model: &ModelId,
        job: &Job,
        judge: impl Fn(&JobResult) -> Result<InferenceResponse, ResultError>,
        pieces: &Pieces,
    ) -> Result<Streamed, StreamError> {
        let body = Bytes::from(job.to_bytes());
        let mut last = RunError::NoneAnswered("no node offers the model any more".to_owned());
        for index in self.order(offers, model).into_iter().take(MAX_ATTEMPTS) {
            let node = &self.nodes[index];
            let span = traced::begin(&node.jobs);
            let posted = self.post_streamed(node, body.clone(), pieces);
            let (error, begun) = match posted.instrument(span.clone()).await {
                Outcome::Gone => return Err(StreamError::Gone),
                Outcome::Failed(error, begun) => (error, begun),
                Outcome::Whole(result, said) => match judge(&result) {
                    Ok(response) => {
                        return Ok(Streamed {
                            pieces: said,
                            result: *result,
                            response,
                        });
                    }
                    Err(error) => (PostError::Failed(error.to_string()), has_begun(&said)),
                },
            };
            traced::fail(&span, &error);
            self.failed(index, job, error.reason());
            last = match error {
                PostError::Rejected(rejection) => {
                    return Err(StreamError::Run(RunError::Rejected(rejection)));
                }
                error if begun => return Err(StreamError::BrokenOff(error.reason().to_owned())),
                PostError::Busy(reason) => RunError::Busy(reason),
                PostError::Late => return Err(StreamError::Run(error.without_answer())),
                error => error.without_answer(),
            };
        }
        Err(StreamError::Run(last))
    }

    async fn post_streamed(&self, node: &Node, body: Bytes, pieces: &Pieces) -> Outcome {
        let mut said = Said::empty();
        let deadline = Instant::now() + JOB_TIMEOUT;
        let read = self.read(node, body, pieces, &mut said);
        match timeout_at(deadline, read).await {
            Ok(Ok(Ok(result))) => Outcome::Whole(Box::new(result), said),
            Ok(Ok(Err(Gone))) => Outcome::Gone,
            Ok(Err(error)) => Outcome::Failed(error, has_begun(&said)),
            Err(_) => Outcome::Failed(PostError::Late, has_begun(&said)),
        }
    }

    /// Reads a node's events to the last.
    async fn read(
        &self,
        node: &Node,
        body: Bytes,
        pieces: &Pieces,
        said: &mut Said,
    ) -> Result<Result<JobResult, Gone>, PostError> {
        let mut request = request(&node.jobs, body);
        request.headers_mut().insert(ACCEPT, CBOR_SEQUENCE);
        let way = self.clients.shared_way(&node.traffic);
        let mut body = way.ask(request).await?.into_body();
        let mut events = JobEvents::default();
        let malformed = |error: og_types::DecodeError| PostError::Failed(error.to_string());
        loop {
            let chunk = timeout(PIECE_TIMEOUT, chunk(&mut body)).await;
            let chunk = chunk.map_err(|_| {
                PostError::Failed(format!("silent for {} s", PIECE_TIMEOUT.as_secs()))
            })?;
            let chunk = chunk?.ok_or_else(|| {
                PostError::Failed("the answer was cut off before its end".to_owned())
            })?;
            events.push(&chunk).map_err(malformed)?;
            while let Some(event) = events.next_event().map_err(malformed)? {
                match event {
                    JobEvent::Piece(piece) => {
                        let added = said.add(&piece);
                        added.map_err(|error| PostError::Failed(error.to_string()))?;
                        if pieces.send(piece).await.is_err() {
                            return Ok(Err(Gone));
                        }
                    }
                    JobEvent::Result(result) => return Ok(Ok(*result)),
                    JobEvent::Failed(failure) => return Err(PostError::from(&failure)),
                }
            }
        }
    }
}

/// Whether the client has seen something.
fn has_begun(said: &Said) -> bool {
    *said != Said::empty()
}

impl From<&JobFailure> for PostError {
    fn from(failure: &JobFailure) -> Self {
        let message = excerpt(&failure.message);
        let rejected = |status| {
            let input = failure.input.as_deref();
            Self::Rejected(Rejection::new(status, &failure.message, input))
        };
        match failure.code.as_str() {
            "bad_request" | "bad_input" => rejected(StatusCode::BAD_REQUEST),
            "request_id_used" => rejected(StatusCode::CONFLICT),
            "busy" => Self::Busy(message),
            code => Self::Failed(format!("{}: {message}", excerpt(code))),
        }
    }
}
