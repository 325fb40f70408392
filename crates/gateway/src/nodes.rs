//! The inference nodes: what they offer, whose turn it is, and handing them jobs.

mod failure;
mod offers;
mod streamed;
mod traced;
mod way;

pub(crate) use failure::{Rejection, RunError};
pub(crate) use offers::Offers;
pub(crate) use streamed::StreamError;

use crate::{
    check::ResultError,
    config::{
        JOB_TIMEOUT, MAX_ATTEMPTS, MAX_MODEL_LIST_BYTES, MAX_MODELS_PER_NODE, MODEL_LIST_AGE,
        NODE_PAUSE, QUERY_TIMEOUT,
    },
    http::{address, read_bounded, within},
    server::ServeError,
};
use axum::body::Bytes;
use failure::PostError;
use futures::future::join_all;
use http_body_util::Full;
use hyper::{Request, Uri};
use offers::ModelList;
use og_types::{
    Canonical as _, InferenceRequest, InferenceResponse, Job, JobResult, ModelId, ModelInfo,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use serde::Deserialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tracing::Instrument as _;
use way::{Clients, Traffic, request};

/// Bytes of a count of tokens.
const MAX_COUNT_BYTES: usize = 16 * 1024;

/// One node, what it said last about its models, and how many requests its connections carry.
struct Node {
    /// Its address, for logs.
    url: String,
    jobs: Uri,
    count: Uri,
    models: Uri,
    traffic: Traffic,
    listing: Mutex<Listing>,
}

struct Listing {
    models: Option<ModelList>,
    valid_until: Option<Instant>,
}

/// A node by its place among the configured ones, counted from 0: figures do not say where nodes are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    node: usize,
}

/// The configured nodes.
pub(crate) struct Nodes {
    clients: Clients,
    nodes: Vec<Node>,
    turn: AtomicUsize,
    failures: Family<Place, Counter>,
}

impl Node {
    fn new(url: &str) -> Result<Self, ServeError> {
        let path = |path| address("inference node", url, path);
        Ok(Self {
            url: url.to_owned(),
            jobs: path("/v1/jobs")?,
            count: path("/v1/count")?,
            models: path("/v1/models")?,
            traffic: Traffic::new(),
            listing: Mutex::new(Listing {
                models: None,
                valid_until: None,
            }),
        })
    }
}

impl Nodes {
    /// The nodes at these addresses.
    ///
    /// # Errors
    /// [`ServeError`] says what is wrong with an address.
    pub(crate) fn new(urls: &[String]) -> Result<Self, ServeError> {
        Ok(Self {
            clients: Clients::new(),
            nodes: urls
                .iter()
                .map(|url| Node::new(url.trim_end_matches('/')))
                .collect::<Result<_, _>>()?,
            turn: AtomicUsize::new(0),
            failures: Family::default(),
        })
    }

    /// Shows in `registry` which nodes fail.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gateway_node_failures",
            "Jobs that a node failed or had no room for, by its place in the configuration",
            self.failures.clone(),
        );
    }

    /// Notes that a node gave no answer that can be passed on.
    fn failed(&self, node: usize, job: &Job, reason: &str) {
        self.failures.get_or_create(&Place { node }).inc();
        let url = &self.nodes[node].url;
        tracing::warn!(node = url, request_id = %job.request_id, reason, "node failed a job");
    }

    /// What the nodes offer; lists that are too old are fetched again.
    pub(crate) async fn offers(&self) -> Offers {
        let lists = join_all(self.nodes.iter().map(|node| self.models_of(node))).await;
        Offers { lists }
    }

    async fn models_of(&self, node: &Node) -> Option<ModelList> {
        let mut listing = node.listing.lock().await;
        if listing
            .valid_until
            .is_none_or(|until| until <= Instant::now())
        {
            let (models, valid_for): (_, Duration) = match self.fetch_models(node).await {
                Ok(models) => {
                    let models = models.into_iter().map(Arc::new).collect();
                    (Some(Arc::new(models)), MODEL_LIST_AGE)
                }
                Err(error) => {
                    let reason = error.reason();
                    tracing::warn!(node = node.url, reason, "node does not list its models");
                    (None, NODE_PAUSE)
                }
            };
            listing.models = models;
            listing.valid_until = Some(Instant::now() + valid_for);
        }
        listing.models.clone()
    }

    async fn fetch_models(&self, node: &Node) -> Result<Vec<ModelInfo>, PostError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = node.models.clone();
        let way = self.clients.way(&node.traffic);
        let asked = async {
            let response = way.ask(request).await?;
            Ok::<_, PostError>(read_bounded(response, MAX_MODEL_LIST_BYTES).await?)
        };
        let body = within(QUERY_TIMEOUT, asked).await?;
        let list: Vec<ModelInfo> =
            serde_json::from_slice(&body).map_err(|error| PostError::Failed(error.to_string()))?;
        if list.len() > MAX_MODELS_PER_NODE {
            return Err(PostError::Failed(format!(
                "it lists more than {MAX_MODELS_PER_NODE}"
            )));
        }
        Ok(list)
    }

    /// Hands `job` to the nodes that offer the model, one after another, until one gives an answer
    /// that `judge` accepts.
    ///
    /// The request id stays the same: a node that failed may have signed a record for it, but only
    /// the answer returned here is ever submitted by this gateway.
    pub(crate) async fn run(
        &self,
        offers: &Offers,
        model: &ModelId,
        job: &Job,
        judge: impl Fn(&JobResult) -> Result<InferenceResponse, ResultError>,
    ) -> Result<(JobResult, InferenceResponse), RunError> {
        let body = Bytes::from(job.to_bytes());
        let mut last = RunError::NoneAnswered("no node offers the model any more".to_owned());
        for index in self.order(offers, model).into_iter().take(MAX_ATTEMPTS) {
            let node = &self.nodes[index];
            let span = traced::begin(&node.jobs);
            let posted = self.post_job(node, body.clone());
            let error = match posted.instrument(span.clone()).await {
                Ok(result) => match judge(&result) {
                    Ok(response) => return Ok((result, response)),
                    Err(error) => PostError::Failed(error.to_string()),
                },
                Err(error) => error,
            };
            traced::fail(&span, &error);
            if let PostError::Rejected(rejection) = error {
                return Err(RunError::Rejected(rejection));
            }
            self.failed(index, job, error.reason());
            last = match error {
                PostError::Busy(reason) => RunError::Busy(reason),
                // It would take as long elsewhere.
                PostError::Late => return Err(error.without_answer()),
                error => error.without_answer(),
            };
        }
        Err(last)
    }

    /// Has a node that offers the model count the tokens of a request's prompt.
    pub(crate) async fn count_prompt(
        &self,
        offers: &Offers,
        request: &InferenceRequest,
    ) -> Result<u32, RunError> {
        let body = Bytes::from(request.to_bytes());
        let mut reason = "no node offers the model any more".to_owned();
        for index in self
            .order(offers, &request.model)
            .into_iter()
            .take(MAX_ATTEMPTS)
        {
            let node = &self.nodes[index];
            let span = traced::begin(&node.count);
            let posted = self.post_count(node, body.clone());
            let error = match posted.instrument(span.clone()).await {
                Ok(count) => return Ok(count),
                Err(error) => error,
            };
            traced::fail(&span, &error);
            reason = match error {
                PostError::Rejected(rejection) => return Err(RunError::Rejected(rejection)),
                error => error.reason().to_owned(),
            };
            self.failures.get_or_create(&Place { node: index }).inc();
            tracing::warn!(node = node.url, reason, "node counted no tokens");
        }
        Err(RunError::NoneAnswered(reason))
    }

    async fn post_count(&self, node: &Node, body: Bytes) -> Result<u32, PostError> {
        let way = self.clients.way(&node.traffic);
        let asked = async {
            let response = way.ask(request(&node.count, body)).await?;
            Ok::<_, PostError>(read_bounded(response, MAX_COUNT_BYTES).await?)
        };
        let bytes = within(QUERY_TIMEOUT, asked).await?;
        let counted: Counted =
            serde_json::from_slice(&bytes).map_err(|error| PostError::Failed(error.to_string()))?;
        Ok(counted.prompt_tokens)
    }

    /// The nodes that offer the model, each time beginning with the next.
    fn order(&self, offers: &Offers, model: &ModelId) -> Vec<usize> {
        let mut order = offers.nodes_with(model);
        if !order.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % order.len();
            order.rotate_left(turn);
        }
        order
    }

    async fn post_job(&self, node: &Node, body: Bytes) -> Result<JobResult, PostError> {
        let way = self.clients.way(&node.traffic);
        let answer = async {
            let response = way.ask(request(&node.jobs, body)).await?;
            Ok(read_bounded(response, JobResult::MAX_BYTES).await?)
        };
        let bytes: Result<_, PostError> = timeout(JOB_TIMEOUT, answer)
            .await
            .unwrap_or(Err(PostError::Late));
        JobResult::from_bytes(&bytes?).map_err(|error| PostError::Failed(error.to_string()))
    }
}

/// A node's count of tokens.
#[derive(Deserialize)]
struct Counted {
    prompt_tokens: u32,
}
