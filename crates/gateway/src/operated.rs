//! The gateway as its operator sees it.

use crate::{
    api::Shared,
    chain::Validator,
    config::{MAX_IN_FLIGHT, MAX_PENDING},
    error::error_chain,
    settle::blocking,
};
use futures::future::join_all;
use og_http::{Check, Operated};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{sync::Arc, time::Duration};

/// Shortest time told apart, in seconds; each next one is twice as long, up to some minutes.
const SHORTEST_SECONDS: f64 = 0.05;
const BUCKETS: u16 = 14;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    fate: &'static str,
}

/// Counts how records end, and how long that takes.
#[derive(Clone, Debug)]
pub(crate) struct SettlementMetrics {
    records: Family<Fate, Counter>,
    seconds: Histogram,
}

impl SettlementMetrics {
    /// Metrics in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Family::default(),
            seconds: Histogram::new(exponential_buckets(SHORTEST_SECONDS, 2.0, BUCKETS)),
        };
        registry.register(
            "gateway_records",
            "Answers whose records became final, or never will",
            metrics.records.clone(),
        );
        registry.register(
            "gateway_receipt_seconds",
            "Time from an answer to its receipt, for answers of this process",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// A record became final after this long.
    pub(crate) fn settled(&self, after: Duration) {
        self.records.get_or_create(&Fate { fate: "final" }).inc();
        self.seconds.observe(after.as_secs_f64());
    }

    /// A record will never be final.
    pub(crate) fn failed(&self) {
        self.records.get_or_create(&Fate { fate: "refused" }).inc();
    }
}

/// The gateway's readiness and figures.
pub(crate) struct OperatedGateway {
    shared: Arc<Shared>,
    validators: Vec<Validator>,
    registry: Registry,
    pending: Gauge,
    in_progress: Gauge,
}

impl OperatedGateway {
    pub(crate) fn new(
        shared: Arc<Shared>,
        validators: Vec<Validator>,
        mut registry: Registry,
    ) -> Self {
        let pending = Gauge::default();
        registry.register(
            "gateway_pending_records",
            format!("Answers whose records are not final yet; at most {MAX_PENDING}"),
            pending.clone(),
        );
        let in_progress = Gauge::default();
        registry.register(
            "gateway_requests_in_progress",
            format!("Requests that models are being asked; at most {MAX_IN_FLIGHT}"),
            in_progress.clone(),
        );
        shared.service.nodes.register(&mut registry);
        Self {
            shared,
            validators,
            registry,
            pending,
            in_progress,
        }
    }

    async fn inference(&self) -> Check {
        let offers = self.shared.service.nodes.offers().await;
        let (answering, all) = (offers.answering(), offers.all());
        Check::new(
            "inference",
            answering > 0,
            format!("{answering} of {all} inference nodes answer"),
        )
    }

    async fn chain(&self) -> Check {
        let times = join_all(self.validators.iter().map(Validator::time_ms)).await;
        let answering = times.iter().filter(|time| time.is_ok()).count();
        Check::new(
            "chain",
            answering > 0,
            format!("{answering} of {} validators answer", times.len()),
        )
    }

    async fn store(&self) -> Check {
        let store = self.shared.service.store.clone();
        let usable = blocking(move || store.check().map(|()| store.pending_count()));
        match usable.await {
            Ok(pending) => Check::new(
                "store",
                pending < MAX_PENDING,
                format!("{pending} of at most {MAX_PENDING} answers wait for the chain"),
            ),
            Err(error) => Check::new(
                "store",
                false,
                format!(
                    "{}: make room on the disk or repair it, then restart the gateway",
                    error_chain(&error)
                ),
            ),
        }
    }
}

impl Operated for OperatedGateway {
    async fn checks(&self) -> Vec<Check> {
        let (inference, chain, store) =
            futures::join!(self.inference(), self.chain(), self.store());
        vec![inference, chain, store]
    }

    async fn metrics(&self) -> String {
        let figure = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.pending
            .set(figure(self.shared.service.store.pending_count()));
        self.in_progress.set(figure(self.shared.admission.taken()));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
