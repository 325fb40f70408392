//! What a validator counts and measures.

use commonware_runtime::{Metrics as _, tokio::Context};
use og_chain::{Block, RecordError, mempool::AddRecordError};
use og_consensus::intake::IntakeError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Shortest time told apart, in seconds; each next one is half as long again.
const SHORTEST_SECONDS: f64 = 0.005;
const BUCKETS: u16 = 22;
/// Blocks that are older when they become final here were fetched later: their age says nothing
/// about how fast the validators agree.
const MAX_MEASURED_AGE: Duration = Duration::from_secs(60);
/// How often peers are counted.
const PEERS_INTERVAL: Duration = Duration::from_millis(500);
/// commonware's figure with one line for each peer that is connected: it tells nobody otherwise.
const CONNECTED: &str = "network_tracker_directory_connected{";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Submission {
    kind: &'static str,
    outcome: &'static str,
}

/// What a validator counts.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    height: Gauge,
    head_timestamp_ms: Gauge,
    peers: Gauge,
    finality_seconds: Histogram,
    final_transactions: Counter,
    final_records: Counter,
    submissions: Family<Submission, Counter>,
}

impl Figures {
    /// Figures in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let seconds = exponential_buckets(SHORTEST_SECONDS, 1.5, BUCKETS);
        let figures = Self {
            height: Gauge::default(),
            head_timestamp_ms: Gauge::default(),
            peers: Gauge::default(),
            finality_seconds: Histogram::new(seconds),
            final_transactions: Counter::default(),
            final_records: Counter::default(),
            submissions: Family::default(),
        };
        registry.register(
            "height",
            "Height of the newest final block",
            figures.height.clone(),
        );
        registry.register(
            "head_timestamp_ms",
            "Time of the newest final block, Unix milliseconds",
            figures.head_timestamp_ms.clone(),
        );
        registry.register("peers", "Validators connected", figures.peers.clone());
        registry.register(
            "finality_seconds",
            "From a block's proposal by its proposer's clock to its finality here by ours",
            figures.finality_seconds.clone(),
        );
        registry.register(
            "final_transactions",
            "Transactions in final blocks",
            figures.final_transactions.clone(),
        );
        registry.register(
            "final_records",
            "Records in final blocks",
            figures.final_records.clone(),
        );
        registry.register(
            "submissions",
            "What clients submitted, by kind and outcome",
            figures.submissions.clone(),
        );
        figures
    }

    /// A block has become final.
    pub(crate) fn finalized(&self, block: &Block) {
        self.set_head(block);
        self.final_transactions
            .inc_by(block.transactions().len() as u64);
        self.final_records.inc_by(block.records().len() as u64);
        let age = age(block.header().timestamp_ms);
        if age < MAX_MEASURED_AGE {
            self.finality_seconds.observe(age.as_secs_f64());
        }
    }

    /// This is the newest final block.
    pub(crate) fn set_head(&self, block: &Block) {
        let header = block.header();
        self.height
            .set(i64::try_from(header.height).unwrap_or(i64::MAX));
        self.head_timestamp_ms
            .set(i64::try_from(header.timestamp_ms).unwrap_or(i64::MAX));
    }

    /// A client's transaction or record was taken or not.
    pub(crate) fn submitted<T>(&self, kind: &'static str, result: &Result<T, IntakeError>) {
        let outcome = match result {
            Ok(_) => "taken",
            Err(error) => reason(error),
        };
        self.submissions
            .get_or_create(&Submission { kind, outcome })
            .inc();
    }

    /// Height of the newest final block, and its age.
    pub(crate) fn head(&self) -> (u64, Duration) {
        let height = u64::try_from(self.height.get()).unwrap_or(0);
        let timestamp_ms = u64::try_from(self.head_timestamp_ms.get()).unwrap_or(0);
        (height, age(timestamp_ms))
    }

    /// Validators connected.
    pub(crate) fn peers(&self) -> usize {
        usize::try_from(self.peers.get()).unwrap_or(0)
    }

    /// Keeps the number of peers current for as long as the node runs.
    pub(crate) async fn count_peers(self, context: Context) {
        loop {
            let connected = context.encode().matches(CONNECTED).count();
            self.peers.set(i64::try_from(connected).unwrap_or(i64::MAX));
            tokio::time::sleep(PEERS_INTERVAL).await;
        }
    }
}

/// Why something is not taken, as one of a few words.
fn reason(error: &IntakeError) -> &'static str {
    match error {
        IntakeError::Transaction(_) => "invalid_transaction",
        IntakeError::AddTransaction(_) => "not_now",
        IntakeError::AddRecord(AddRecordError::Known(_)) => "known",
        IntakeError::AddRecord(AddRecordError::Full(_)) => "pool_full",
        IntakeError::Encoding(_) => "malformed",
        IntakeError::State(_) => "node_failed",
        IntakeError::Record(error) => match error {
            RecordError::ChainId { .. } => "other_chain",
            RecordError::OutsideWindow { .. } => "outside_window",
            RecordError::UnknownNode(_) => "unknown_node",
            RecordError::UnknownModel(_) => "unknown_model",
            RecordError::Payee { .. } => "wrong_payee",
            RecordError::UsedRequest(_) => "request_used",
            RecordError::Signature(_) => "bad_signature",
            RecordError::State(_) => "node_failed",
            _ => "invalid_record",
        },
    }
}

/// How old a moment is, Unix milliseconds; one of the future is not old at all.
fn age(timestamp_ms: u64) -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH + Duration::from_millis(timestamp_ms))
        .unwrap_or_default()
}
