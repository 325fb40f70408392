//! What consensus costs on the network as validators grow.

use crate::{Plan, Violation, simulate};
use og_consensus::NETWORK_CHANNELS;
use serde::Serialize;

/// Names of the channels, in their order.
pub const CHANNELS: [&str; NETWORK_CHANNELS.len()] = [
    "votes",
    "certificates",
    "resolver",
    "blocks",
    "backfill",
    "gossip",
    "probe",
    "state",
];

/// What a network without faults sends for each final block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Validators.
    pub validators: usize,
    /// Final blocks over which the means are taken.
    pub blocks: u64,
    /// Messages for each block, from all validators together; one to many counts once for each.
    pub messages_per_block: f64,
    /// Bytes for each block, likewise, without the transport's own.
    pub bytes_per_block: f64,
    /// Of these, by channel: its name, messages, bytes.
    pub by_channel: Vec<(&'static str, f64, f64)>,
    /// Simulated milliseconds between two blocks.
    pub block_interval_ms: f64,
}

/// Counts what `validators` honest validators send until `blocks` blocks are final.
///
/// Clients submit four transactions or records each second; links take 25 ms on average.
///
/// # Errors
/// A [`Violation`], as in every simulation.
pub fn traffic(validators: usize, blocks: u64) -> Result<Traffic, Violation> {
    let outcome = simulate(&Plan::calm(0, validators, blocks))?;
    let height = outcome.height.max(1) as f64;
    let each = |count: u64| count as f64 / height;
    Ok(Traffic {
        validators,
        blocks: outcome.height,
        messages_per_block: each(outcome.sent.iter().map(|(messages, _)| messages).sum()),
        bytes_per_block: each(outcome.sent.iter().map(|(_, bytes)| bytes).sum()),
        by_channel: CHANNELS
            .into_iter()
            .zip(outcome.sent)
            .map(|(name, (messages, bytes))| (name, each(messages), each(bytes)))
            .collect(),
        block_interval_ms: outcome.simulated_ms as f64 / height,
    })
}
