//! What operators and their tools ask of a node: is it alive, is it of use, what are its figures.
//!
//! The same three paths on every role, on an address of their own: `/healthz`, `/readyz` and
//! `/metrics`.

use crate::{Shares, Transport};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{metrics::info::Info, registry::Registry};
use serde::{Deserialize, Serialize};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::timeout};

/// Most connections of operators' tools open at once.
pub const MAX_CONNECTIONS: usize = 32;
/// Longest time that finding out may take; what is not known by then is not ready.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A node, as its operator sees it.
pub trait Operated: Send + Sync + 'static {
    /// What must hold for the node to be of use.
    fn checks(&self) -> impl Future<Output = Vec<Check>> + Send;

    /// Every figure, in the OpenMetrics text format.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}

/// One thing that must hold for a node to be of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A name for programs, for example `peers`.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// A sentence for people: how things are, and what to do if it does not hold.
    pub detail: String,
}

impl Check {
    /// A check.
    pub fn new(name: &str, ok: bool, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            ok,
            detail: detail.into(),
        }
    }
}

/// What `/readyz` answers: with status 200 if the node is ready, 503 if not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether every check holds.
    pub ready: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// The checks that do not hold, as one sentence; empty if there are none.
    pub fn reasons(&self) -> String {
        let failed = self.checks.iter().filter(|check| !check.ok);
        let reasons: Vec<_> = failed.map(|check| check.detail.as_str()).collect();
        reasons.join("; ")
    }
}

/// A registry for the figures of a node of this role; their names begin with `og_`.
pub fn registry(role: &'static str) -> Registry {
    let mut registry = Registry::with_prefix("og");
    let info = [("role", role), ("version", env!("CARGO_PKG_VERSION"))];
    registry.register("node", "What the node is", Info::new(info));
    registry
}

/// Serves `node`'s operators on `listener` until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    node: Arc<impl Operated>,
    shutdown: impl Future<Output = ()> + Send,
) {
    // Only the operator's own tools reach it, all from one host.
    let places = Shares::new(MAX_CONNECTIONS, MAX_CONNECTIONS);
    crate::serve(listener, app(node), Transport::Http1, places, shutdown).await;
}

fn app<N: Operated>(node: Arc<N>) -> Router {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready::<N>))
        .route("/metrics", get(metrics::<N>))
        .with_state(node)
}

async fn ready<N: Operated>(State(node): State<Arc<N>>) -> (StatusCode, Json<Readiness>) {
    let checks = timeout(ANSWER_TIMEOUT, node.checks())
        .await
        .unwrap_or_else(|_| {
            let seconds = ANSWER_TIMEOUT.as_secs();
            let detail = format!("the checks took more than {seconds} s: the machine is overloaded or its disk is stuck");
            vec![Check::new("time", false, detail)]
        });
    let ready = checks.iter().all(|check| check.ok);
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Readiness { ready, checks }))
}

async fn metrics<N: Operated>(State(node): State<Arc<N>>) -> impl IntoResponse {
    match timeout(ANSWER_TIMEOUT, node.metrics()).await {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
