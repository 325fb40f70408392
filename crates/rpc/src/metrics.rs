//! Which methods are called, whether that succeeds, and what is open.

use jsonrpsee::{
    core::middleware::{Batch, Notification, RpcServiceT},
    server::MethodResponse,
    types::Request,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{collections::BTreeSet, future::Future, sync::Arc};

/// What calls of methods that do not exist are counted under.
const NO_METHOD: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: &'static str,
    outcome: &'static str,
}

/// Counts calls by method and outcome; nothing that a client chooses is a label.
#[derive(Clone, Debug)]
pub(crate) struct CallMetrics {
    methods: Arc<BTreeSet<&'static str>>,
    calls: Family<Call, Counter>,
}

impl CallMetrics {
    /// A metric named `rpc_calls` in `registry`, for `methods`.
    pub(crate) fn register(
        methods: impl Iterator<Item = &'static str>,
        registry: &mut Registry,
    ) -> Self {
        let metrics = Self {
            methods: Arc::new(methods.collect()),
            calls: Family::default(),
        };
        registry.register(
            "rpc_calls",
            "JSON-RPC calls by method and outcome; calls within a batch have the outcome batched",
            metrics.calls.clone(),
        );
        metrics
    }

    fn count(&self, method: &str, outcome: &'static str) {
        let method = self.methods.get(method).copied().unwrap_or(NO_METHOD);
        self.calls.get_or_create(&Call { method, outcome }).inc();
    }
}

/// A metric of this name in `registry`.
pub(crate) fn gauge(name: &str, help: &str, registry: &mut Registry) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// Something that is open and counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Open {
    pub(crate) fn count(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The JSON-RPC service, counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    pub(crate) service: S,
    pub(crate) metrics: CallMetrics,
}

impl<S> RpcServiceT for Counted<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse>,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let metrics = self.metrics.clone();
        let method = request.method_name().to_owned();
        let answer = self.service.call(request);
        async move {
            let answer = answer.await;
            let outcome = if answer.is_success() { "ok" } else { "error" };
            metrics.count(&method, outcome);
            answer
        }
    }

    fn batch<'a>(
        &self,
        requests: Batch<'a>,
    ) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        for request in requests.iter().flatten() {
            self.metrics.count(request.method_name(), "batched");
        }
        self.service.batch(requests)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.service.notification(notification)
    }
}
