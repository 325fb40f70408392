//! What a server was asked, how it answered, and how long that took.

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::Instant;

/// What requests that no route takes are counted under.
const NO_ROUTE: &str = "none";
/// Shortest time told apart, in seconds; each next one is twice as long, up to about a minute.
const SHORTEST_SECONDS: f64 = 0.001;
const BUCKETS: u16 = 17;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug)]
struct Latencies;

impl MetricConstructor<Histogram> for Latencies {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(SHORTEST_SECONDS, 2.0, BUCKETS))
    }
}

/// Counts requests by route and status, and measures them. There are as many series as a server
/// has routes and statuses: nothing that a client chooses is a label.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    answers: Family<Answer, Counter>,
    seconds: Family<Route, Histogram, Latencies>,
}

impl RequestMetrics {
    /// Metrics named `http_requests` and `http_request_seconds` in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            answers: Family::default(),
            seconds: Family::new_with_constructor(Latencies),
        };
        registry.register(
            "http_requests",
            "Requests answered, by route and status",
            metrics.answers.clone(),
        );
        registry.register(
            "http_request_seconds",
            "Time from a request's head to the head of its answer, by route",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// `app`, observed.
    pub fn observe(self, app: Router) -> Router {
        app.layer(from_fn_with_state(self, observe))
    }
}

async fn observe(State(metrics): State<RequestMetrics>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    metrics
        .seconds
        .get_or_create(&Route {
            route: route.clone(),
        })
        .observe(begun.elapsed().as_secs_f64());
    metrics
        .answers
        .get_or_create(&Answer { route, status })
        .inc();
    response
}
