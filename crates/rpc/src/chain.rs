//! What JSON-RPC needs of a validator.

use crate::index::Index;
use alloy_primitives::{Address, B256, Bytes};
use og_chain::{
    Key, RecordError, Rules, Transaction, TransactionError, Value,
    mempool::{AddRecordError, AddTransactionError},
};
use og_types::{Header, SignedRecord, StateEntry};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{broadcast, watch};

/// The validator behind the interface.
pub trait Chain: Send + Sync + 'static {
    /// The chain's rules.
    fn rules(&self) -> &Arc<Rules>;

    /// The index of final blocks. It holds the genesis block and never runs ahead of the state:
    /// who sees a transaction's receipt sees its effects.
    fn index(&self) -> &Arc<Index>;

    /// The values of `keys` in the newest final state, and the header of that state's block.
    fn state(&self, keys: Vec<Key>) -> impl Future<Output = Result<StateView, ReadError>> + Send;

    /// Proofs of what `keys` have in the newest final state, and the header of that state's block.
    fn prove(&self, keys: Vec<Key>) -> impl Future<Output = Result<ProvenView, ReadError>> + Send;

    /// Takes a raw transaction into the mempool and gives its hash.
    fn submit_transaction(
        &self,
        raw: Bytes,
    ) -> impl Future<Output = Result<B256, SubmitError>> + Send;

    /// How long `eth_sendRawTransaction` waits for its transaction to be final before it answers;
    /// zero where clients wait themselves, as they do on every public network.
    fn submission_patience(&self) -> Duration;

    /// Takes records into the mempool; what became of each.
    fn submit_records(
        &self,
        records: Vec<SignedRecord>,
    ) -> impl Future<Output = Result<Vec<Result<(), SubmitError>>, ReadError>> + Send;

    /// The transaction with this hash, if it waits in the mempool.
    fn pending_transaction(&self, hash: &B256) -> Option<Transaction>;

    /// The nonce after those that wait in the mempool, or `None` if nothing of `sender` waits.
    fn pending_nonce(&self, sender: &Address) -> Option<u64>;

    /// The height of the newest block in the index, as it grows.
    fn heights(&self) -> watch::Receiver<u64>;

    /// The hashes of transactions that enter the mempool from now on. Whoever falls behind misses some and is told so.
    fn new_transactions(&self) -> broadcast::Receiver<B256>;

    /// What waits in the mempool, of one sender or of all, ordered by sender and nonce.
    fn waiting_transactions(&self, sender: Option<&Address>) -> Vec<Waiting>;

    /// How much waits in the mempool.
    fn mempool_size(&self) -> MempoolSize;

    /// Validators connected to this one, or `None` where that is not known.
    fn peers(&self) -> Option<usize>;
}

/// Part of the newest final state.
#[derive(Clone, Debug)]
pub struct StateView {
    /// Header of the block that left this state.
    pub header: Header,
    /// One value per key that was asked for, in the same order; `None` where there is none.
    pub values: Vec<Option<Value>>,
}

/// A transaction that waits in the mempool.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The transaction.
    pub transaction: Transaction,
    /// Whether a block could take it: all nonces between its sender's and its own wait too.
    pub executable: bool,
}

/// Part of the newest final state, with proofs.
#[derive(Clone, Debug)]
pub struct ProvenView {
    /// Header of the block that left this state.
    pub header: Header,
    /// One entry per key that was asked for, in the same order.
    pub entries: Vec<StateEntry>,
}

/// How much waits in the mempool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MempoolSize {
    /// Transactions.
    pub transactions: usize,
    /// Records.
    pub records: usize,
}

/// The state could not be read; the node is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the state cannot be read: {0}")]
pub struct ReadError(pub String);

/// Why a transaction or a record is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It will not be taken later either.
    #[error("{0}")]
    Refused(String),
    /// It may be taken later, or has been settled already.
    #[error("{0}")]
    NotNow(String),
    /// The node is at fault.
    #[error("the node cannot judge it: {0}")]
    Internal(String),
}

impl From<TransactionError> for SubmitError {
    fn from(error: TransactionError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<AddTransactionError> for SubmitError {
    fn from(error: AddTransactionError) -> Self {
        Self::NotNow(error.to_string())
    }
}

impl From<RecordError> for SubmitError {
    fn from(error: RecordError) -> Self {
        let reason = error.to_string();
        match error {
            RecordError::State(_) => Self::Internal(reason),
            // Perhaps by this very record: only its proof can tell.
            RecordError::UsedRequest(_) => Self::NotNow(reason),
            RecordError::OutsideWindow {
                from_ms, block_ms, ..
            } if block_ms < from_ms => Self::NotNow(reason),
            _ => Self::Refused(reason),
        }
    }
}

impl From<AddRecordError> for SubmitError {
    fn from(error: AddRecordError) -> Self {
        Self::NotNow(error.to_string())
    }
}
