//! Servers of a few lines play services over real sockets, well and badly.

mod balance;
#[path = "../../../gateway/tests/it/collector.rs"]
mod collector;
mod embeddings;
mod failures;
mod files;
mod http2;
mod player;
mod services;
mod tls;
mod traced;

use og_types::language::{Message, Piece, Prompt, Question, RelayedReply};
use og_upstream::{AskError, Limits, Upstream, UpstreamAccess};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bounds that tests can wait for.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(2),
        first_byte: Duration::from_millis(400),
        silence: Duration::from_millis(400),
        total: Duration::from_secs(3),
        answer_bytes: 10_000,
        vectors_bytes: 10_000,
        stream_bytes: 100_000,
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(2),
    }
}

/// The seed of a question whose client chose none.
const NO_SEED: u64 = 0;

/// A model at these servers, which speak as `service`.
fn upstream(service: &str, hosts: &[&str]) -> Upstream {
    let urls: Vec<_> = hosts
        .iter()
        .map(|host| format!("http://{host}/v1"))
        .collect();
    let file = format!("[relay]\nservice = {service:?}\nurls = {urls:?}\nmodel = \"m\"\n");
    Upstream::new(&file, &UpstreamAccess::default(), limits()).unwrap()
}

fn question() -> Question {
    Question {
        max_tokens: Some(9),
        ..Question::new(Prompt::Messages(vec![Message::text("user", "Hello")]))
    }
}

/// The answer to [`question`], streamed, with its pieces.
async fn streamed(upstream: &Upstream) -> (Vec<Piece>, Result<RelayedReply, AskError>) {
    let (sender, mut receiver) = mpsc::channel(100);
    let question = question();
    let reply = upstream.ask(&question, NO_SEED, Some(&sender)).await;
    drop(sender);
    let mut pieces = vec![];
    while let Some(piece) = receiver.recv().await {
        pieces.push(piece);
    }
    (pieces, reply)
}

/// The answer to [`question`], whole.
async fn whole(upstream: &Upstream) -> Result<RelayedReply, AskError> {
    upstream.ask(&question(), NO_SEED, None).await
}
