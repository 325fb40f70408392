//! Where a request stands in its trace, as one process tells the next in a header (W3C Trace Context, version 00).
//!
//! `tracestate` is not passed on: it can be long, and nothing here adds to it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header.
pub const PARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The span, of whoever asks, that a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent(SpanContext);

impl Parent {
    /// The parent that a request's headers name, if that is valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(PARENT_HEADER)?.to_str().ok()?)
    }

    fn read(header: &str) -> Option<Self> {
        let parts: Vec<_> = header.splitn(5, '-').collect();
        let &["00", trace, span, flags] = &parts[..] else {
            return None;
        };
        let is_hex = |text: &str, digits| {
            text.len() == digits
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !(is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)) {
            return None;
        }
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
        let context = SpanContext::new(
            TraceId::from_hex(trace).ok()?,
            SpanId::from_hex(span).ok()?,
            flags & TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        // Neither id is zero.
        context.is_valid().then_some(Self(context))
    }

    /// The trace's id, in hexadecimal.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// Makes a span, which must not have been entered, a child of this one.
    pub fn adopt(&self, span: &Span) {
        // It fails where no spans are exported.
        let _ = span.set_parent(Context::new().with_remote_span_context(self.0.clone()));
    }
}

/// The header that makes what another process does belong to `span`; `None` where no spans are exported.
pub fn header(span: &Span) -> Option<HeaderValue> {
    let context = exported(span)?;
    let (trace, span) = (context.trace_id(), context.span_id());
    let flags = context.trace_flags().to_u8();
    HeaderValue::try_from(format!("00-{trace}-{span}-{flags:02x}")).ok()
}

/// The id of the trace that `span` belongs to, in hexadecimal; `None` where no spans are exported.
pub fn trace_id(span: &Span) -> Option<String> {
    Some(exported(span)?.trace_id().to_string())
}

fn exported(span: &Span) -> Option<SpanContext> {
    // Quick where the span is of no interest to anybody.
    span.id()?;
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_headers_have_a_trace() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let valid = format!("00-{trace}-b7ad6b7169203331-01");
        let headers = HeaderMap::from_iter([(PARENT_HEADER, valid.parse().unwrap())]);
        let parent = Parent::of(&headers).expect("a parent");
        assert_eq!(parent.trace_id(), trace);
        for wrong in [
            String::new(),
            valid.to_uppercase(),
            format!("{valid}-01"),
            valid.replace("00-", "ff-"),
            valid.replace(trace, &"0".repeat(32)),
            valid.replace(trace, "secret"),
            valid.replace("b7ad6b7169203331", "0000000000000000"),
            valid.replace("-01", "-1"),
            valid.replace("-01", "-+1"),
        ] {
            assert_eq!(Parent::read(&wrong), None, "{wrong}");
        }
    }
}
