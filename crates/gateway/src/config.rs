//! What a gateway is told when it starts, and its fixed limits.

use crate::KeyLimits;
use alloy_primitives::B256;
use og_opengradient::GatewayIdentity;
use og_types::limits::MAX_SUBMITTED_RECORDS;
use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, time::Duration};

/// Everything that a gateway has to be told.
#[derive(Debug)]
pub struct GatewayConfig {
    /// The chain on which records settle.
    pub chain_id: u64,
    /// Hash of the chain's genesis file, under which nodes sign records.
    pub genesis_hash: B256,
    /// Base URLs of inference nodes, for example `http://127.0.0.1:9000`.
    pub nodes: Vec<String>,
    /// JSON-RPC URLs of validators. With several, no single one can hide a record's fate.
    pub validators: Vec<String>,
    /// Folder of the database and the journal, which are made where there are none.
    pub data: PathBuf,
    /// The keys that OpenGradient's clients know this gateway by; without them its answers carry no `tee_*` fields.
    pub identity: Option<GatewayIdentity>,
    /// A file of API keys and limits, read again when it changes; without one everybody may ask.
    pub keys: Option<PathBuf>,
    /// What each client may use where there is no file of keys: an IPv4 address, or a network of 64 bits of IPv6, but not
    /// programs on this machine.
    pub address_limits: KeyLimits,
    /// Addresses of proxies in front, which are believed in `X-Forwarded-For` about whom they ask for.
    pub trusted_proxies: Vec<IpAddr>,
    /// Bytes of settled receipts to keep; the oldest are forgotten first.
    pub retained_bytes: u64,
}

/// The usual [`GatewayConfig::retained_bytes`]: 4 GiB, about a million small receipts.
pub const DEFAULT_RETAINED_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The usual [`GatewayConfig::address_limits`]: far more than a program asks, and a twelfth of what the gateway has in progress.
pub const DEFAULT_ADDRESS_LIMITS: KeyLimits = KeyLimits {
    requests_per_minute: NonZeroU32::new(6000),
    tokens_per_minute: None,
    tokens_per_day: None,
    concurrent_requests: NonZeroU32::new(1024),
};

/// Bytes of one request's JSON body.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Inference requests in progress, from reading their bodies on, streams included; more are told to come back.
pub const MAX_IN_FLIGHT: usize = 12_288;
/// Bytes of bodies of requests in progress, as announced; more are told to come back.
pub const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;
/// Pieces of one answer that wait for its client; then the model waits.
pub const MAX_PIECES_WAITING: usize = 64;
/// Answers whose records are not final yet; more requests are told to come back.
pub const MAX_PENDING: usize = 65_536;
/// Bytes of those answers on disk.
pub const MAX_PENDING_BYTES: u64 = 4 << 30;
/// Records that one validator is asked about at once: as many as it takes.
pub const MAX_ROUND: usize = MAX_SUBMITTED_RECORDS;
/// Such rounds at the same time.
pub const MAX_CONCURRENT_ROUNDS: usize = 8;
/// Connections that are open at the same time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Requests to one node that have a connection of their own; more share those that streams have.
pub const MAX_LONE_REQUESTS: usize = 1024;
/// Nodes that are tried for one request.
pub const MAX_ATTEMPTS: usize = 3;
/// Models that one node may list.
pub const MAX_MODELS_PER_NODE: usize = 1024;
/// Bytes of a node's list of models.
pub const MAX_MODEL_LIST_BYTES: usize = 1024 * 1024;
/// Bytes of a node's or a validator's error text that are passed on.
pub const MAX_REASON_BYTES: usize = 512;

/// How long a client may take to send the body of its request.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one node may take to answer a job, to its last piece.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a node may be silent before the next piece of an answer.
pub const PIECE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a node or a validator may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a validator may take to answer a call, and a node to list its models.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node's list of models is believed.
pub const MODEL_LIST_AGE: Duration = Duration::from_secs(10);
/// How long a node that did not list its models is left alone.
pub const NODE_PAUSE: Duration = Duration::from_secs(1);
/// How often is looked which records are due: those that come meanwhile share a round.
pub const ROUND_PAUSE: Duration = Duration::from_millis(10);
/// How long records are gathered for each that was asked about before, at most as long as the next says.
pub const GATHERING_PER_RECORD: Duration = Duration::from_millis(1);
/// Longest time that records are gathered.
pub const LONGEST_GATHERING: Duration = Duration::from_millis(200);
/// First pause between two questions about one record's fate; it doubles up to the next.
pub const POLL_PAUSE_FIRST: Duration = Duration::from_millis(25);
/// Longest pause between two questions about one record's fate.
pub const POLL_PAUSE_LONGEST: Duration = Duration::from_secs(2);
/// After this long without a proof, an accepted record is handed to another validator as well.
pub const RESUBMIT_AFTER: Duration = Duration::from_secs(5);
/// How often the file of API keys is looked at.
pub const KEYS_PAUSE: Duration = Duration::from_secs(5);
/// How far a node's clock may be ahead of ours, in milliseconds.
pub const MAX_CLOCK_SKEW_MS: u64 = 30_000;
