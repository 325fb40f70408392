//! A node with a language model in miniature, which says what it is told to and signs it.

use crate::network::{CHAIN_ID, GENESIS, now_ms};
use alloy_primitives::{Address, B256};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header::ACCEPT},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use og_crypto::{NodeKey, commit_input, commit_output};
use og_types::{
    Canonical as _, Computed, InferenceRequest, InferenceResponse, Job, JobEvent, JobFailure,
    JobResult, ModelDescription, ModelId, ModelInfo, Opening, Record, Refusal, Tensor,
    count_elements,
    embedding::{self, RelayedVectors, Texts, Vectors},
    language::{self, Piece, Question, Reply, Said},
};
use serde_json::json;
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

/// How a speaker answers.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// These pieces, then the whole.
    Says(Vec<Piece>),
    /// One piece, and another whole: only who wants pieces sees that.
    Lies,
    /// One piece, then nothing more: the connection ends.
    BreaksOff,
    /// One piece, then it waits for ever.
    Stalls,
    /// No piece, and a failure of this code.
    Fails(&'static str),
    /// No piece, and a refusal of this input.
    Refuses(&'static str),
}

/// A node that speaks.
pub(crate) struct Speaker {
    pub(crate) url: String,
    /// What it was asked, with the seed.
    pub(crate) asked: Arc<Mutex<Vec<(Question, u64)>>>,
    /// The spans that its jobs say they belong to.
    pub(crate) parents: Arc<Mutex<Vec<String>>>,
    /// Held by each answer that is being given.
    pub(crate) answering: Arc<()>,
}

struct Speaking {
    key: NodeKey,
    manner: Manner,
    asked: Arc<Mutex<Vec<(Question, u64)>>>,
    parents: Arc<Mutex<Vec<String>>>,
    answering: Arc<()>,
}

impl Speaker {
    pub(crate) async fn start(seed: u8, manner: Manner) -> Self {
        let (asked, parents) = (Arc::default(), Arc::default());
        let answering = Arc::new(());
        let state = Arc::new(Speaking {
            key: NodeKey::from_seed([seed; 32]),
            manner,
            asked: Arc::clone(&asked),
            parents: Arc::clone(&parents),
            answering: answering.clone(),
        });
        let router = Router::new()
            .route("/v1/models", get(async || Json(models())))
            .route("/v1/jobs", post(job))
            .route("/v1/count", post(count))
            .with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            asked,
            parents,
            answering,
        }
    }

    /// Waits until it answers nobody any more.
    pub(crate) async fn is_free(&self) {
        for _ in 0..200 {
            // Ours, and the router's.
            if Arc::strong_count(&self.answering) == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the node still answers after 5 s");
    }
}

fn models() -> Vec<ModelInfo> {
    let model = |id, name: &str, computed, description: ModelDescription| ModelInfo {
        id: ModelId([id; 32]),
        name: name.to_owned(),
        computed,
        description,
    };
    let other = ModelDescription {
        inputs: vec![],
        outputs: vec![],
    };
    vec![
        model(5, "gpt-5", Computed::Exact, language::description()),
        model(6, "deaf", Computed::Exact, other),
        model(
            7,
            "vectors",
            Computed::Relayed,
            embedding::relayed_description(),
        ),
        model(8, "far", Computed::Relayed, language::relayed_description()),
        model(9, "near", Computed::Exact, embedding::description()),
    ]
}

/// As many tokens as the prompt has bytes; models of other services count none.
async fn count(body: Bytes) -> Response {
    let request = InferenceRequest::from_bytes(&body).unwrap();
    if request.model == ModelId([8; 32]) {
        let error = json!({"error": {"message": "this model cannot count tokens"}});
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let prompt = request.inputs.iter().find(|input| input.name == "prompt");
    Json(json!({"prompt_tokens": prompt.unwrap().data.len()})).into_response()
}

async fn job(State(speaker): State<Arc<Speaking>>, headers: HeaderMap, body: Bytes) -> Response {
    let job = Job::from_bytes(&body).unwrap();
    let request = InferenceRequest::from_bytes(&job.request).unwrap();
    if request.model == ModelId([7; 32]) {
        return embed(&speaker.key, &job, &request);
    }
    if request.model == ModelId([9; 32]) {
        return embed_here(&speaker.key, &job, &request);
    }
    let question = Question::from_tensors(&request.inputs).unwrap();
    speaker.asked.lock().unwrap().push((question, job.seed));
    if let Some(parent) = headers.get("traceparent") {
        let parent = parent.to_str().unwrap().to_owned();
        speaker.parents.lock().unwrap().push(parent);
    }
    let hello = || Piece::Text("Hello".to_owned());
    let (pieces, last) = match &speaker.manner {
        Manner::Says(pieces) => (
            pieces.clone(),
            Some(result(&speaker.key, &job, &request, pieces)),
        ),
        Manner::Lies => {
            let other = [Piece::Text("Good bye".to_owned())];
            (
                vec![hello()],
                Some(result(&speaker.key, &job, &request, &other)),
            )
        }
        Manner::BreaksOff | Manner::Stalls => (vec![hello()], None),
        Manner::Fails(code) => {
            let failure = JobFailure::new(code, "the node says no", None);
            (vec![], Some(JobEvent::Failed(failure)))
        }
        Manner::Refuses(input) => {
            let message = Refusal::of(*input, "is too much").to_string();
            let failure = JobFailure::new("bad_input", &message, Some(input));
            (vec![], Some(JobEvent::Failed(failure)))
        }
    };
    let stalls = matches!(speaker.manner, Manner::Stalls);
    let accepted = headers.get(ACCEPT);
    if accepted.is_none_or(|accepted| accepted != "application/cbor-seq") {
        return whole(last, stalls, speaker.answering.clone()).await;
    }
    let events = pieces.into_iter().map(JobEvent::Piece).chain(last);
    let bytes: Vec<_> = events.map(|event| event.to_bytes()).collect();
    let held = speaker.answering.clone();
    let body = futures::stream::unfold((bytes.into_iter(), held), move |mut state| async move {
        match state.0.next() {
            Some(bytes) => Some((Ok::<_, Infallible>(bytes), state)),
            None if stalls => std::future::pending().await,
            None => None,
        }
    });
    (StatusCode::OK, Body::from_stream(body)).into_response()
}

/// The answer to whoever wants no pieces.
async fn whole(last: Option<JobEvent>, stalls: bool, _answering: Arc<()>) -> Response {
    match last {
        Some(JobEvent::Result(result)) => result.to_bytes().into_response(),
        Some(JobEvent::Failed(failure)) => {
            let status = match failure.code.as_str() {
                "bad_input" => StatusCode::BAD_REQUEST,
                "busy" => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let error = json!({"message": failure.message, "input": failure.input});
            (status, Json(json!({"error": error}))).into_response()
        }
        _ if stalls => std::future::pending().await,
        _ => {
            let broken = io::Error::new(io::ErrorKind::ConnectionReset, "broken off");
            let body = futures::stream::iter([Ok("x"), Err(broken)]);
            Body::from_stream(body).into_response()
        }
    }
}

/// The vectors of texts: their lengths in bytes, as often as is asked for, which may be twice.
fn embed(key: &NodeKey, job: &Job, request: &InferenceRequest) -> Response {
    let texts = Texts::from_tensors(&request.inputs).unwrap();
    let length = usize::try_from(texts.dimensions.unwrap_or(2)).unwrap();
    if length > 2 {
        let refusal = Refusal::of("dimensions", "must be at most 2");
        let error = json!({"message": refusal.to_string(), "input": refusal.input});
        let body = Json(json!({"error": error}));
        return (StatusCode::BAD_REQUEST, body).into_response();
    }
    let vectors = texts.texts.iter().map(|text| {
        let bytes = u16::try_from(text.len()).unwrap();
        vec![f32::from(bytes) / 4.0; length]
    });
    let relayed = RelayedVectors {
        vectors: vectors.collect(),
        prompt_tokens: Some(3),
        upstream: "far.example".to_owned(),
        upstream_model: String::new(),
    };
    let outputs = relayed.to_tensors().unwrap();
    signed(key, job, request, Computed::Relayed, outputs)
        .to_bytes()
        .into_response()
}

/// Vectors as a model that runs on the node gives them; one for all texts that are equal, so that a client can be cheated.
fn embed_here(key: &NodeKey, job: &Job, request: &InferenceRequest) -> Response {
    let mut texts = Texts::from_tensors(&request.inputs).unwrap().texts;
    texts.dedup();
    let tokens = |text: &String| text.bytes().map(u32::from).collect();
    let vectors = Vectors {
        vectors: texts.iter().map(|_| vec![0.5, -0.75]).collect(),
        prompt_tokens: texts.iter().map(tokens).collect(),
        trace_roots: texts.iter().map(|_| [7; 32]).collect(),
    };
    let outputs = vectors.to_tensors().unwrap();
    signed(key, job, request, Computed::Exact, outputs)
        .to_bytes()
        .into_response()
}

fn result(key: &NodeKey, job: &Job, request: &InferenceRequest, pieces: &[Piece]) -> JobEvent {
    let mut said = Said::empty();
    for piece in pieces {
        said.add(piece).unwrap();
    }
    if !said.tool_calls.is_empty() {
        said.finish = language::Finish::ToolCalls;
    }
    let reply = Reply {
        said,
        prompt_tokens: vec![1, 2, 3],
        tokens: vec![4, 5],
        trace_root: [7; 32],
    };
    let outputs = reply.to_tensors().unwrap();
    JobEvent::Result(Box::new(signed(
        key,
        job,
        request,
        Computed::Exact,
        outputs,
    )))
}

fn signed(
    key: &NodeKey,
    job: &Job,
    request: &InferenceRequest,
    computed: Computed,
    outputs: Vec<Tensor>,
) -> JobResult {
    let units = |tensors| u32::try_from(count_elements(tensors).unwrap()).unwrap();
    let (input_units, output_units) = (units(&request.inputs), units(&outputs));
    let salt = B256::repeat_byte(9);
    let response = InferenceResponse {
        version: 1,
        outputs,
    }
    .to_bytes();
    let now_ms = now_ms();
    let record = Record {
        version: 1,
        chain_id: CHAIN_ID,
        request_id: job.request_id,
        payer: job.payer,
        payee: Address::repeat_byte(1),
        price: job.price,
        model: request.model,
        tier: job.tier,
        computed,
        valid_from_ms: now_ms - 1_000,
        valid_until_ms: now_ms + 60_000,
        input_commitment: commit_input(&salt, &job.request),
        output_commitment: commit_output(&salt, &response),
        seed: job.seed,
        input_units,
        output_units,
        started_at_ms: now_ms,
        finished_at_ms: now_ms,
        node: key.id(),
        evidence: None,
    };
    JobResult {
        version: 1,
        record: key.sign(&GENESIS, record),
        opening: Opening {
            salt,
            request: job.request.clone(),
            response: response.into(),
        },
        evidence: None,
    }
}

/// A body that asks for a greeting, with these fields beside.
pub(crate) fn greeting(fields: &serde_json::Value) -> serde_json::Value {
    let mut body = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
