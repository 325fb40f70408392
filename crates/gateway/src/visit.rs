//! A request that asks a model, from the gate to its last byte: who asks, what it uses, and one line about it in the log.
//!
//! The line says what an operator needs and nothing of what was asked or answered.

mod metrics;

pub(crate) use metrics::VisitMetrics;

use crate::{
    api::Shared,
    dialect::Dialect,
    keys::{Left, Pass, Refused, Standing},
    talk::refusal,
};
use alloy_primitives::hex;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use og_dialects::{ApiError, Usage};
use og_http::Connection;
use og_types::ModelInfo;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The paths that ask a model: they need a key where keys are needed.
const ASKING: [&str; 8] = [
    "/v1/infer",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/ohttp",
];
/// Holds the name of a request in this gateway's log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: &str = "traceparent";
/// Bytes of a request that make about one token, where nothing better is known.
const BYTES_PER_TOKEN: u64 = 4;

/// A request that was let in. When the last one who holds it lets go, it has ended.
#[derive(Debug)]
pub(crate) struct Visit {
    id: String,
    route: String,
    /// The trace that the client says it belongs to.
    trace: Option<String>,
    begun: Instant,
    pass: Pass,
    metrics: VisitMetrics,
    seen: Mutex<Seen>,
}

/// What is known of a request by now.
#[derive(Debug, Default)]
struct Seen {
    status: Option<StatusCode>,
    model: Option<String>,
    body_bytes: u64,
    is_asked: bool,
    pieces: u64,
    first_piece: Option<Duration>,
    is_streamed: bool,
    usage: Option<Usage>,
}

/// Lets a request to a model in, or refuses it; others pass.
pub(crate) async fn attend(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let Some(route) = path
        .map(MatchedPath::as_str)
        .filter(|path| ASKING.contains(path))
    else {
        return next.run(request).await;
    };
    let route = route.to_owned();
    let connection = request.extensions().get::<Connection>();
    let peer = connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Connection::peer);
    let now = Instant::now();
    let metrics = shared.visits.clone();
    let admitted = shared.gate.admit(request.headers(), peer, now);
    let pass = match admitted {
        Ok(pass) => pass,
        Err(refused) => {
            metrics.refused(&refused);
            return turned_away(&route, &refused);
        }
    };
    let visit = Arc::new(Visit {
        id: format!("req_{}", hex::encode(rand::random::<[u8; 16]>())),
        route,
        trace: trace_id(request.headers()),
        begun: now,
        pass,
        metrics,
        seen: Mutex::default(),
    });
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    visit.seen().status = Some(response.status());
    let headers = response.headers_mut();
    state(headers, &visit.pass.standing(Instant::now()));
    put(headers, REQUEST_ID, &visit.id);
    response
}

impl Visit {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // It is valid after a panic: each change is one assignment.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body of this length was read.
    pub(crate) fn read(&self, bytes: usize) {
        self.seen().body_bytes = bytes.try_into().unwrap_or(u64::MAX);
    }

    /// It is for this model.
    ///
    /// # Errors
    /// [`ApiError`] if the client's key is for others only.
    pub(crate) fn asks(&self, model: &ModelInfo) -> Result<(), ApiError> {
        self.seen().model = Some(model.name.clone());
        self.pass.check_model(&[&model.name, &model.id.to_string()])
    }

    /// A node is asked from now on.
    pub(crate) fn begins(&self) {
        self.seen().is_asked = true;
    }

    /// It is answered in frames.
    pub(crate) fn streams(&self) {
        self.seen().is_streamed = true;
        self.metrics.stream_begun();
    }

    /// A piece of an answer came.
    pub(crate) fn piece(&self) {
        let mut seen = self.seen();
        seen.pieces += 1;
        if seen.first_piece.is_none() {
            seen.first_piece = Some(self.begun.elapsed());
        }
    }

    /// The answer is complete; what it took, if that is known.
    pub(crate) fn took(&self, usage: Option<Usage>) {
        self.seen().usage = usage;
        if let Some(usage) = usage {
            let tokens = u64::from(usage.prompt_tokens) + u64::from(usage.answer_tokens);
            self.pass.spend(tokens, Instant::now());
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let seen = self.seen();
        let has_left = seen.is_asked && seen.status.is_none();
        if seen.usage.is_none() && (has_left || seen.pieces > 0) {
            // It was broken off, or nobody knows its tokens. Nobody saves by hanging up before the end.
            let tokens = seen.body_bytes / BYTES_PER_TOKEN + seen.pieces;
            self.pass.spend(tokens, Instant::now());
        }
        self.metrics.ended(&seen);
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            request = self.id,
            trace = self.trace,
            route = self.route,
            key = self.pass.key_name(),
            model = seen.model,
            status = seen.status.map(|status| status.as_u16()),
            streamed = seen.is_streamed,
            prompt_tokens = seen.usage.map(|usage| usage.prompt_tokens),
            answer_tokens = seen.usage.map(|usage| usage.answer_tokens),
            first_piece_ms = seen.first_piece.map(milliseconds),
            duration_ms = milliseconds(self.begun.elapsed()),
            "request"
        );
    }
}

/// The trace's id in a `traceparent` header (W3C Trace Context, version 00), if there is one that is valid.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let parent = headers.get(TRACE_PARENT)?.to_str().ok()?;
    let parts: Vec<_> = parent.splitn(5, '-').collect();
    let &["00", trace, span, flags] = &parts[..] else {
        return None;
    };
    let is_hex = |text: &str, digits| {
        text.len() == digits
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, digits| is_hex(text, digits) && text.bytes().any(|byte| byte != b'0');
    (is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2)).then(|| trace.to_owned())
}

/// The answer to a request that is not let in.
fn turned_away(route: &str, refused: &Refused) -> Response {
    let dialect = match route {
        "/v1/messages" | "/v1/messages/count_tokens" => Dialect::Messages,
        "/v1/ohttp" => Dialect::Sealed,
        _ => Dialect::Chat,
    };
    let mut response = refusal(dialect, &refused.error);
    let status = response.status();
    let headers = response.headers_mut();
    state(headers, &refused.standing);
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    if let Some((_, wait)) = refused.limit {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    tracing::info!(
        route,
        status = status.as_u16(),
        limit = refused.limit.map(|(limit, _)| limit.name()),
        "request refused"
    );
    response
}

/// Says what is left, in the headers that OpenAI's clients read.
fn state(headers: &mut HeaderMap, standing: &Standing) {
    let names = |unit| ["limit", "remaining", "reset"].map(|of| format!("x-ratelimit-{of}-{unit}"));
    for (unit, left) in [("requests", standing.requests), ("tokens", standing.tokens)] {
        let Some(Left {
            limit,
            remaining,
            reset,
        }) = left
        else {
            continue;
        };
        let values = [limit.to_string(), remaining.to_string(), span(reset)];
        for (name, value) in names(unit).into_iter().zip(values) {
            if let Ok(name) = HeaderName::try_from(name) {
                put(headers, name, &value);
            }
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Digits, letters and underscores are always fit for a header.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A time as OpenAI writes it: `250ms`, `6s`, `1h2m3s`.
fn span(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_over_if_its_header_is_valid() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let read = |text: String| {
            trace_id(&HeaderMap::from_iter([(
                TRACE_PARENT.parse().unwrap(),
                text.parse().unwrap(),
            )]))
        };
        let valid = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(read(valid.clone()).as_deref(), Some(trace));
        for wrong in [
            String::new(),
            valid.to_uppercase(),
            format!("{valid}-01"),
            valid.replace("00-", "ff-"),
            valid.replace(trace, &"0".repeat(32)),
            valid.replace("b7ad6b7169203331", "0000000000000000"),
            valid.replace("-01", "-1"),
            valid.replace(trace, "secret"),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_openai_writes_them() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (1000, "1s"),
            (1001, "2s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
        ] {
            assert_eq!(span(Duration::from_millis(milliseconds)), text);
        }
    }
}
