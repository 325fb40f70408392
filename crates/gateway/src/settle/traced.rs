//! The span of a round, for a collector of traces: whom it asked about how many records, and what came of them. It is in no client's
//! trace, since it holds records of many, and tells the validator nothing of any.

use crate::store::Outcome;
use og_http::traces;
use og_types::RequestId;
use tracing::{Span, field::Empty};

/// The span of asking the validator at `url` about so many records.
pub(super) fn begin(url: &str, records: usize) -> Span {
    tracing::info_span!(
        target: traces::TARGET,
        "round",
        otel.name = "settle records",
        otel.kind = "client",
        otel.status_code = Empty,
        url.full = url,
        og.records = records,
        og.settled = Empty,
        og.refused = Empty,
        "error.type" = Empty,
    )
}

/// Notes that the validator gave no usable answer.
pub(super) fn fail(span: &Span) {
    span.record("error.type", "no_answer");
    span.record("otel.status_code", "ERROR");
}

/// Notes how many records the round has closed, and how.
pub(super) fn finish(span: &Span, closed: &[(RequestId, Outcome)]) {
    let is_final = |(_, outcome): &&(_, Outcome)| matches!(outcome, Outcome::Final(_));
    let count = closed.iter().filter(is_final).count();
    span.record("og.settled", count);
    span.record("og.refused", closed.len().saturating_sub(count));
}
