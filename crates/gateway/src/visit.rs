//! A request that asks a model, from the gate to its last byte: who asks, what it uses, and one line about it in the log.
//!
//! The line says what an operator needs and nothing of what was asked or answered.

mod headers;
mod metrics;
mod span;

pub(crate) use metrics::VisitMetrics;

use crate::{
    api::Shared,
    dialect::Dialect,
    keys::{Pass, Refused},
    talk::refusal,
};
use alloy_primitives::hex;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    middleware::Next,
    response::Response,
};
use headers::{put, tell_standing, tell_wait};
use og_dialects::{ApiError, Usage};
use og_http::{
    Connection,
    traces::{self, Parent},
};
use og_types::ModelInfo;
use parking_lot::Mutex;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{Instrument as _, Span};

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
/// Bytes of a request that make about one token, where nothing better is known.
const BYTES_PER_TOKEN: u64 = 4;

/// A request that was let in. When the last one who holds it lets go, it has ended.
#[derive(Debug)]
pub(crate) struct Visit {
    id: String,
    route: String,
    /// The trace that it belongs to: as the client says, or one of its own if a collector gets it.
    trace: Option<String>,
    /// Lasts as long as the request.
    span: Span,
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
    let peer = og_http::client(peer, request.headers(), &shared.trusted_proxies);
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
    let id = format!("req_{}", hex::encode(rand::random::<[u8; 16]>()));
    let parent = Parent::of(request.headers());
    let span = span::begin(&id, &route, parent.as_ref());
    let trace = parent.map(|parent| parent.trace_id());
    let visit = Arc::new(Visit {
        id,
        route,
        trace: trace.or_else(|| traces::trace_id(&span)),
        span: span.clone(),
        begun: now,
        pass,
        metrics,
        seen: Mutex::default(),
    });
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).instrument(span).await;
    visit.seen.lock().status = Some(response.status());
    let headers = response.headers_mut();
    tell_standing(headers, &visit.pass.standing(Instant::now()));
    put(headers, REQUEST_ID, &visit.id);
    response
}

impl Visit {
    /// A body of this length was read.
    pub(crate) fn read(&self, bytes: usize) {
        self.seen.lock().body_bytes = bytes.try_into().unwrap_or(u64::MAX);
    }

    /// It is for this model.
    ///
    /// # Errors
    /// [`ApiError`] if the client's key is for others only.
    pub(crate) fn asks(&self, model: &ModelInfo) -> Result<(), ApiError> {
        self.seen.lock().model = Some(model.name.clone());
        self.pass.check_model(&[&model.name, &model.id.to_string()])
    }

    /// A node is asked from now on.
    pub(crate) fn begins(&self) {
        self.seen.lock().is_asked = true;
    }

    /// It is answered in frames.
    pub(crate) fn streams(&self) {
        self.seen.lock().is_streamed = true;
        self.metrics.stream_begun();
    }

    /// A piece of an answer came.
    pub(crate) fn piece(&self) {
        let mut seen = self.seen.lock();
        seen.pieces += 1;
        if seen.first_piece.is_none() {
            seen.first_piece = Some(self.begun.elapsed());
        }
    }

    /// The answer is complete; what it took, if that is known.
    pub(crate) fn took(&self, usage: Option<Usage>) {
        self.seen.lock().usage = usage;
        if let Some(usage) = usage {
            let tokens = u64::from(usage.prompt_tokens) + u64::from(usage.answer_tokens);
            self.pass.spend(tokens, Instant::now());
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let seen = self.seen.lock();
        let has_left = seen.is_asked && seen.status.is_none();
        if seen.usage.is_none() && (has_left || seen.pieces > 0) {
            // It was broken off, or nobody knows its tokens. Nobody saves by hanging up before the end.
            let tokens = seen.body_bytes / BYTES_PER_TOKEN + seen.pieces;
            self.pass.spend(tokens, Instant::now());
        }
        self.metrics.ended(&seen);
        span::finish(&self.span, &seen);
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
    tell_standing(headers, &refused.standing);
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        headers.insert(WWW_AUTHENTICATE, bearer);
    }
    if let Some((_, wait)) = refused.limit {
        tell_wait(headers, wait);
    }
    tracing::info!(
        route,
        status = status.as_u16(),
        limit = refused.limit.map(|(limit, _)| limit.name()),
        "request refused"
    );
    response
}
