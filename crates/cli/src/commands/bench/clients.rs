//! Clients that ask one question after another over connections that stay open.

use anyhow::{Context as _, ensure};
use reqwest::{Client, header::CONTENT_TYPE};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Has `clients` clients make `calls` over and over for as long as `duration`, each answered with a text that has `expected` in
/// it; milliseconds of each call, in order.
pub(super) async fn ask(
    url: &str,
    calls: &[Value],
    expected: &'static str,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<Vec<f64>> {
    let bodies: Arc<[String]> = calls.iter().map(Value::to_string).collect();
    let http = Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (http, url, bodies) = (http.clone(), url.to_owned(), Arc::clone(&bodies));
        tasks.spawn(async move {
            let started = Instant::now();
            let mut milliseconds = Vec::new();
            for body in bodies.iter().cycle().skip(client) {
                if started.elapsed() >= duration {
                    break;
                }
                milliseconds.push(call(&http, &url, body, expected).await?);
            }
            anyhow::Ok(milliseconds)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended.context("a client failed")??);
    }
    all.sort_by(f64::total_cmp);
    Ok(all)
}

/// Milliseconds of one call.
async fn call(http: &Client, url: &str, body: &str, expected: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    let request = http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_owned());
    let answer = request.send().await?.error_for_status()?.text().await?;
    let elapsed = started.elapsed();
    ensure!(answer.contains(expected), "a call was refused: {answer}");
    Ok(elapsed.as_secs_f64() * 1000.0)
}
