//! A collector of traces that does not answer.

use og_http::traces::{TARGET, Traces};
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};
use tracing_subscriber::layer::SubscriberExt as _;

#[test]
fn nobody_waits_for_a_collector_that_does_not_answer() {
    // It takes connections, and reads nothing.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    let traces = Traces::to(&url, "test").unwrap();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    let begun = Instant::now();
    // Ten times as many as may wait.
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..20_480 {
            let span = tracing::info_span!(target: TARGET, "request", number);
            assert!(og_http::traces::header(&span).is_some());
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(5));
    traces.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(20));
}
