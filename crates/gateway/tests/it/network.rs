//! Nodes and validators in miniature, and a gateway between them.
//!
//! The node doubles numbers and signs real records; the validator admits what it is handed into
//! a block of one record, with a real inclusion proof and a made-up certificate, which the gateway
//! passes on unread.

use alloy_primitives::{Address, B256, Bytes};
use axum::{
    Json, Router,
    body::Bytes as Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use og_crypto::{
    NodeKey, commit_input, commit_output,
    merkle::{ListTree, list_root},
};
use og_gateway::{
    GatewayConfig,
    config::{DEFAULT_ADDRESS_LIMITS, DEFAULT_RETAINED_BYTES},
    serve,
};
use og_opengradient::GatewayIdentity;
use og_types::{
    Canonical as _, Computed, Header, InferenceRequest, InferenceResponse, Job, JobResult, ModelId,
    Opening, Record, RequestId, SignedRecord, Tensor,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) const CHAIN_ID: u64 = 7331;
pub(crate) const GENESIS: B256 = B256::repeat_byte(7);
pub(crate) const MODEL: ModelId = ModelId([5; 32]);
pub(crate) const CERTIFICATE: &[u8] = b"certificate";

pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(elapsed.as_millis()).unwrap()
}

/// How a node behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Honest,
    /// Fails every job with this status.
    Fails(StatusCode),
    /// Signs a record for another request.
    OtherRequest,
    /// Commits to one response and hands over another.
    OtherResponse,
    /// Signs under another chain's genesis.
    OtherChain,
    /// Answers jobs with bytes that are no result.
    Garbage,
    /// Ends the connection in the middle of an answer.
    HangsUp,
    /// Signs a record that expires after so many milliseconds.
    ValidFor(u64),
}

pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) jobs: Arc<Mutex<Vec<RequestId>>>,
}

struct NodeState {
    key: NodeKey,
    conduct: Conduct,
    jobs: Arc<Mutex<Vec<RequestId>>>,
}

async fn spawn(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

impl Node {
    pub(crate) async fn start(seed: u8, conduct: Conduct) -> Self {
        let jobs = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new(NodeState {
            key: NodeKey::from_seed([seed; 32]),
            conduct,
            jobs: jobs.clone(),
        });
        let router = Router::new()
            .route("/v1/models", get(async || Json(model_list())))
            .route("/v1/jobs", post(run_job))
            .with_state(state);
        Self {
            url: spawn(router).await,
            jobs,
        }
    }

    pub(crate) fn job_count(&self) -> usize {
        self.jobs.lock().unwrap().len()
    }
}

fn model_list() -> Value {
    let tensor = |name| json!({"name": name, "dtype": "f32", "shape": [1, 2]});
    json!([{
        "id": MODEL, "name": "double", "computed": "float",
        "inputs": [tensor("x")], "outputs": [tensor("y")],
    }])
}

async fn run_job(State(node): State<Arc<NodeState>>, body: Body) -> Response {
    let job = Job::from_bytes(&body).unwrap();
    node.jobs.lock().unwrap().push(job.request_id);
    match node.conduct {
        Conduct::Fails(status) => {
            let error = json!({"error": {"message": "the node says no"}});
            (status, Json(error)).into_response()
        }
        Conduct::Garbage => "garbage".into_response(),
        Conduct::HangsUp => {
            let cut = futures::stream::iter([Ok("half of"), Err("an answer")]);
            Response::new(axum::body::Body::from_stream(cut))
        }
        conduct => answer(&node.key, &job, conduct).to_bytes().into_response(),
    }
}

/// What a node that behaves like `conduct` answers to `job`.
fn answer(key: &NodeKey, job: &Job, conduct: Conduct) -> JobResult {
    let request = InferenceRequest::from_bytes(&job.request).unwrap();
    let input = &request.inputs[0];
    let doubled: Vec<u8> = input
        .data
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .flat_map(|value| (value * 2.0).to_le_bytes())
        .collect();
    let response = InferenceResponse {
        version: 1,
        outputs: vec![Tensor {
            name: "y".to_owned(),
            data: doubled.into(),
            ..input.clone()
        }],
    };
    let salt = B256::repeat_byte(9);
    let mut opening = Opening {
        salt,
        request: job.request.clone(),
        response: response.to_bytes().into(),
    };
    let mut record = record(job, &request, key, &opening);
    if conduct == Conduct::OtherRequest {
        record.request_id = RequestId([0xee; 32]);
    }
    if let Conduct::ValidFor(milliseconds) = conduct {
        record.valid_until_ms = now_ms() + milliseconds;
    }
    if conduct == Conduct::OtherResponse {
        opening.response = InferenceResponse {
            version: 1,
            outputs: Vec::new(),
        }
        .to_bytes()
        .into();
    }
    let genesis = match conduct {
        Conduct::OtherChain => B256::repeat_byte(8),
        _ => GENESIS,
    };
    JobResult {
        version: 1,
        record: key.sign(&genesis, record),
        opening,
        evidence: None,
    }
}

fn record(job: &Job, request: &InferenceRequest, key: &NodeKey, opening: &Opening) -> Record {
    let now_ms = now_ms();
    Record {
        version: 1,
        chain_id: CHAIN_ID,
        request_id: job.request_id,
        payer: job.payer,
        payee: Address::repeat_byte(1),
        price: job.price,
        model: request.model,
        tier: job.tier,
        computed: Computed::Float,
        valid_from_ms: now_ms - 1_000,
        valid_until_ms: now_ms + 60_000,
        input_commitment: commit_input(&opening.salt, &opening.request),
        output_commitment: commit_output(&opening.salt, &opening.response),
        seed: job.seed,
        input_units: 2,
        output_units: 2,
        started_at_ms: now_ms,
        finished_at_ms: now_ms,
        node: key.id(),
        evidence: None,
    }
}

/// How a validator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Admits every record at once.
    Admits,
    /// Takes records and never admits one.
    Stalls,
    /// Says that no record can ever be admitted.
    Refuses,
    /// Is too busy to take records.
    Busy,
    /// Admits another record for the same request, by another node.
    Replaces,
}

pub(crate) struct Validator {
    pub(crate) url: String,
    state: Arc<ValidatorState>,
}

struct ValidatorState {
    policy: Mutex<Policy>,
    submitted: Mutex<BTreeMap<RequestId, SignedRecord>>,
}

impl Validator {
    pub(crate) async fn start(policy: Policy) -> Self {
        let state = Arc::new(ValidatorState {
            policy: Mutex::new(policy),
            submitted: Mutex::default(),
        });
        let router = Router::new()
            .route("/", post(rpc))
            .with_state(state.clone());
        Self {
            url: spawn(router).await,
            state,
        }
    }

    pub(crate) fn set_policy(&self, policy: Policy) {
        *self.state.policy.lock().unwrap() = policy;
    }

    pub(crate) fn submitted(&self) -> usize {
        self.state.submitted.lock().unwrap().len()
    }
}

async fn rpc(State(state): State<Arc<ValidatorState>>, Json(call): Json<Value>) -> Json<Value> {
    Json(called(&state, &call))
}

fn called(state: &ValidatorState, call: &Value) -> Value {
    let policy = *state.policy.lock().unwrap();
    let parameter = &call["params"][0];
    let result = match call["method"].as_str().unwrap() {
        "og_status" => json!({"height": "0x1", "timestampMs": now_ms()}),
        "og_submitRecords" => submit(state, policy, parameter),
        "og_getRecordProofs" => proofs(state, policy, parameter),
        other => panic!("the gateway calls {other}"),
    };
    json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
}

fn submit(state: &ValidatorState, policy: Policy, parameter: &Value) -> Value {
    let records: Vec<Bytes> = serde_json::from_value(parameter.clone()).unwrap();
    let told = records.iter().map(|bytes| {
        let (code, message) = match policy {
            Policy::Refuses => (-32010, "the node is not registered"),
            Policy::Busy => (-32011, "the mempool is full"),
            Policy::Admits | Policy::Stalls | Policy::Replaces => {
                let record = SignedRecord::from_bytes(bytes).unwrap();
                let id = record.record.request_id;
                state.submitted.lock().unwrap().insert(id, record);
                return Value::Null;
            }
        };
        json!({"code": code, "message": message})
    });
    told.collect()
}

/// Each record is in a block of its own.
fn proofs(state: &ValidatorState, policy: Policy, parameter: &Value) -> Value {
    let ids: Vec<RequestId> = serde_json::from_value(parameter.clone()).unwrap();
    let submitted = state.submitted.lock().unwrap();
    let (mut blocks, mut records) = (vec![], vec![]);
    for id in ids {
        let record = match (submitted.get(&id), policy) {
            (Some(record), Policy::Admits) => record.clone(),
            (Some(record), Policy::Replaces) => {
                NodeKey::from_seed([99; 32]).sign(&GENESIS, record.record.clone())
            }
            _ => {
                records.push(Value::Null);
                continue;
            }
        };
        let leaves = [record.to_bytes()];
        let header = Header {
            version: 1,
            chain_id: CHAIN_ID,
            height: 1,
            records_root: list_root(&leaves),
            ..Header::default()
        };
        let inclusion = ListTree::new(&leaves).prove(0).unwrap();
        let proof = json!({
            "block": blocks.len(),
            "record": Bytes::from(record.to_bytes()),
            "inclusion": Bytes::from(inclusion.to_bytes()),
        });
        records.push(json!({"height": "0x1", "proof": proof}));
        blocks.push(json!({
            "header": Bytes::from(header.to_bytes()),
            "descendants": [],
            "finalization": Bytes::from_static(CERTIFICATE),
        }));
    }
    json!({"blocks": blocks, "records": records})
}

/// The keys of every gateway here: to make them takes a while.
static IDENTITY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let validity = 0..=4_000_000_000;
    let names = ["localhost".to_owned()];
    let identity = GatewayIdentity::generate(&names, &validity, &mut rand::rng()).unwrap();
    identity.to_bytes().unwrap().to_vec()
});

/// What the gateways sign with.
pub(crate) fn identity() -> GatewayIdentity {
    GatewayIdentity::from_bytes(&IDENTITY).unwrap()
}

/// The file of keys in a gateway's folder, if it has one.
pub(crate) const KEYS: &str = "keys.toml";

/// A running gateway. Dropping it ends its process rudely; [`stop`](Self::stop) asks it to.
pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) secure_address: SocketAddr,
    operator_url: String,
    client: reqwest::Client,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A gateway's configuration, with all else as it usually is.
pub(crate) fn config(directory: &Path, nodes: &[&str], validators: &[&str]) -> GatewayConfig {
    let owned = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect();
    GatewayConfig {
        chain_id: CHAIN_ID,
        genesis_hash: GENESIS,
        nodes: owned(nodes),
        validators: owned(validators),
        data: directory.to_owned(),
        identity: Some(identity()),
        keys: Some(directory.join(KEYS)).filter(|path| path.exists()),
        address_limits: DEFAULT_ADDRESS_LIMITS,
        trusted_proxies: vec![],
        retained_bytes: DEFAULT_RETAINED_BYTES,
    }
}

impl Gateway {
    pub(crate) async fn start(directory: &Path, nodes: &[&str], validators: &[&str]) -> Self {
        Self::start_as(config(directory, nodes, validators)).await
    }

    pub(crate) async fn start_as(config: GatewayConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure_address = secure.local_addr().unwrap();
        let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operator_url = format!("http://{}", operators.local_addr().unwrap());
        let (shutdown, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(listener, Some(secure), operators, config, stopped)
                .await
                .unwrap();
        });
        // Nothing may keep a connection open when the gateway is asked to stop.
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            url,
            secure_address,
            operator_url,
            client,
            shutdown,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.send(()).unwrap();
        self.task.await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.url);
        self.client.get(url).send().await.unwrap()
    }

    pub(crate) async fn ask_as_operator(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.operator_url);
        self.client.get(url).send().await.unwrap()
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let url = format!("{}/v1/infer", self.url);
        let response = self.client.post(url).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// Posts a document with these headers.
    pub(crate) async fn send(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> reqwest::Response {
        let mut request = self.client.post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body.to_string()).send().await.unwrap()
    }

    /// Posts a sealed request.
    pub(crate) async fn post_sealed(&self, sealed: Vec<u8>, chunked: bool) -> reqwest::Response {
        let request = self.client.post(format!("{}/v1/ohttp", self.url));
        let request = request.header("x-ohttp-stream", chunked.to_string());
        request.body(sealed).send().await.unwrap()
    }

    /// Asks to double two numbers.
    pub(crate) async fn infer(&self) -> (u16, Value) {
        let question = json!({"model": "double", "inputs": {"x": [[1.5, -2]]}});
        self.post(question.to_string()).await
    }

    /// Asks for a receipt until it is decided one way or the other.
    pub(crate) async fn receipt(&self, answer: &Value) -> reqwest::Response {
        let path = answer["receipt_url"].as_str().unwrap();
        for _ in 0..400 {
            let response = self.get(path).await;
            if response.status() != StatusCode::ACCEPTED {
                return response;
            }
            assert_eq!(response.headers()["retry-after"], "1");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no receipt after 20 s");
    }
}

/// An address at which nobody listens.
pub(crate) async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
