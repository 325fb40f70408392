//! Streams that are open at the same time.

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Client, Response};
use serde_json::Value;
use std::time::Duration;

/// Streams that are being opened, or read to their end, at the same time.
const AT_ONCE: usize = 64;
/// How long the next part of an answer may take.
const PART_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams whose first token has come.
pub(super) struct Streams(Vec<Response>);

impl Streams {
    /// Opens so many streams, each on a connection of its own, and waits for the first token of each.
    pub(super) async fn start(url: &str, question: &Value, count: usize) -> anyhow::Result<Self> {
        let client = Client::builder().read_timeout(PART_TIMEOUT).build()?;
        let opening = (0..count).map(|_| open_one(&client, url, question));
        let streams = stream::iter(opening).buffer_unordered(AT_ONCE);
        Ok(Self(streams.try_collect().await?))
    }

    /// Number of streams that are open.
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Reads all to their ends, each of which must have `expected` in it.
    pub(super) async fn end(self, expected: &str) -> anyhow::Result<()> {
        let ending = self.0.into_iter().map(async |stream| {
            let text = stream.text().await.context("a stream broke off")?;
            ensure!(text.contains(expected), "a stream ended with {text}");
            anyhow::Ok(())
        });
        stream::iter(ending)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

async fn open_one(client: &Client, url: &str, question: &Value) -> anyhow::Result<Response> {
    let request = client.post(url).json(question).send().await;
    let mut response = request.context("no stream: raise the limit of open files")?;
    let status = response.status();
    let mut text = String::new();
    while !text.contains("tok0") {
        let part = response.chunk().await?;
        let part = part
            .with_context(|| format!("a stream ended before its first token: {status} {text}"))?;
        text.push_str(&String::from_utf8_lossy(&part));
    }
    Ok(response)
}
