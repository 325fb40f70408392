//! A validator as its operator sees it: whether it is of use, and its figures.

use crate::figures::Figures;
use commonware_runtime::{Metrics as _, tokio::Context};
use og_consensus::Pool;
use og_http::{Check, Operated, operator};
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use std::time::Duration;

/// The line that ends a text of figures.
const END: &str = "# EOF\n";

/// A validator's readiness and figures.
pub(crate) struct OperatedValidator {
    context: Context,
    pool: Pool,
    /// Validators of the chain.
    validators: usize,
    /// Age of the newest block from which on this validator counts as behind.
    stale_after: Duration,
    /// What it counts.
    pub(crate) figures: Figures,
    /// Where parts that start later add theirs.
    pub(crate) registry: Mutex<Registry>,
    waiting_transactions: Gauge,
    waiting_records: Gauge,
}

impl OperatedValidator {
    pub(crate) fn new(
        context: Context,
        pool: Pool,
        validators: usize,
        stale_after: Duration,
    ) -> Self {
        let mut registry = operator::registry("validator");
        let figures = Figures::register(&mut registry);
        let (waiting_transactions, waiting_records) = (Gauge::default(), Gauge::default());
        registry.register(
            "mempool_transactions",
            "Transactions that wait for a block",
            waiting_transactions.clone(),
        );
        registry.register(
            "mempool_records",
            "Records that wait for a block",
            waiting_records.clone(),
        );
        Self {
            context,
            pool,
            figures,
            validators,
            stale_after,
            registry: Mutex::new(registry),
            waiting_transactions,
            waiting_records,
        }
    }

    fn head(&self) -> Check {
        let (height, age) = self.figures.head();
        if height == 0 {
            return Check::new("head", false, "no block is final yet");
        }
        let detail = format!("block {height} is {} s old", age.as_secs());
        if age <= self.stale_after {
            return Check::new("head", true, detail);
        }
        Check::new(
            "head",
            false,
            format!(
                "{detail}: this validator is catching up, too few validators run, or this machine's clock is wrong"
            ),
        )
    }

    fn peers(&self) -> Check {
        let connected = self.figures.peers();
        // All but f of 3f + 1 agree; we are one of them.
        let faulty = self.validators.saturating_sub(1) / 3;
        let needed = self.validators.saturating_sub(faulty + 1);
        let others = self.validators.saturating_sub(1);
        let detail = format!(
            "connected to {connected} of {others} other validators; a quorum needs {needed}"
        );
        if connected >= needed {
            return Check::new("peers", true, detail);
        }
        Check::new(
            "peers",
            false,
            format!(
                "{detail}: too few of them run, the network is cut, this machine's clock is wrong, or they \
                 block this validator because its key has signed two different votes (does another process use it?)"
            ),
        )
    }
}

impl Operated for OperatedValidator {
    async fn checks(&self) -> Vec<Check> {
        vec![self.head(), self.peers()]
    }

    async fn metrics(&self) -> String {
        let (transactions, records) = self
            .pool
            .with(|pool| (pool.transaction_count(), pool.record_count()));
        self.waiting_transactions
            .set(i64::try_from(transactions).unwrap_or(i64::MAX));
        self.waiting_records
            .set(i64::try_from(records).unwrap_or(i64::MAX));
        let mut text = self.context.encode();
        let kept = text.strip_suffix(END).map_or(text.len(), str::len);
        text.truncate(kept);
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}
