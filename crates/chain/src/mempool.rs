//! What waits for a block: transactions and records, as pure data with named maxima.
//!
//! Time is that of blocks. Nothing here judges a record (see [`crate::records::check_all`]) or reads
//! the state: the caller brings the sender's account.

mod eviction;
mod included;
mod order;
mod records;
mod refusal;
mod transactions;

pub use included::Included;
pub use records::AddRecordError;
pub use refusal::AddTransactionError;

use crate::{
    block::Block, build::Candidates, fees::next_base_fee, records::VerifiedRecord, state::Account,
    transaction::Transaction,
};
use alloy_primitives::{Address, B256};
use og_types::{RequestId, SignedRecord};

/// Most transactions that wait.
pub const MAX_POOL_TRANSACTIONS: usize = 8192;
/// Most bytes of transactions that wait.
pub const MAX_POOL_TRANSACTION_BYTES: usize = 32 * 1024 * 1024;
/// Most transactions of one sender that wait.
pub const MAX_SENDER_TRANSACTIONS: usize = 64;
/// Least tip of a transaction that may wait, in wei per gas: Ethereum's nodes ask for as much.
pub const MIN_TIP_PER_GAS: u128 = 1;
/// Milliseconds that a transaction waits before it is dropped.
pub const MAX_TRANSACTION_AGE_MS: u64 = 3 * 60 * 60 * 1000;
/// Most records that wait.
pub const MAX_POOL_RECORDS: usize = 32_768;

/// The maxima of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Most transactions.
    pub transactions: usize,
    /// Most bytes of transactions.
    pub transaction_bytes: usize,
    /// Most transactions of one sender.
    pub sender_transactions: usize,
    /// Most records.
    pub records: usize,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            transactions: MAX_POOL_TRANSACTIONS,
            transaction_bytes: MAX_POOL_TRANSACTION_BYTES,
            sender_transactions: MAX_SENDER_TRANSACTIONS,
            records: MAX_POOL_RECORDS,
        }
    }
}

/// Transactions and records that wait for a block.
#[derive(Clone, Debug)]
pub struct Mempool {
    transactions: transactions::Pool,
    records: records::Pool,
}

impl Default for Mempool {
    fn default() -> Self {
        Self::new(MempoolLimits::default())
    }
}

impl Mempool {
    /// An empty pool with these maxima; [`Default`] has the network's.
    pub fn new(limits: MempoolLimits) -> Self {
        Self {
            transactions: transactions::Pool::new(limits),
            records: records::Pool::new(limits.records),
        }
    }

    /// Takes a transaction whose sender's account is `account` in the newest state, at the newest
    /// block's time.
    ///
    /// # Errors
    /// [`AddTransactionError`], with the messages that Ethereum's tools know.
    pub fn add_transaction(
        &mut self,
        transaction: Transaction,
        account: &Account,
        now_ms: u64,
    ) -> Result<(), AddTransactionError> {
        self.transactions.add(transaction, account, now_ms)
    }

    /// Takes a record.
    ///
    /// # Errors
    /// [`AddRecordError`] if one of this request waits already, or the pool is full.
    pub fn add_record(&mut self, record: VerifiedRecord) -> Result<(), AddRecordError> {
        self.records.add(record)
    }

    /// What the next block could take, `included` left out: transactions by tip, each sender's in the order of its
    /// nonces; records first come, first served. At most as many as a block may have.
    pub fn candidates(
        &self,
        base_fee_per_gas: u64,
        block_ms: u64,
        included: &Included,
    ) -> Candidates {
        Candidates {
            transactions: self.transactions.candidates(base_fee_per_gas, included),
            records: self.records.candidates(block_ms, included),
        }
    }

    /// Whether a block with this base fee, at this time, could take something besides what is `included`.
    pub fn has_work(&self, base_fee_per_gas: u64, block_ms: u64, included: &Included) -> bool {
        let mut records = self.records.admissible(block_ms);
        let mut transactions = self.transactions.payable(base_fee_per_gas);
        records.any(|signed| !included.has_record(signed))
            || transactions.any(|transaction| !included.has_transaction(transaction))
    }

    /// Forgets what a finalized block took, settled or let expire.
    pub fn on_finalized(&mut self, block: &Block) {
        let now_ms = block.header().timestamp_ms;
        let included = block.decoded_transactions().unwrap_or_default();
        let base_fee_per_gas = next_base_fee(block.header());
        self.transactions
            .on_finalized(included, now_ms, base_fee_per_gas);
        self.records.on_finalized(block.records(), now_ms);
    }

    /// Drops transactions that a builder found invalid ([`crate::Built::invalid`]).
    pub fn remove_transactions(&mut self, hashes: &[B256]) {
        for hash in hashes {
            self.transactions.remove(hash);
        }
    }

    /// The waiting transaction with this hash.
    pub fn transaction(&self, hash: &B256) -> Option<&Transaction> {
        self.transactions.get(hash)
    }

    /// The waiting transactions that arrived at `arrival` or later, each with its place in that
    /// order, which counts from 0. So a caller that remembers the last learns only of new ones.
    pub fn transactions_since(&self, arrival: u64) -> impl Iterator<Item = (u64, &Transaction)> {
        self.transactions.since(arrival)
    }

    /// The waiting records that arrived at `arrival` or later, as [`Self::transactions_since`] has the transactions.
    pub fn records_since(&self, arrival: u64) -> impl Iterator<Item = (u64, &SignedRecord)> {
        self.records.since(arrival)
    }

    /// The waiting record of this request.
    pub fn record(&self, request: &RequestId) -> Option<&SignedRecord> {
        self.records.get(request)
    }

    /// The nonce after the last that waits without a gap, or `None` if nothing of `sender` does.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.transactions.next_nonce(sender)
    }

    /// What waits, of one sender or of all, ordered by sender and nonce; with whether a block
    /// could take it: nothing before it is missing.
    pub fn waiting(&self, sender: Option<&Address>) -> impl Iterator<Item = (&Transaction, bool)> {
        self.transactions.waiting(sender)
    }

    /// Transactions that wait.
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// Bytes of transactions that wait.
    pub const fn transaction_bytes(&self) -> usize {
        self.transactions.bytes()
    }

    /// Records that wait.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.transaction_count() == 0 && self.record_count() == 0
    }
}

#[cfg(test)]
mod tests;
