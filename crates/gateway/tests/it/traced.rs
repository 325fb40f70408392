//! What a collector of traces gets of a request, and what it does not.

use crate::{
    collector::{Collector, attribute, hex},
    speaker::{Manner, greeting},
    talks::{hello, setting},
};
use og_http::traces::Traces;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENTS_SPAN: &str = "b7ad6b7169203331";

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
    let (passed_on, validator) = gateways.block_on(ask_twice());
    // All that it did has ended with it.
    drop(gateways);
    traces.shutdown();

    let spans = collector.spans(TRACE);
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
        let id = hex(&span.span_id);
        format!("00-{TRACE}-{id}-01")
    });
    assert_eq!(passed_on, expected);
    assert_settled(&collector, &validator);
    assert_says_little(&collector);
}

/// Asks whole and in frames, and waits for the receipts; what the second of two nodes, of which the first fails, is told of the
/// trace, and the validator's address.
async fn ask_twice() -> (Vec<String>, String) {
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
        let lines = text.lines().map(|line| line.trim_start_matches("data: "));
        let mut answers = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let answer = answers.find(|answer| answer["og_receipt"].is_object());
        let answer = answer.unwrap_or_else(|| panic!("{text}"));
        let receipt = setting.gateway.receipt(&answer["og_receipt"]).await;
        assert_eq!(receipt.status(), 200);
    }
    let passed_on = setting.speakers[1].parents.lock().unwrap().clone();
    (passed_on, setting.validator.url.clone())
}

/// The rounds in which the two records went to this validator, outside the client's trace.
fn assert_settled(collector: &Collector, validator: &str) {
    let given = collector.given().into_iter();
    let spans = given.flat_map(|given| given.scope_spans);
    let rounds = spans.flat_map(|scope| scope.spans).filter(|span| {
        span.name == "settle records"
            && attribute(&span.attributes, "url.full").as_deref() == Some(validator)
    });
    let (mut asked, mut settled) = (0, 0);
    for round in rounds {
        let count = |name| -> usize {
            let count = attribute(&round.attributes, name).unwrap();
            count.parse().unwrap()
        };
        assert_eq!(round.kind(), SpanKind::Client);
        assert!(round.parent_span_id.is_empty());
        assert_ne!(hex(&round.trace_id), TRACE);
        assert!(count("og.records") > 0);
        assert_eq!(count("og.refused"), 0);
        asked += count("og.records");
        settled += count("og.settled");
    }
    // Each is asked about at least twice: it is handed over first, and final later.
    assert!(asked >= 4, "{asked}");
    assert_eq!(settled, 2);
}

fn assert_request(span: &Span, streamed: &str) {
    assert_eq!(span.name, "POST /v1/chat/completions");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(hex(&span.parent_span_id), CLIENTS_SPAN);
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
    for spans in collector.given() {
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
