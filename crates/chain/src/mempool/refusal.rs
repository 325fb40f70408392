//! Why a transaction does not wait, in the words that Ethereum's tools know.

use super::{MIN_TIP_PER_GAS, transactions::REPLACEMENT_BUMP_PERCENT};
use alloy_primitives::U256;

/// Why a transaction does not wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddTransactionError {
    /// This very transaction waits already.
    #[error("already known")]
    Known,
    /// Its nonce has been used.
    #[error("nonce too low: next nonce {expected}, tx nonce {found}")]
    NonceTooLow {
        /// The account's nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// Its nonce is so far ahead that too many of this sender would have to wait before it.
    #[error("nonce too high: next nonce {expected}, tx nonce {found}")]
    NonceTooHigh {
        /// The account's nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The sender cannot pay for it and for what waits of it already. All in wei.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {}",
        .queued.saturating_add(*.cost).saturating_sub(*.balance)
    )]
    Funds {
        /// The account's balance.
        balance: U256,
        /// What its other transactions that wait could cost.
        queued: U256,
        /// What this one could cost.
        cost: U256,
    },
    /// It has the nonce of one that waits and does not pay enough more.
    #[error(
        "replacement transaction underpriced: both fees must be {REPLACEMENT_BUMP_PERCENT} % higher"
    )]
    Underpriced,
    /// It tips nothing. What waits must cost something, or whoever has no money fills the pool.
    #[error("transaction underpriced: gas tip cap {found}, minimum needed {MIN_TIP_PER_GAS}")]
    NoTip {
        /// The transaction's, in wei.
        found: u128,
    },
    /// The pool is full of transactions that are worth at least as much to a block's proposer.
    #[error("txpool is full")]
    Full,
}
