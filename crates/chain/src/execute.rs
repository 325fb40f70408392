//! The state transition: what a block does to its parent's state, and whether it may.

use crate::{
    block::{Block, BlockTransactionError},
    evm::RunError,
    genesis,
    header::HeaderError,
    nullifiers,
    receipts::{TransactionReceipt, receipts_root},
    records::{self, RecordError},
    rules::Rules,
    runner::{Runner, TransactionRunError},
    state::{Attempt, Key, Source},
    transaction::Transaction,
    view::{Changes, StateError, View, Writes},
};
use alloy_primitives::{Address, B256};
use og_types::{
    Header,
    limits::{
        MAX_BLOCK_BYTES, MAX_RECORDS_PER_BLOCK, MAX_TRANSACTION_BYTES, MAX_TRANSACTIONS_PER_BLOCK,
    },
};

/// Why a block is not valid, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A header field is wrong.
    #[error("header.{0}")]
    Header(#[from] HeaderError),
    /// The block is beyond the protocol's limits.
    #[error("the block has {found} {what}, more than {maximum}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// How much is allowed.
        maximum: usize,
    },
    /// A transaction could be valid on no block of this chain.
    #[error(transparent)]
    Transaction(#[from] BlockTransactionError),
    /// A transaction is not valid in the state it meets.
    #[error("transaction {index} is not valid here: {reason}")]
    InvalidTransaction {
        /// Position in the block.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A record cannot be admitted.
    #[error("record {index}: {error}")]
    Record {
        /// Position in the block.
        index: usize,
        /// Why not.
        error: RecordError,
    },
    /// The header claims another use of gas.
    #[error("header.gas_used is {claimed}, the transactions used {used}")]
    GasUsed {
        /// The header's.
        claimed: u64,
        /// What execution used.
        used: u64,
    },
    /// The header commits to other receipts.
    #[error("header.receipts_root is {claimed}, execution gives {computed}")]
    ReceiptsRoot {
        /// The header's.
        claimed: B256,
        /// What execution gives.
        computed: B256,
    },
    /// The state is corrupt.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a valid block does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// What it changes. The caller applies the writes to the parent's state and compares the
    /// header's four `state_*` fields with what comes out.
    pub changes: Changes,
    /// One receipt per transaction.
    pub receipts: Vec<TransactionReceipt>,
    /// Gas that the transactions used.
    pub gas_used: u64,
    /// Root of the receipts.
    pub receipts_root: B256,
}

/// What is remembered of a block that ran: all that cannot be read from the block itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// One receipt per transaction.
    pub receipts: Vec<TransactionReceipt>,
    /// What the keys that it changed had been before.
    pub before: Writes,
}

impl Executed {
    /// What the block makes of its parent's state, and what is remembered of it.
    pub fn into_parts(self) -> (Writes, Effects) {
        let effects = Effects {
            receipts: self.receipts,
            before: self.changes.before,
        };
        (self.changes.writes, effects)
    }
}

/// Checks `block` on top of `parent`, whose state `source` reads, and says what it does.
///
/// # Errors
/// [`BlockError`] if any part of the block is invalid, which any other validator finds as well.
/// [`BlockError::State`] alone is no fault of the block: the database is corrupt.
pub fn execute(
    rules: &Rules,
    parent: &Header,
    block: &Block,
    source: &dyn Source,
) -> Result<Attempt<Executed>, BlockError> {
    let header = block.header();
    rules.check_header(parent, header)?;
    check_size(block)?;
    let transactions = block.decoded_transactions()?;
    let mut view = start(rules, header, source);
    let run = run_block(rules, block, transactions, &mut view);
    // After a miss the state is not the real one, and an error found on it means nothing.
    if let Some(keys) = view.missing() {
        return Ok(Attempt::Missing(keys));
    }
    let (receipts, gas_used) = run?;
    let changes = match view.finish() {
        Attempt::Done(changes) => changes,
        Attempt::Missing(keys) => return Ok(Attempt::Missing(keys)),
    };
    check_signatures(rules, block)?;
    let receipts_root = receipts_root(&receipts);
    if header.gas_used != gas_used {
        return Err(BlockError::GasUsed {
            claimed: header.gas_used,
            used: gas_used,
        });
    }
    if header.receipts_root != receipts_root {
        return Err(BlockError::ReceiptsRoot {
            claimed: header.receipts_root,
            computed: receipts_root,
        });
    }
    Ok(Attempt::Done(Executed {
        changes,
        receipts,
        gas_used,
        receipts_root,
    }))
}

fn check_size(block: &Block) -> Result<(), BlockError> {
    let longest = block.transactions().iter().map(|raw| raw.len()).max();
    for (what, found, maximum) in [
        ("bytes", block.bytes().len(), MAX_BLOCK_BYTES),
        (
            "transactions",
            block.transactions().len(),
            MAX_TRANSACTIONS_PER_BLOCK,
        ),
        ("records", block.records().len(), MAX_RECORDS_PER_BLOCK),
        (
            "bytes in one transaction",
            longest.unwrap_or_default(),
            MAX_TRANSACTION_BYTES,
        ),
    ] {
        if found > maximum {
            return Err(BlockError::TooLarge {
                what,
                found,
                maximum,
            });
        }
    }
    Ok(())
}

/// Everything a block does, in order: prologue, transactions, records; then old request ids are forgotten.
fn run_block(
    rules: &Rules,
    block: &Block,
    transactions: &[Transaction],
    view: &mut View<'_>,
) -> Result<(Vec<TransactionReceipt>, u64), BlockError> {
    let header = block.header();
    prologue(header, view);
    let mut first_error = None;
    let fee_recipient = fee_recipient(rules, header);
    let mut runner = Runner::new(rules, header, fee_recipient, view);
    for (index, transaction) in transactions.iter().enumerate() {
        if let Err(error) = runner.run(transaction) {
            first_error.get_or_insert(transaction_error(index, error));
        }
    }
    let (receipts, gas_used) = runner.finish();
    for (index, record) in block.records().iter().enumerate() {
        let admitted = records::admit(rules, view, record, header.timestamp_ms, header.height);
        if let Err(error) = admitted {
            first_error.get_or_insert(record_error(index, error));
        }
    }
    let admitted = block.records().len();
    if let Err(error) = nullifiers::forget(view, header.timestamp_ms, admitted) {
        first_error.get_or_insert(error.into());
    }
    first_error.map_or(Ok((receipts, gas_used)), Err)
}

fn transaction_error(index: usize, error: TransactionRunError) -> BlockError {
    match error {
        TransactionRunError::Gas { needed, left } => BlockError::InvalidTransaction {
            index,
            reason: format!("its gas limit is {needed}, the block has {left} left"),
        },
        TransactionRunError::Run(RunError::Invalid { reason, .. }) => {
            BlockError::InvalidTransaction { index, reason }
        }
        TransactionRunError::Run(RunError::State(error)) => BlockError::State(error),
    }
}

fn record_error(index: usize, error: RecordError) -> BlockError {
    match error {
        RecordError::State(error) => BlockError::State(error),
        error => BlockError::Record { index, error },
    }
}

fn check_signatures(rules: &Rules, block: &Block) -> Result<(), BlockError> {
    if records::signatures_verify(rules, block.records()) {
        return Ok(());
    }
    let index = records::first_bad_signature(rules, block.records()).unwrap_or_default();
    let node = block
        .records()
        .get(index)
        .map(|signed| signed.record.node)
        .unwrap_or_default();
    Err(BlockError::Record {
        index,
        error: RecordError::Signature(node),
    })
}

/// Who gets the tips. The proposer has a seat: the header was checked.
pub(crate) fn fee_recipient(rules: &Rules, header: &Header) -> Address {
    rules
        .validators()
        .get(&header.proposer)
        .map(|seat| seat.fee_recipient)
        .unwrap_or_default()
}

/// The state that a block starts from: block 1 starts from nothing, and the genesis file's
/// accounts are its first writes.
pub(crate) fn start<'a>(rules: &Rules, header: &Header, source: &'a dyn Source) -> View<'a> {
    if header.height == 1 {
        let mut view = View::over_nothing();
        genesis::allocate(rules.genesis(), &mut view);
        return view;
    }
    View::new(source)
}

/// What every block does before its body: remember its parent.
pub(crate) fn prologue(header: &Header, view: &mut View<'_>) {
    view.set(
        Key::block_hash(header.height.saturating_sub(1)),
        Some(header.parent.0.to_vec().into()),
    );
}
