//! One server for each test, asked with an ordinary HTTP client.

use alloy_primitives::{Address, B256};
use og_crypto::{NodeKey, RecordVerifier};
use og_engine::Library;
use og_inference::{Ledger, MAX_HELD_BYTES, Worker, WorkerConfig, serve};
use og_types::{
    Amount, Canonical as _, ElementType, InferenceRequest, InferenceResponse, Job, JobEvent,
    JobEvents, JobResult, ModelId, ModelInfo, RequestId, Tensor, Tier,
    language::{Finish, ONE, Prompt, Question, Reply, Said},
};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::Value;
use std::{fs, path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

struct Server {
    address: String,
    operator_address: String,
    model: ModelId,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    client: Client,
}

impl Server {
    async fn start(directory: &Path) -> Self {
        let library = Arc::new(Library::open(directory.join("models")).unwrap());
        let model = library.resolve("digits").unwrap().id;
        let worker = Arc::new(Worker::new(WorkerConfig {
            key: NodeKey::from_seed([1; 32]),
            payee: Address::ZERO,
            chain_id: 1,
            genesis_hash: B256::ZERO,
            library,
            ledger: Ledger::open(&directory.join("ledger"), 0).unwrap(),
            clock: Arc::new(|| 1_700_000_000_000),
            salts: Arc::new(|| B256::repeat_byte(1)),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operator_address = operators.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        Self {
            address,
            operator_address,
            model,
            stop,
            task: tokio::spawn(serve(listener, operators, worker, shutdown)),
            client: Client::new(),
        }
    }

    async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    async fn ask_as_operator(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.operator_address);
        self.client.get(url).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.address);
        self.client.get(url).send().await.unwrap()
    }

    async fn post(&self, bytes: Vec<u8>) -> Response {
        self.post_to("jobs", bytes).await
    }

    async fn post_to(&self, path: &str, bytes: Vec<u8>) -> Response {
        self.client
            .post(format!("http://{}/v1/{path}", self.address))
            .header(CONTENT_TYPE, "application/cbor")
            .body(bytes)
            .send()
            .await
            .unwrap()
    }

    /// As [`Self::post`], for the answer as it comes.
    async fn stream(&self, job: &Job) -> Response {
        self.client
            .post(format!("http://{}/v1/jobs", self.address))
            .header(CONTENT_TYPE, "application/cbor")
            .header(ACCEPT, "application/cbor-seq")
            .body(job.to_bytes())
            .send()
            .await
            .unwrap()
    }

    /// A job that asks the teller of stories.
    async fn story(&self, id: u8, question: &Question) -> Job {
        let models: Vec<ModelInfo> = self.get("/v1/models").await.json().await.unwrap();
        let request = InferenceRequest {
            version: 1,
            model: models[1].id,
            inputs: question.to_tensors().unwrap(),
        };
        Job {
            seed: 7,
            request: request.to_bytes().into(),
            ..self.job(id)
        }
    }

    fn job(&self, id: u8) -> Job {
        Job {
            version: 1,
            request_id: RequestId([id; 32]),
            payer: Address::ZERO,
            price: Amount(0),
            tier: Tier::Signed,
            seed: 0,
            request: self.request("image", self.model),
        }
    }

    fn request(&self, name: &str, model: ModelId) -> alloy_primitives::Bytes {
        InferenceRequest {
            version: 1,
            model,
            inputs: vec![Tensor {
                name: name.to_owned(),
                element_type: ElementType::F32,
                shape: vec![1, 1, 8, 8],
                data: vec![0; 256].into(),
            }],
        }
        .to_bytes()
        .into()
    }
}

/// Checks an error's status and code, and gives its message.
async fn failure(response: Response, status: StatusCode, code: &str) -> String {
    assert_eq!(response.status(), status);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], code, "{body}");
    // A message names the input at fault, if there is one.
    let message = body["error"]["message"].as_str().unwrap();
    let input = body["error"]["input"].as_str().unwrap_or_default();
    assert!(message.contains(input), "{body}");
    assert_eq!(input.is_empty(), code != "bad_input", "{body}");
    message.to_owned()
}

#[tokio::test]
async fn a_job_is_answered_with_a_signed_record_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let response = server.post(server.job(1).to_bytes()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/cbor");
    let result = JobResult::from_bytes(&response.bytes().await.unwrap()).unwrap();
    assert!(RecordVerifier::new(&B256::ZERO).verify(&result.record));
    let outputs = InferenceResponse::from_bytes(&result.opening.response)
        .unwrap()
        .outputs;
    assert_eq!(outputs[0].name, "probabilities");

    let again = server.post(server.job(1).to_bytes()).await;
    failure(again, StatusCode::CONFLICT, "request_id_used").await;
    server.stop().await;

    // A restart forgets nothing.
    let server = Server::start(directory.path()).await;
    let again = server.post(server.job(1).to_bytes()).await;
    failure(again, StatusCode::CONFLICT, "request_id_used").await;
    server.stop().await;
}

#[tokio::test]
async fn models_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let models: Vec<ModelInfo> = server.get("/v1/models").await.json().await.unwrap();
    assert_eq!(models.len(), 2);
    assert_eq!(models[1].name, "story");
    assert_eq!(
        (models[0].name.as_str(), models[0].id),
        ("digits", server.model)
    );
    assert_eq!(models[0].description.inputs[0].name, "image");
    server.stop().await;
}

#[tokio::test]
async fn an_operator_sees_readiness_and_figures() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let alive = server.ask_as_operator("/healthz").await;
    assert_eq!(alive.status(), StatusCode::OK);
    let ready = server.ask_as_operator("/readyz").await;
    assert_eq!(ready.status(), StatusCode::OK);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(ready["checks"][0]["name"], "models");

    server.post(server.job(1).to_bytes()).await;
    server.post(vec![0xff]).await;
    let text = server.ask_as_operator("/metrics").await;
    let text = text.text().await.unwrap();
    for line in [
        r#"og_node_info{role="inference",version="#,
        r#"og_http_requests_total{route="/v1/jobs",status="200"} 1"#,
        r#"og_http_requests_total{route="/v1/jobs",status="400"} 1"#,
        r#"og_http_request_seconds_count{route="/v1/jobs"} 2"#,
        "og_inference_computations 0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    // The public address has none of it.
    assert_eq!(server.get("/metrics").await.status(), StatusCode::NOT_FOUND);

    fs::remove_dir_all(directory.path().join("models")).unwrap();
    let ready = server.ask_as_operator("/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(
        (&ready["ready"], &ready["checks"][0]["ok"]),
        (&Value::from(false), &Value::from(false))
    );
    server.stop().await;
}

#[tokio::test]
async fn bad_requests_get_their_status_and_say_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let bad = StatusCode::BAD_REQUEST;

    let malformed = server.post(vec![0xff; 10]).await;
    assert!(
        failure(malformed, bad, "bad_request")
            .await
            .starts_with("job")
    );
    let mut truncated = server.job(1).to_bytes();
    truncated.pop();
    failure(server.post(truncated).await, bad, "bad_request").await;

    let mut job = server.job(1);
    job.request = vec![0xff; 3].into();
    let message = failure(server.post(job.to_bytes()).await, bad, "bad_request").await;
    assert!(message.starts_with("request"), "{message}");
    job.request = server.request("img", server.model);
    let message = failure(server.post(job.to_bytes()).await, bad, "bad_input").await;
    assert_eq!(message, "the model has no input \"img\"; it takes image");
    job.request = server.request("image", ModelId([9; 32]));
    failure(
        server.post(job.to_bytes()).await,
        StatusCode::NOT_FOUND,
        "unknown_model",
    )
    .await;

    let too_large = server.post(vec![0; Job::MAX_BYTES + 1]).await;
    failure(too_large, StatusCode::PAYLOAD_TOO_LARGE, "too_large").await;
    let url = format!("http://{}/v1/jobs", server.address);
    let untyped = server.client.post(&url).body(vec![1]).send().await.unwrap();
    failure(
        untyped,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
    )
    .await;
    failure(
        server.get("/v1/jobs").await,
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
    )
    .await;
    failure(server.get("/v2").await, StatusCode::NOT_FOUND, "not_found").await;

    // After all that it still answers.
    assert_eq!(
        server.post(server.job(1).to_bytes()).await.status(),
        StatusCode::OK
    );
    server.stop().await;
}

#[tokio::test]
async fn jobs_beyond_those_taken_on_are_told_to_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    // Clients that announce a job and do not send it: each holds a place.
    let mut waiting = Vec::new();
    for _ in 0..MAX_HELD_BYTES / Job::MAX_BYTES {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let length = Job::MAX_BYTES;
        let head = format!(
            "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/cbor\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body once the job has its place.
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100"));
        waiting.push(stream);
    }
    // Small ones find room.
    let small = server.post(server.job(2).to_bytes()).await;
    assert_eq!(small.status(), StatusCode::OK);
    let response = server.post(vec![0; Job::MAX_BYTES]).await;
    assert_eq!(response.headers()["retry-after"], "1");
    failure(response, StatusCode::TOO_MANY_REQUESTS, "busy").await;
    assert_eq!(
        server.ask_as_operator("/readyz").await.status(),
        StatusCode::OK
    );
    drop(waiting);
    // The places become free as the server notices that the clients left.
    while server.post(vec![0; Job::MAX_BYTES]).await.status() != StatusCode::BAD_REQUEST {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.stop().await;
}

fn question(max_tokens: i64) -> Question {
    Question {
        max_tokens: Some(max_tokens),
        temperature: ONE,
        ..Question::new(Prompt::Text("Once upon a time".to_owned()))
    }
}

#[tokio::test]
async fn an_answer_comes_in_pieces_that_add_up_to_the_signed_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let job = server.story(1, &question(60)).await;
    let mut response = server.stream(&job).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/cbor-seq");
    let (mut events, mut sum, mut portions) = (JobEvents::default(), Said::empty(), 0);
    let mut result = None;
    while let Some(bytes) = response.chunk().await.unwrap() {
        portions += usize::from(result.is_none());
        events.push(&bytes).unwrap();
        while let Some(event) = events.next_event().unwrap() {
            match event {
                JobEvent::Piece(piece) => sum.add(&piece).unwrap(),
                JobEvent::Result(whole) => result = Some(whole),
                JobEvent::Failed(failure) => panic!("{failure:?}"),
            }
        }
    }
    assert!(events.has_ended() && portions > 3, "{portions} portions");
    let result = result.unwrap();
    assert!(RecordVerifier::new(&B256::ZERO).verify(&result.record));
    let reply = |result: &JobResult| {
        let response = InferenceResponse::from_bytes(&result.opening.response).unwrap();
        Reply::from_tensors(&response.outputs).unwrap()
    };
    assert_eq!(sum.check(&reply(&result).said), Ok(()));
    // Asked as a whole, the answer is the same.
    let job = server.story(2, &question(60)).await;
    let whole = server.post(job.to_bytes()).await.bytes().await.unwrap();
    let whole = JobResult::from_bytes(&whole).unwrap();
    assert_eq!(reply(&whole), reply(&result));
    server.stop().await;
}

/// What a job's answer says.
async fn reply(server: &Server, job: &Job) -> Reply {
    let result = server.post(job.to_bytes()).await.bytes().await.unwrap();
    let result = JobResult::from_bytes(&result).unwrap();
    let response = InferenceResponse::from_bytes(&result.opening.response).unwrap();
    Reply::from_tensors(&response.outputs).unwrap()
}

#[tokio::test]
async fn the_stop_string_that_ends_an_answer_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let whole = reply(&server, &server.story(1, &question(60)).await).await;
    assert!(!matches!(whole.said.finish, Finish::StopString(_)));
    let word = whole.said.text.split(' ').nth(3).unwrap();
    let stopped = Question {
        stop: vec!["never in it".to_owned(), word.to_owned()],
        ..question(60)
    };
    let stopped = reply(&server, &server.story(2, &stopped).await).await;
    assert_eq!(stopped.said.finish, Finish::StopString(1));
    assert!(whole.said.text.starts_with(&stopped.said.text));
    server.stop().await;
}

#[tokio::test]
async fn a_prompts_tokens_are_counted_as_an_answer_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let job = server.story(1, &question(1)).await;
    let counted = server.post_to("count", job.request.to_vec()).await;
    assert_eq!(counted.status(), StatusCode::OK);
    let counted: Value = counted.json().await.unwrap();
    let answer = reply(&server, &job).await;
    assert_eq!(counted["prompt_tokens"], answer.prompt_tokens.len());

    let digits = server.job(2).request.to_vec();
    let refused = server.post_to("count", digits).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let refused: Value = refused.json().await.unwrap();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("count"), "{message}");
    let malformed = server.post_to("count", vec![0xff; 10]).await;
    failure(malformed, StatusCode::BAD_REQUEST, "bad_request").await;
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_before_its_first_piece_says_so_in_its_status() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let long = Question::new(Prompt::Text("fox ".repeat(10_000)));
    let job = server.story(1, &long).await;
    let message = failure(
        server.stream(&job).await,
        StatusCode::BAD_REQUEST,
        "bad_input",
    )
    .await;
    assert!(message.contains("shorten it"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_answer_before_it_is_signed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let job = server.story(1, &question(400)).await;
    let mut response = server.stream(&job).await;
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    loop {
        let figures = server.ask_as_operator("/metrics").await;
        if figures
            .text()
            .await
            .unwrap()
            .contains("og_inference_jobs_admitted 0")
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // Had it gone on to its end, the id would be used.
    let again = server.post(job.to_bytes()).await;
    assert_eq!(again.status(), StatusCode::OK);
    server.stop().await;
}
