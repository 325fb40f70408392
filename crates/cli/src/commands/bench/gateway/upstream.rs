//! A service that speaks as OpenAI's does and answers at once with twenty tokens, or holds its streams after the first.
//!
//! It is a process of its own, so that its connections count to another limit of open files than the clients'.

use crate::{output::Output, process::raise_file_limit};
use anyhow::Context as _;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures::stream;
use serde_json::{Value, json};
use std::{convert::Infallible, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::watch,
};

/// Tokens of an answer.
const TOKENS: usize = 20;
/// Requests that may be here at once.
const MAX_REQUESTS: usize = 20_000;

/// The service's process, until this is dropped.
pub(super) struct Service {
    url: String,
    _process: Child,
}

impl Service {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the og program itself")?;
        let mut process = Command::new(program)
            .args(["bench", "gateway", "--serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the service's process")?;
        let told = process.stdout.take().context("no output")?;
        let url = BufReader::new(told).lines().next_line().await?;
        Ok(Self {
            url: url.context("the service's process ended")?,
            _process: process,
        })
    }

    /// The file of a model that this service has.
    pub(super) fn relay_file(&self, model: &str) -> String {
        let url = &self.url;
        format!("[relay]\nurl = {url:?}\nmodel = {model:?}\nmax_requests = {MAX_REQUESTS}\n")
    }

    pub(super) fn chat_url(&self) -> String {
        format!("{}/chat/completions", self.url)
    }

    /// Holds streams after their first token from now on, or lets all end.
    pub(super) async fn hold(&self, held: bool) -> anyhow::Result<()> {
        let url = format!("{}/held/{held}", self.url);
        let response = reqwest::Client::new().post(url).send().await?;
        response.error_for_status()?;
        Ok(())
    }
}

/// Is the service: tells its address, and serves until nothing more can come over standard input.
pub(super) async fn serve(output: &Output) -> anyhow::Result<()> {
    raise_file_limit();
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.context("no port for the service")?;
    output.line(format!("http://{}/v1", listener.local_addr()?));
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/held/{held}", post(hold))
        .with_state(watch::Sender::new(false));
    let whoever_started_this_ended = async {
        let mut nothing = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = nothing.next_line().await {}
    };
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        () = whoever_started_this_ended => Ok(()),
    }
}

async fn hold(State(held): State<watch::Sender<bool>>, Path(hold): Path<bool>) -> StatusCode {
    held.send_replace(hold);
    StatusCode::NO_CONTENT
}

async fn chat(State(held): State<watch::Sender<bool>>, Json(request): Json<Value>) -> Response {
    if request["stream"] == true {
        return streamed(held.subscribe());
    }
    let text: String = (0..TOKENS).map(token).collect();
    let choice = json!({
        "index": 0,
        "message": { "role": "assistant", "content": text },
        "finish_reason": "stop",
    });
    Json(object("chat.completion", &choice, true)).into_response()
}

/// The first token, when they are no longer held the others, and the end.
fn streamed(held: watch::Receiver<bool>) -> Response {
    let first = delta(0);
    let mut rest: String = (1..TOKENS).map(delta).collect();
    let end = json!({ "index": 0, "delta": {}, "finish_reason": "stop" });
    rest.push_str(&frame(&object("chat.completion.chunk", &end, true)));
    rest.push_str("data: [DONE]\n\n");
    let parts = stream::unfold((0, held, [first, rest]), async |(part, mut held, parts)| {
        if part == 1 {
            // The service ends if it fails.
            let _ = held.wait_for(|held| !held).await;
        }
        let text = parts.get(part)?.clone();
        Some((
            Ok::<_, Infallible>(Bytes::from(text)),
            (part + 1, held, parts),
        ))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream")];
    (headers, Body::from_stream(parts)).into_response()
}

fn token(number: usize) -> String {
    format!("tok{number} ")
}

fn delta(number: usize) -> String {
    let choice =
        json!({ "index": 0, "delta": { "content": token(number) }, "finish_reason": null });
    frame(&object("chat.completion.chunk", &choice, false))
}

fn frame(object: &Value) -> String {
    format!("data: {object}\n\n")
}

fn object(kind: &str, choice: &Value, with_usage: bool) -> Value {
    let mut object = json!({
        "id": "chatcmpl-x",
        "object": kind,
        "created": 1_700_000_000,
        "model": "bench",
        "choices": [choice],
    });
    if let Some(fields) = object.as_object_mut().filter(|_| with_usage) {
        let usage = json!({
            "prompt_tokens": 10,
            "completion_tokens": TOKENS,
            "total_tokens": 10 + TOKENS,
        });
        fields.insert("usage".to_owned(), usage);
    }
    object
}
