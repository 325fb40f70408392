//! What a simulation can find wrong.

use alloy_primitives::B256;
use og_types::BlockHash;

/// Something that must never happen, whatever fails and whoever lies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two blocks are final at one height.
    #[error("process {process} reports {found} final at height {height}, where {known} is final")]
    Fork {
        /// Who reports it.
        process: usize,
        /// Where.
        height: u64,
        /// The block that was final.
        known: BlockHash,
        /// The other.
        found: BlockHash,
    },
    /// A validator left out a final block, or repeated one without a restart.
    #[error("process {process} reports height {height} final, where {expected} was next")]
    Order {
        /// Who.
        process: usize,
        /// What it reports.
        height: u64,
        /// What it should have reported at the latest.
        expected: u64,
    },
    /// A final block comes without a receipt for each of its transactions.
    #[error(
        "process {process} reports height {height} final with {receipts} receipts for {transactions} transactions"
    )]
    Receipts {
        /// Who.
        process: usize,
        /// Which block.
        height: u64,
        /// What it has.
        transactions: usize,
        /// What came with it.
        receipts: usize,
    },
    /// A final block breaks a rule of blocks.
    #[error("the final block at height {height} is invalid: {reason}")]
    Block {
        /// Which block.
        height: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A final block holds a record that no block may hold.
    #[error("the final block at height {height} holds an invalid record: {reason}")]
    Record {
        /// Which block.
        height: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A final block holds a transaction that it may not hold.
    #[error("the final block at height {height} holds an invalid transaction: {reason}")]
    Transaction {
        /// Which block.
        height: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A validator's state is not the one that final blocks commit to.
    #[error(
        "process {process} has the state root {found} at height {height}, the block says {expected}"
    )]
    State {
        /// Who.
        process: usize,
        /// Where.
        height: u64,
        /// What its database says.
        found: B256,
        /// What the block says.
        expected: B256,
    },
    /// A validator has forgotten a block that it had reported final.
    #[error("process {process} lost the final block at height {height} in a restart")]
    Lost {
        /// Who.
        process: usize,
        /// Which block.
        height: u64,
    },
    /// Something that must have a maximum is above it.
    #[error("process {process} holds {found} {what}, more than {maximum}")]
    Unbounded {
        /// Who.
        process: usize,
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// How much may be.
        maximum: usize,
    },
    /// An honest validator has blocked another honest one.
    #[error("validator {by} has blocked validator {peer}, and both are honest")]
    Blocked {
        /// Who.
        by: usize,
        /// Whom.
        peer: usize,
    },
    /// A validator took something in that no block may hold.
    #[error("validator {seat} accepted what no block may hold: {what}")]
    Accepted {
        /// Who.
        seat: usize,
        /// What.
        what: String,
    },
    /// A part of an honest validator ended by itself.
    #[error("process {process} of an honest validator stopped by itself")]
    Stopped {
        /// Who.
        process: usize,
    },
    /// The network does not go on although everything has healed.
    #[error(
        "{within_s} s after everything healed not all honest validators are at height {goal}: {heights:?}"
    )]
    Stuck {
        /// Heights of the honest validators, by seat.
        heights: Vec<(usize, u64)>,
        /// What all should have reached.
        goal: u64,
        /// Simulated seconds that they had.
        within_s: u64,
    },
}
