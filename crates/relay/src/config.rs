//! What a relay is told, and every bound that it keeps.

use alloy_primitives::Address;
use std::{net::IpAddr, time::Duration};

/// Most connections open at once, and most of them for one client.
pub const MAX_CONNECTIONS: usize = 4_096;
/// See [`MAX_CONNECTIONS`].
pub const MAX_CONNECTIONS_EACH: usize = 128;
/// Most requests in progress at once, and most of them for one client; the next is told to come
/// back.
pub const MAX_REQUESTS: usize = 1_024;
/// See [`MAX_REQUESTS`].
pub const MAX_REQUESTS_EACH: usize = 64;
/// Most bytes of requests that wait to be complete, and most of them for one client.
pub const MAX_BUFFERED_BYTES: usize = 256 * 1024 * 1024;
/// See [`MAX_BUFFERED_BYTES`].
pub const MAX_BUFFERED_BYTES_EACH: usize = 64 * 1024 * 1024;
/// Longest time that a request's bytes may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that a gateway may let pass before it answers, and between parts of its answer.
/// Published clients wait as long.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest answer, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Longest error of a gateway that is passed on, in bytes.
pub(crate) const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Longest time that connecting to a gateway or to a node of the chain may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection to a gateway is kept.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Most unused connections that are kept to one gateway.
pub(crate) const MAX_IDLE_CONNECTIONS: usize = 64;

/// How often the registry is read.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between two reads, however many clients name gateways that are not known, and how
/// long a relay waits that could not read it.
pub(crate) const SHORTEST_REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// For how long the rows that were read last count, when the registry cannot be read: a gateway that
/// was removed must not be served for ever.
pub const STALE_AFTER: Duration = Duration::from_secs(10 * 60);
/// Most gateways that are kept; the registry has no more of one type.
pub const MAX_GATEWAYS: usize = 64;
/// Longest time that one question to a node of the chain may take.
pub(crate) const RPC_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer of such a node, in bytes: as many of the longest rows, in hexadecimal.
pub(crate) const MAX_RPC_ANSWER_BYTES: usize = 1024 * 1024;

/// What a relay is told.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// JSON-RPC of nodes of the chain, asked in this order until one answers; `http` or `https`.
    pub rpc: Vec<String>,
    /// The chain's EIP-155 id: an answer from another chain does not count.
    pub chain_id: u64,
    /// Where the registry of gateways stands.
    pub registry: Address,
    /// Proxies in front, which name clients in `X-Forwarded-For`: limits hold for whom they name.
    pub trusted_proxies: Vec<IpAddr>,
}
