//! What a collector of traces gets of a request, and what it does not.

use crate::{
    speaker::{Manner, greeting},
    talks::{hello, setting},
};
use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use og_http::traces::Traces;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, runtime::Runtime};
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENTS_SPAN: &str = "b7ad6b7169203331";

/// A collector, which keeps what it is given.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ResourceSpans>>>);

impl Collector {
    /// Starts it; its address for spans.
    async fn start(&self) -> String {
        let given = self.0.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            given.lock().unwrap().extend(request.resource_spans);
        };
        let router = Router::new().route("/v1/traces", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    /// The spans of our client's trace, in the order of their beginnings.
    fn spans(&self) -> Vec<Span> {
        let given = self.0.lock().unwrap();
        let scopes = given.iter().flat_map(|given| &given.scope_spans);
        let trace = alloy_primitives::hex::decode(TRACE).unwrap();
        let spans = scopes.flat_map(|scope| scope.spans.clone());
        let mut spans: Vec<_> = spans.filter(|span| span.trace_id == trace).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

/// An attribute as text.
fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}

#[test]
fn a_collector_gets_a_request_and_whom_it_went_to_and_nothing_of_what_was_said() {
    let (collector, collectors) = (Collector::default(), Runtime::new().unwrap());
    let url = collectors.block_on(collector.start());
    let traces = Traces::to(&url, "gateway-7").unwrap();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    // Of the whole process: requests are answered on any thread. Other tests' spans go out too.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::info_span!("of another target", trace = TRACE).in_scope(|| {
        tracing::error!("what a log says");
    });
    let gateways = Runtime::new().unwrap();
    let passed_on = gateways.block_on(ask_twice());
    // All that it did has ended with it.
    drop(gateways);
    traces.shutdown();

    let spans = collector.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    // The node that fails is asked first, then second, because nodes take turns.
    let [whole, failed, answered, streamed, second] = &spans[..] else {
        panic!("{names:?}")
    };
    assert_request(whole, "false");
    assert_request(streamed, "true");
    for (asked, request) in [(failed, whole), (answered, whole), (second, streamed)] {
        assert_eq!(asked.parent_span_id, request.span_id);
        assert_eq!(
            (asked.name.as_str(), asked.kind()),
            ("POST /v1/jobs", SpanKind::Client)
        );
        assert!(asked.end_time_unix_nano <= request.end_time_unix_nano);
    }
    let status = failed.status.clone().unwrap_or_default();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(
        attribute(&failed.attributes, "error.type").as_deref(),
        Some("failed")
    );
    assert_eq!(attribute(&answered.attributes, "error.type"), None);
    let expected = [answered, second].map(|span| {
        let id = alloy_primitives::hex::encode(&span.span_id);
        format!("00-{TRACE}-{id}-01")
    });
    assert_eq!(passed_on, expected);
    assert_says_little(&collector);
}

/// Asks whole and in frames; what the second of two nodes, of which the first fails, is told of the trace.
async fn ask_twice() -> Vec<String> {
    let setting = setting(&[Manner::Fails("model_failed"), hello()]).await;
    let parent = format!("00-{TRACE}-{CLIENTS_SPAN}-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("authorization", "Bearer sk-secret"),
    ];
    for stream in [false, true] {
        let body = greeting(&json!({"stream": stream}));
        let asked = setting
            .gateway
            .send("/v1/chat/completions", &body, &headers);
        let text = asked.await.text().await.unwrap();
        assert!(text.contains("og_receipt"), "{text}");
    }
    setting.speakers[1].parents.lock().unwrap().clone()
}

fn assert_request(span: &Span, streamed: &str) {
    assert_eq!(span.name, "POST /v1/chat/completions");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(
        alloy_primitives::hex::encode(&span.parent_span_id),
        CLIENTS_SPAN
    );
    for (key, expected) in [
        ("http.response.status_code", "200"),
        ("gen_ai.request.model", "gpt-5"),
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "2"),
        ("og.streamed", streamed),
    ] {
        assert_eq!(
            attribute(&span.attributes, key).as_deref(),
            Some(expected),
            "{key}"
        );
    }
}

/// Whose spans they are, and that nothing else goes out.
fn assert_says_little(collector: &Collector) {
    let given = collector.0.lock().unwrap();
    for spans in given.iter() {
        let resource = spans.resource.clone().unwrap();
        let name = attribute(&resource.attributes, "service.name");
        assert_eq!(name.as_deref(), Some("gateway-7"));
        let said = format!("{spans:?}");
        for word in [
            "Hello",
            "\"Hi\"",
            "sk-secret",
            "another target",
            "what a log says",
        ] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
}
