//! Clients that ask one question after another over connections that stay open.
//!
//! They ask with what is nearest to the socket, as their own time counts as the service's.

use anyhow::{Context as _, ensure};
use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Uri, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes connections, and keeps them between requests.
type Client = legacy::Client<HttpConnector, Full<Bytes>>;

/// Has `clients` clients make `calls` over and over for as long as `duration`, each answered with a text that has `expected` in
/// it; milliseconds of each call, in order.
pub(super) async fn ask(
    url: &str,
    calls: &[Value],
    expected: &'static str,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<Vec<f64>> {
    let url: Uri = url.parse()?;
    let bodies: Arc<[Bytes]> = calls.iter().map(|call| call.to_string().into()).collect();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let http: Client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (http, url, bodies) = (http.clone(), url.clone(), Arc::clone(&bodies));
        tasks.spawn(async move {
            let started = Instant::now();
            let mut milliseconds = Vec::new();
            for body in bodies.iter().cycle().skip(client) {
                if started.elapsed() >= duration {
                    break;
                }
                let called = timeout(ANSWER_TIMEOUT, call(&http, &url, body, expected));
                milliseconds.push(called.await.context("no answer in time")??);
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
async fn call(http: &Client, url: &Uri, body: &Bytes, expected: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    let request = Request::post(url.clone())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body.clone()))?;
    let response = http.request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    let elapsed = started.elapsed();
    let answer = String::from_utf8_lossy(&answer);
    ensure!(
        status.is_success() && answer.contains(expected),
        "a call was refused with {status}: {answer}"
    );
    Ok(elapsed.as_secs_f64() * 1000.0)
}
