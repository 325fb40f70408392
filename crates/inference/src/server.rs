//! The worker over HTTP: jobs and results as canonical CBOR, everything else as JSON.

use crate::worker::{JobError, Worker};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::FutureExt as _;
use og_http::{Check, Operated, RequestMetrics, Shares, operator};
use og_types::{Canonical as _, Job, JobResult};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Most jobs whose models run at once.
pub const MAX_RUNNING_JOBS: usize = 4;
/// Most jobs taken on at once, running and waiting; the next is told to come back.
pub const MAX_ADMITTED_JOBS: usize = 64;
/// Most connections open at once.
pub const MAX_CONNECTIONS: usize = 256;
/// Longest time that a job's bytes may take to arrive, in milliseconds.
pub const BODY_TIMEOUT_MS: u64 = 30_000;

/// The media type of canonical encodings.
const CBOR: &str = "application/cbor";

/// What the handlers share.
#[derive(Clone)]
struct Service {
    worker: Arc<Worker>,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// Serves `POST /v1/jobs` and `GET /v1/models` on `listener`, and the node's operators on
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
        admitted: Arc::new(Semaphore::new(MAX_ADMITTED_JOBS)),
        running: Arc::new(Semaphore::new(MAX_RUNNING_JOBS)),
    };
    let mut registry = operator::registry("inference");
    let app = RequestMetrics::register(&mut registry).observe(router(service.clone()));
    let operated = Arc::new(OperatedService::new(service, registry));
    let shutdown = shutdown.shared();
    // A few gateways are all the clients, and one of them may be the only one.
    let places = Shares::new(MAX_CONNECTIONS, MAX_CONNECTIONS);
    tokio::join!(
        og_http::serve(listener, app, places, shutdown.clone()),
        operator::serve(operators, operated, shutdown),
    );
}

/// The service as its operator sees it.
struct OperatedService {
    service: Service,
    registry: Registry,
    admitted: Gauge,
    running: Gauge,
}

impl OperatedService {
    fn new(service: Service, mut registry: Registry) -> Self {
        let (admitted, running) = (Gauge::default(), Gauge::default());
        registry.register(
            "inference_jobs_admitted",
            format!("Jobs taken on, running and waiting; at most {MAX_ADMITTED_JOBS}"),
            admitted.clone(),
        );
        registry.register(
            "inference_jobs_running",
            format!("Jobs whose models run; at most {MAX_RUNNING_JOBS}"),
            running.clone(),
        );
        Self {
            service,
            registry,
            admitted,
            running,
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
        let used = |places: &Semaphore, all: usize| {
            i64::try_from(all.saturating_sub(places.available_permits())).unwrap_or(i64::MAX)
        };
        self.admitted
            .set(used(&self.service.admitted, MAX_ADMITTED_JOBS));
        self.running
            .set(used(&self.service.running, MAX_RUNNING_JOBS));
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
        Err(error) => Check::new(
            "ledger",
            false,
            format!("{error}: make room on the disk or repair it, then restart the node"),
        ),
    }
}

fn router(service: Service) -> Router {
    Router::new()
        .route("/v1/jobs", post(run_job))
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

async fn list_models(State(service): State<Service>) -> Result<Response, Failure> {
    let permit = service.admit()?;
    let models = blocking(move || {
        let _permit = permit;
        Ok(service.worker.library().list()?)
    })
    .await?;
    Ok(Json(models).into_response())
}

async fn run_job(State(service): State<Service>, request: Request) -> Result<Response, Failure> {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    if media_type.is_none_or(|media_type| media_type != CBOR) {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            format!("a job is canonical CBOR: send it as {CBOR}"),
        ));
    }
    let admitted = service.admit()?;
    let job = read_job(request).await?;
    let running = service.running.clone().acquire_owned().await.ok();
    // The permits go with the work: a client that hangs up does not end it.
    let result: JobResult = blocking(move || {
        let _permits = (admitted, running);
        service.worker.run(&job)
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, CBOR)], result.to_bytes()).into_response())
}

async fn read_job(request: Request) -> Result<Job, Failure> {
    let read = Bytes::from_request(request, &());
    let bytes = tokio::time::timeout(Duration::from_millis(BODY_TIMEOUT_MS), read)
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
        })?;
    Job::from_bytes(&bytes).map_err(|error| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            format!("job: {error}"),
        )
    })
}

impl Service {
    /// A place among the jobs taken on, if there is one.
    fn admit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.admitted.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{MAX_ADMITTED_JOBS} jobs are waiting: try again later");
            JobError::Busy(message).into()
        })
    }
}

/// Runs what may block where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(JobError::Node(error.to_string())))
        .map_err(Failure::from)
}

/// An error as clients see it: `{"error": {"code", "message"}}` with its HTTP status.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let (status, code) = match &error {
            JobError::Version(..) | JobError::Request(_) => {
                (StatusCode::BAD_REQUEST, "bad_request")
            }
            JobError::Input(_) | JobError::Refused(_) => (StatusCode::BAD_REQUEST, "bad_input"),
            JobError::UnknownModel(_) => (StatusCode::NOT_FOUND, "unknown_model"),
            JobError::Used(_) => (StatusCode::CONFLICT, "request_id_used"),
            JobError::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            JobError::Model(_) => (StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
            JobError::Node(reason) => {
                tracing::error!(
                    reason,
                    "a job failed for a reason of this node: check its disk and memory"
                );
                return Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "node_failed",
                    "the node failed: its operator finds the reason in its log",
                );
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        let retry = [(header::RETRY_AFTER, "1")];
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => (self.status, retry, body).into_response(),
            status => (status, body).into_response(),
        }
    }
}
