//! A collector of OpenTelemetry, for tests of what it gets: of this crate, and of others that make spans.

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};
use prost::Message as _;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A collector, which keeps what it is given.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<ResourceSpans>>>);

impl Collector {
    /// Starts it; its address for spans.
    pub(crate) async fn start(&self) -> String {
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

    /// All that it was given.
    pub(crate) fn given(&self) -> Vec<ResourceSpans> {
        self.0.lock().unwrap().clone()
    }

    /// The spans of the trace with this id, in hexadecimal, in the order of their beginnings.
    pub(crate) fn spans(&self, trace: &str) -> Vec<Span> {
        let given = self.given();
        let scopes = given.into_iter().flat_map(|given| given.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        let mut spans: Vec<_> = spans.filter(|span| hex(&span.trace_id) == trace).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}
