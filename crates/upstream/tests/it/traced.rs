//! What a collector of traces gets of requests to services, and that the services get nothing of the trace.

use crate::{
    collector::{Collector, attribute},
    player::{Asked, LAST, Player, answer, chunks, frame, says},
    streamed, upstream, whole,
};
use hyper::HeaderMap;
use og_http::traces::{PARENT_HEADER, Parent, TARGET, Traces};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tokio::runtime::Runtime;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[test]
fn a_collector_gets_whom_a_job_asks_and_the_services_get_nothing_of_its_trace() {
    let (collector, collectors) = (Collector::default(), Runtime::new().unwrap());
    let url = collectors.block_on(collector.start());
    let traces = Traces::to(&url, "node-7").unwrap();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    // Of the whole process, as other tests may be the first to come by a span.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let asked = Runtime::new().unwrap().block_on(ask_within_a_job());
    traces.shutdown();

    let spans = collector.spans(TRACE);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let [job, failed, answered, streamed] = &spans[..] else {
        panic!("{names:?}")
    };
    for (span, status) in [(failed, "500"), (answered, "200"), (streamed, "200")] {
        assert_eq!(span.parent_span_id, job.span_id);
        assert_eq!(
            (span.name.as_str(), span.kind()),
            ("POST chat/completions", SpanKind::Client)
        );
        assert_eq!(says_of(span, "http.response.status_code"), status);
        assert!(says_of(span, "url.full").ends_with("/v1/chat/completions"));
        assert!(span.end_time_unix_nano <= job.end_time_unix_nano);
    }
    let status = failed.status.clone().unwrap_or_default();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(says_of(failed, "error.type"), "failed");
    assert_eq!(says_of(answered, "error.type"), "");

    assert_eq!(asked.len(), 3);
    for asked in asked {
        let headers = format!("{:?}", asked.headers);
        assert!(!headers.contains(PARENT_HEADER.as_str()), "{headers}");
        assert!(!headers.contains(TRACE), "{headers}");
    }
    let said = format!("{:?}", collector.given());
    for word in ["Hello", "what a service says"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}

/// Asks whole, first a server that fails, and streamed; what the servers got.
async fn ask_within_a_job() -> Vec<Asked> {
    let headers = HeaderMap::from_iter([(
        PARENT_HEADER,
        format!("00-{TRACE}-b7ad6b7169203331-01").parse().unwrap(),
    )]);
    let job = tracing::info_span!(target: TARGET, "job");
    Parent::of(&headers).unwrap().adopt(&job);
    let fails = Player::new(|_| answer("500 Oops", "", "what a service says")).await;
    let well = Player::new(|asked| match asked.body["stream"].as_bool() {
        Some(true) => chunks(
            [frame("what a service says"), LAST.to_owned()].concat(),
            4000,
        ),
        _ => says("what a service says"),
    })
    .await;
    let both = upstream("compatible", &[&fails.host, &well.host]);
    let one = upstream("compatible", &[&well.host]);
    async {
        whole(&both).await.unwrap();
        streamed(&one).await.1.unwrap();
    }
    .instrument(job)
    .await;
    [fails.seen.questions(), well.seen.questions()].concat()
}

/// What a span says under this name; nothing if it does not.
fn says_of(span: &Span, name: &str) -> String {
    attribute(&span.attributes, name).unwrap_or_default()
}
