//! The relay as its operator sees it.

use crate::{
    config::{MAX_REQUESTS, STALE_AFTER},
    server::Relay,
};
use og_http::{Check, Operated};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use std::sync::Arc;

/// A relay with its figures.
pub(crate) struct OperatedRelay {
    relay: Arc<Relay>,
    registry: Registry,
    requests: Gauge,
    gateways: Gauge,
}

impl OperatedRelay {
    pub(crate) fn new(relay: Arc<Relay>, mut registry: Registry) -> Self {
        let (requests, gateways) = (Gauge::default(), Gauge::default());
        registry.register(
            "relay_requests_in_progress",
            format!("Requests that are passed on; at most {MAX_REQUESTS}"),
            requests.clone(),
        );
        registry.register(
            "relay_gateways",
            "Gateways of the registry that can be asked",
            gateways.clone(),
        );
        Self {
            relay,
            registry,
            requests,
            gateways,
        }
    }
}

impl Operated for OperatedRelay {
    async fn checks(&self) -> Vec<Check> {
        let registry = match self.relay.directory.age() {
            Some(age) if age <= STALE_AFTER => {
                let detail = format!("the registry was read {} s ago", age.as_secs());
                Check::new("registry", true, detail)
            }
            _ => Check::new(
                "registry",
                false,
                "the registry cannot be read: the log says why; check the JSON-RPC URLs, the chain id and the address",
            ),
        };
        let count = self.relay.directory.count();
        let gateways = match count {
            0 => "the registry has no active gateway that takes sealed requests".to_owned(),
            count => format!("{count} gateways"),
        };
        vec![registry, Check::new("gateways", count > 0, gateways)]
    }

    async fn metrics(&self) -> String {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.requests.set(number(self.relay.requests.taken()));
        self.gateways.set(number(self.relay.directory.count()));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
