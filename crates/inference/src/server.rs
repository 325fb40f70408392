//! The worker over HTTP: jobs and results as canonical CBOR, everything else as JSON.

use crate::{
    events::{self, CBOR_SEQUENCE},
    failure::Failure,
    ledger::LedgerError,
    traced::traced,
    worker::{JobError, Worker},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::FutureExt as _;
use og_engine::{MAX_COMPUTATIONS, Pieces, computations};
use og_http::{
    Admission, Check, Operated, Place, RequestMetrics, Shares, Transport, operator, traces::Parent,
};
use og_types::{Canonical as _, Job};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Most jobs taken on at once, running and waiting; the next is told to come back. Most of them can only be such that wait
/// for another service, and take no thread: what computes has bounds of its own, [`MAX_COMPUTATIONS`] and the generators'
/// queues.
pub const MAX_ADMITTED_JOBS: usize = 12_288;
/// Most bytes of jobs that are held at once, as announced by those who send them.
pub const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;
/// Most connections open at once.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Longest time that a job's bytes may take to arrive, in milliseconds.
pub const BODY_TIMEOUT_MS: u64 = 30_000;

/// The media type of canonical encodings.
const CBOR: &str = "application/cbor";

/// What the handlers share.
#[derive(Clone)]
struct Service {
    worker: Arc<Worker>,
    admission: Admission,
}

/// Serves `POST /v1/jobs`, `POST /v1/count` and `GET /v1/models` on `listener`, and the node's operators on
/// `operators`, until `shutdown` is ready; jobs that were begun are answered first, within
/// [`og_http::DRAIN_TIMEOUT`].
pub async fn serve(
    listener: TcpListener,
    operators: TcpListener,
    worker: Arc<Worker>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let service = Service {
        worker,
        admission: Admission::new(MAX_ADMITTED_JOBS, MAX_HELD_BYTES, Job::MAX_BYTES),
    };
    let mut registry = operator::registry("inference");
    let app = RequestMetrics::register(&mut registry).observe(router(service.clone()));
    let operated = Arc::new(OperatedService::new(service, registry));
    let shutdown = shutdown.shared();
    // A few gateways are all the clients, and one of them may be the only one.
    let places = Shares::new(MAX_CONNECTIONS, MAX_CONNECTIONS);
    tokio::join!(
        og_http::serve(listener, app, Transport::Plain, places, shutdown.clone()),
        operator::serve(operators, operated, shutdown),
    );
}

/// The service as its operator sees it.
struct OperatedService {
    service: Service,
    registry: Registry,
    admitted: Gauge,
    computing: Gauge,
}

impl OperatedService {
    fn new(service: Service, mut registry: Registry) -> Self {
        let (admitted, computing) = (Gauge::default(), Gauge::default());
        registry.register(
            "inference_jobs_admitted",
            format!("Jobs taken on, running and waiting; at most {MAX_ADMITTED_JOBS}"),
            admitted.clone(),
        );
        registry.register(
            "inference_computations",
            format!(
                "Runs and prompts that compute or wait for a processor; at most {MAX_COMPUTATIONS}"
            ),
            computing.clone(),
        );
        Self {
            service,
            registry,
            admitted,
            computing,
        }
    }
}

impl Operated for OperatedService {
    async fn checks(&self) -> Vec<Check> {
        let worker = self.service.worker.clone();
        let checks = tokio::task::spawn_blocking(move || vec![models(&worker), ledger(&worker)]);
        checks
            .await
            .unwrap_or_else(|error| vec![Check::new("models", false, error.to_string())])
    }

    async fn metrics(&self) -> String {
        let figure = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.admitted.set(figure(self.service.admission.taken()));
        self.computing.set(figure(computations()));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn models(worker: &Worker) -> Check {
    match worker.library().list() {
        Ok(models) => Check::new("models", true, format!("{} models", models.len())),
        Err(error) => Check::new("models", false, error.to_string()),
    }
}

fn ledger(worker: &Worker) -> Check {
    match worker.check_ledger() {
        Ok(()) => Check::new(
            "ledger",
            true,
            "the ledger of signed requests can be written",
        ),
        Err(error) => Check::new("ledger", false, advice(&error)),
    }
}

/// What an operator is told of a ledger that takes nothing.
fn advice(error: &LedgerError) -> String {
    match error {
        LedgerError::Quiet { .. } => error.to_string(),
        _ => format!("{error}: make room on the disk or repair it, then restart the node"),
    }
}

fn router(service: Service) -> Router {
    Router::new()
        .route("/v1/jobs", post(run_job))
        .route("/v1/count", post(count_prompt))
        .route("/v1/models", get(list_models))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the path takes another method",
            )
        })
        .layer(DefaultBodyLimit::max(Job::MAX_BYTES))
        .with_state(service)
}

async fn list_models(
    State(service): State<Service>,
    request: Request,
) -> Result<Response, Failure> {
    let place = service.admit(&request)?;
    let list = move || {
        let _place = place;
        service.worker.library().list().map_err(JobError::from)
    };
    let models = tokio::task::spawn_blocking(list)
        .await
        .unwrap_or_else(|error| Err(JobError::Node(error.to_string())))?;
    Ok(Json(models).into_response())
}

async fn run_job(State(service): State<Service>, request: Request) -> Result<Response, Failure> {
    check_media_type(request.headers())?;
    let place = service.admit(&request)?;
    let streamed = accepts_events(request.headers());
    let parent = Parent::of(request.headers());
    let bytes = read_body(request).await?;
    let job = Job::from_bytes(&bytes).map_err(|error| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            format!("job: {error}"),
        )
    })?;
    drop(bytes);
    let id = job.request_id;
    if !streamed {
        let result = traced(id, parent, service.worker.run(job, Pieces::UNWANTED)).await?;
        return Ok(([(header::CONTENT_TYPE, CBOR)], result.to_bytes()).into_response());
    }
    let (pieces, reader) = Pieces::channel();
    let run = async move {
        let _place = place;
        traced(id, parent, service.worker.run(job, pieces)).await
    };
    let body = events::body(Box::pin(run), reader).await?;
    Ok(([(header::CONTENT_TYPE, CBOR_SEQUENCE)], body).into_response())
}

/// How many tokens a request's prompt has.
async fn count_prompt(
    State(service): State<Service>,
    request: Request,
) -> Result<Response, Failure> {
    check_media_type(request.headers())?;
    let _place = service.admit(&request)?;
    let bytes = read_body(request).await?;
    let count = service.worker.count_prompt(bytes.into()).await?;
    Ok(Json(json!({ "prompt_tokens": count })).into_response())
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Failure> {
    let media_type = headers.get(header::CONTENT_TYPE);
    if media_type.is_some_and(|media_type| media_type == CBOR) {
        return Ok(());
    }
    Err(Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("jobs and requests are canonical CBOR: send them as {CBOR}"),
    ))
}

/// Whether the client wants the answer as it comes.
fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted.is_some_and(|accepted| accepted == CBOR_SEQUENCE)
}

async fn read_body(request: Request) -> Result<Bytes, Failure> {
    let read = Bytes::from_request(request, &());
    tokio::time::timeout(Duration::from_millis(BODY_TIMEOUT_MS), read)
        .await
        .map_err(|_| {
            Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                format!("the job did not arrive within {BODY_TIMEOUT_MS} ms"),
            )
        })?
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("a job has at most {} bytes", Job::MAX_BYTES),
            ),
            status => Failure::new(status, "bad_request", rejection.body_text()),
        })
}

impl Service {
    /// A place among the jobs taken on, if there is one.
    fn admit(&self, request: &Request) -> Result<Place, Failure> {
        self.admission.admit(request.body()).ok_or_else(|| {
            JobError::Busy("as many jobs are here as the node takes on: try again later".to_owned())
                .into()
        })
    }
}
