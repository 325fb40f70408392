//! A service that speaks as OpenAI's does and answers at once with twenty tokens, or holds its streams after the first.

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures::stream;
use serde_json::{Value, json};
use std::{convert::Infallible, net::SocketAddr};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Tokens of an answer.
const TOKENS: usize = 20;
/// Requests that may be here at once.
const MAX_REQUESTS: usize = 20_000;

/// The service, until it is dropped.
pub(super) struct Service {
    address: SocketAddr,
    held: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Service {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("no port for the service")?;
        let address = listener.local_addr()?;
        let (held, is_held) = watch::channel(false);
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .with_state(is_held);
        let serving = tokio::spawn(async move {
            // It ends with the measurement.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            held,
            serving,
        })
    }

    /// The file of a model that this service has.
    pub(super) fn relay_file(&self, model: &str) -> String {
        let url = format!("http://{}/v1", self.address);
        format!("[relay]\nurl = {url:?}\nmodel = {model:?}\nmax_requests = {MAX_REQUESTS}\n")
    }

    pub(super) fn chat_url(&self) -> String {
        format!("http://{}/v1/chat/completions", self.address)
    }

    /// Holds streams after their first token from now on.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Lets all streams end.
    pub(super) fn release(&self) {
        self.held.send_replace(false);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn chat(State(held): State<watch::Receiver<bool>>, Json(request): Json<Value>) -> Response {
    if request["stream"] == true {
        return streamed(held);
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
