//! What requests to models use, as figures.

use super::Seen;
use crate::keys::Refused;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{collections::BTreeSet, sync::Arc};

/// Models that are told apart; nodes could list new ones for ever.
const MAX_MODELS: usize = 1024;
/// What further models are counted under.
const OTHER: &str = "other";
/// Shortest time told apart, in seconds; each next one is twice as long, up to some minutes.
const SHORTEST_SECONDS: f64 = 0.005;
const BUCKETS: u16 = 17;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tokens {
    model: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reached {
    limit: &'static str,
}

#[derive(Clone, Debug)]
struct Latencies;

impl MetricConstructor<Histogram> for Latencies {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(SHORTEST_SECONDS, 2.0, BUCKETS))
    }
}

/// Counts tokens, streams, and requests that limits stopped. Labels are models that nodes offer, never what clients wrote.
#[derive(Clone, Debug)]
pub(crate) struct VisitMetrics {
    tokens: Family<Tokens, Counter>,
    first_piece: Family<Model, Histogram, Latencies>,
    streams: Gauge,
    limited: Family<Reached, Counter>,
    models: Arc<Mutex<BTreeSet<String>>>,
}

impl VisitMetrics {
    /// Metrics in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            tokens: Family::default(),
            first_piece: Family::new_with_constructor(Latencies),
            streams: Gauge::default(),
            limited: Family::default(),
            models: Arc::default(),
        };
        registry.register(
            "gateway_tokens",
            "Tokens of prompts and answers, by model",
            metrics.tokens.clone(),
        );
        registry.register(
            "gateway_first_piece_seconds",
            "Time from a request to the first piece of its answer, by model",
            metrics.first_piece.clone(),
        );
        registry.register(
            "gateway_streams",
            "Answers that are being streamed",
            metrics.streams.clone(),
        );
        registry.register(
            "gateway_limited_requests",
            "Requests that a limit of their key or address stopped",
            metrics.limited.clone(),
        );
        metrics
    }

    pub(super) fn stream_begun(&self) {
        self.streams.inc();
    }

    pub(super) fn refused(&self, refused: &Refused) {
        if let Some((limit, _)) = refused.limit {
            let limit = limit.name();
            self.limited.get_or_create(&Reached { limit }).inc();
        }
    }

    pub(super) fn ended(&self, seen: &Seen) {
        if seen.is_streamed {
            self.streams.dec();
        }
        let Some(model) = seen.model.as_deref().map(|model| self.label(model)) else {
            return;
        };
        if let Some(usage) = seen.usage {
            let count = |kind, tokens: u32| {
                let model = model.clone();
                let counter = self.tokens.get_or_create_owned(&Tokens { model, kind });
                counter.inc_by(tokens.into());
            };
            count("prompt", usage.prompt_tokens);
            count("answer", usage.answer_tokens);
        }
        if let Some(time) = seen.first_piece {
            let seconds = time.as_secs_f64();
            self.first_piece
                .get_or_create(&Model { model })
                .observe(seconds);
        }
    }

    /// The model's name, as long as it is one of the first so many.
    fn label(&self, model: &str) -> String {
        let mut models = self.models.lock();
        if models.contains(model) {
            return model.to_owned();
        }
        if models.len() >= MAX_MODELS {
            return OTHER.to_owned();
        }
        models.insert(model.to_owned());
        model.to_owned()
    }
}
