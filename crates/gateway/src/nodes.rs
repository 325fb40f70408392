//! The inference nodes: what they offer, whose turn it is, and handing them jobs.

mod streamed;
mod traced;

pub(crate) use streamed::StreamError;

use crate::{
    check::ResultError,
    config::{
        JOB_TIMEOUT, MAX_ATTEMPTS, MAX_IN_FLIGHT, MAX_MODEL_LIST_BYTES, MAX_MODELS_PER_NODE,
        MODEL_LIST_AGE, NODE_PAUSE, QUERY_TIMEOUT,
    },
    http::{FetchError, excerpt, node_client, read_bounded},
};
use axum::{
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
};
use futures::future::join_all;
use og_http::{
    Lane, Lanes,
    traces::{self, PARENT_HEADER},
};
use og_types::{
    Canonical as _, InferenceRequest, InferenceResponse, Job, JobResult, ModelId, ModelInfo,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use reqwest::{RequestBuilder, Response};
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
use tracing::{Instrument as _, Span};

/// Bytes of a node's error that are read.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What a node says of a request that is at fault.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    /// What is wrong. The input's name stands at the beginning, in `'`, where it is the only one at fault.
    message: String,
    /// The input at fault, perhaps with the way into its JSON.
    input: Option<String>,
}

impl Rejection {
    fn new(status: StatusCode, message: &str, input: Option<&str>) -> Self {
        Self {
            status,
            message: excerpt(message),
            input: input.map(excerpt),
        }
    }

    /// The parameter at fault, and what is wrong with it. `call` says what the client calls an input.
    pub(crate) fn told(self, call: impl FnOnce(&str) -> String) -> (Option<String>, String) {
        let Some(input) = self.input else {
            return (None, self.message);
        };
        let param = call(&input);
        let message = match self.message.strip_prefix(&format!("'{input}'")) {
            Some(reason) => format!("'{param}'{reason}"),
            None => self.message,
        };
        (Some(param), message)
    }
}

/// Why no node's answer can be passed on.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A node says that the request itself is at fault.
    Rejected(Rejection),
    /// The nodes have more to do than they take on.
    Busy(String),
    /// Every node that was tried failed; the last one's reason.
    NoneAnswered(String),
}

/// The models that a node offers.
type ModelList = Arc<Vec<Arc<ModelInfo>>>;

/// The models of all nodes that answered, and the nodes that offer each.
pub(crate) struct Offers {
    /// By node, in configured order; `None` for a node that did not answer.
    lists: Vec<Option<ModelList>>,
}

impl Offers {
    /// Number of nodes that answered.
    pub(crate) fn answering(&self) -> usize {
        self.lists.iter().flatten().count()
    }

    /// Number of nodes that were asked.
    pub(crate) fn all(&self) -> usize {
        self.lists.len()
    }

    /// Each model once, in the nodes' order, with the number of nodes that offer it.
    pub(crate) fn models(&self) -> Vec<(Arc<ModelInfo>, usize)> {
        let mut models: Vec<(Arc<ModelInfo>, usize)> = Vec::new();
        for model in self.lists.iter().flatten().flat_map(|list| list.iter()) {
            match models.iter_mut().find(|(known, _)| known.id == model.id) {
                Some((_, nodes)) => *nodes += 1,
                None => models.push((model.clone(), 1)),
            }
        }
        models
    }

    /// The model that a client means by `text`: an id, or a name. Where nodes disagree about a
    /// name, the first configured node that knows it decides; an id leaves nothing to decide.
    ///
    /// OpenGradient's clients write names in two more ways: with a provider before a slash, and, by a mistake in the
    /// documentation that they follow, as `TEE_LLM.` and the name of a constant.
    pub(crate) fn find(&self, text: &str) -> Option<Arc<ModelInfo>> {
        let id: Option<ModelId> = text.parse().ok();
        let known = |matches: &dyn Fn(&ModelInfo) -> bool| {
            let models = self.lists.iter().flatten().flat_map(|list| list.iter());
            models.into_iter().find(|model| matches(model)).cloned()
        };
        known(&|model| id == Some(model.id) || model.name == text)
            .or_else(|| {
                let (_, bare) = text.split_once('/')?;
                known(&|model| model.name == bare)
            })
            .or_else(|| {
                let constant = letters(text.strip_prefix("TEE_LLM.")?);
                known(&|model| letters(&model.name) == constant)
            })
    }

    fn nodes_with(&self, id: &ModelId) -> Vec<usize> {
        let offers = |list: &ModelList| list.iter().any(|model| model.id == *id);
        (0..self.lists.len())
            .filter(|index| matches!(&self.lists[*index], Some(list) if offers(list)))
            .collect()
    }
}

/// A name without case and punctuation.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// One node, what it said last about its models, and how many requests its connections carry.
struct Node {
    url: String,
    lanes: Lanes,
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
    /// One for each connection that a node may need.
    clients: Vec<reqwest::Client>,
    nodes: Vec<Node>,
    turn: AtomicUsize,
    failures: Family<Place, Counter>,
}

impl Nodes {
    /// The nodes at these addresses.
    ///
    /// # Errors
    /// What the clients' set-up reports.
    pub(crate) fn new(urls: &[String]) -> Result<Self, reqwest::Error> {
        let clients = Lanes::for_requests(MAX_IN_FLIGHT).count();
        let nodes = urls
            .iter()
            .map(|url| Node {
                url: url.trim_end_matches('/').to_owned(),
                lanes: Lanes::for_requests(MAX_IN_FLIGHT),
                listing: Mutex::new(Listing {
                    models: None,
                    valid_until: None,
                }),
            })
            .collect();
        Ok(Self {
            clients: (0..clients)
                .map(|_| node_client())
                .collect::<Result<_, _>>()?,
            nodes,
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
                    tracing::warn!(node = node.url, %error, "node does not list its models");
                    (None, NODE_PAUSE)
                }
            };
            listing.models = models;
            listing.valid_until = Some(Instant::now() + valid_for);
        }
        listing.models.clone()
    }

    async fn fetch_models(&self, node: &Node) -> Result<Vec<ModelInfo>, FetchError> {
        let lane = node.lanes.take();
        let response = self.clients[lane.number()]
            .get(format!("{}/v1/models", node.url))
            .timeout(QUERY_TIMEOUT)
            .send()
            .await?
            .error_for_status()?;
        let body = read_bounded(response, MAX_MODEL_LIST_BYTES).await?;
        let list: Vec<ModelInfo> = serde_json::from_slice(&body)
            .map_err(|error| FetchError::Malformed(error.to_string()))?;
        if list.len() > MAX_MODELS_PER_NODE {
            return Err(FetchError::TooLong(MAX_MODELS_PER_NODE));
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
            let span = traced::begin(&node.url, "jobs");
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
            let span = traced::begin(&node.url, "count");
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
        let lane = node.lanes.take();
        let request = self.post(node, &lane, "count", body);
        let response = answered(request.timeout(QUERY_TIMEOUT)).await?;
        let bytes = read_bounded(response, MAX_ERROR_BYTES).await?;
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
        let lane = node.lanes.take();
        let answer = async {
            let response = answered(self.post(node, &lane, "jobs", body)).await?;
            Ok(read_bounded(response, JobResult::MAX_BYTES).await?)
        };
        let bytes: Result<_, PostError> = timeout(JOB_TIMEOUT, answer)
            .await
            .unwrap_or(Err(PostError::Late));
        JobResult::from_bytes(&bytes?).map_err(|error| PostError::Failed(error.to_string()))
    }

    /// A request with CBOR in it, which belongs to the current span. The lane is held until its answer was read.
    fn post(&self, node: &Node, lane: &Lane<'_>, path: &str, body: Bytes) -> RequestBuilder {
        let request = self.clients[lane.number()]
            .post(format!("{}/v1/{path}", node.url))
            .header(CONTENT_TYPE, "application/cbor")
            .body(body);
        match traces::header(&Span::current()) {
            Some(parent) => request.header(PARENT_HEADER, parent),
            None => request,
        }
    }
}

/// Sends a request; the answer has begun, and is a success.
async fn answered(request: RequestBuilder) -> Result<Response, PostError> {
    let response = request.send().await.map_err(FetchError::from)?;
    match response.status().is_success() {
        true => Ok(response),
        false => Err(PostError::from_response(response).await),
    }
}

/// Why one node gave no result.
enum PostError {
    /// The request is at fault, and would be elsewhere.
    Rejected(Rejection),
    /// The node has more to do than it takes on.
    Busy(String),
    /// The answer was not there within [`JOB_TIMEOUT`].
    Late,
    /// The node is at fault: another may do better.
    Failed(String),
}

impl From<FetchError> for PostError {
    fn from(error: FetchError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A node's count of tokens.
#[derive(Deserialize)]
struct Counted {
    prompt_tokens: u32,
}

/// A node's error, as far as it is of interest.
#[derive(Deserialize)]
struct NodeError {
    error: NodeErrorDetail,
}

#[derive(Deserialize)]
struct NodeErrorDetail {
    message: String,
    input: Option<String>,
}

impl PostError {
    /// What an answer that is none says.
    async fn from_response(response: Response) -> Self {
        let status = response.status();
        let body = read_bounded(response, MAX_ERROR_BYTES).await;
        Self::from_answer(status, &body.unwrap_or_default())
    }

    fn reason(&self) -> &str {
        match self {
            Self::Rejected(rejection) => &rejection.message,
            Self::Busy(reason) | Self::Failed(reason) => reason,
            Self::Late => "it took longer than an answer may take",
        }
    }

    /// That there is no answer, for this reason.
    fn without_answer(&self) -> RunError {
        RunError::NoneAnswered(self.reason().to_owned())
    }

    fn from_answer(status: StatusCode, body: &[u8]) -> Self {
        let error = serde_json::from_slice::<NodeError>(body).map(|body| body.error);
        let NodeErrorDetail { message, input } = error.unwrap_or_else(|_| NodeErrorDetail {
            message: String::from_utf8_lossy(body).into_owned(),
            input: None,
        });
        let rejection = Rejection::new(status, &message, input.as_deref());
        match status {
            StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Self::Rejected(rejection),
            StatusCode::TOO_MANY_REQUESTS => Self::Busy(rejection.message),
            _ => Self::Failed(format!("{status}: {}", rejection.message)),
        }
    }
}
