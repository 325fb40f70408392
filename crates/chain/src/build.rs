//! Making a block: the same state transition, leaving out what is invalid or does not fit.

use crate::{
    block::Block,
    evm::RunError,
    execute::{BlockError, Executed, prologue, start},
    fees::next_base_fee,
    header::{HEADER_VERSION, Slot},
    nullifiers,
    receipts::{TransactionReceipt, receipts_root},
    records::{self, RecordError, VerifiedRecord},
    rules::Rules,
    runner::{Runner, TransactionRunError},
    state::{Attempt, Source, StateCommitment},
    transaction::Transaction,
    view::{StateError, View},
};
use alloy_primitives::B256;
use og_crypto::block_hash;
use og_types::{
    Canonical as _, Header, SignedRecord,
    limits::{
        MAX_BLOCK_BYTES, MAX_RECORD_BYTES, MAX_RECORDS_PER_BLOCK, MAX_TRANSACTIONS_PER_BLOCK,
    },
};

/// Bytes of a block besides its transactions and records: header, three array heads.
const BLOCK_OVERHEAD_BYTES: usize = Header::MAX_ENCODED_BYTES + 32;
/// Bytes that encode the length of a transaction.
const LENGTH_BYTES: usize = 5;
/// Bytes kept for records, so that transactions alone cannot fill a block.
const RESERVED_RECORD_BYTES: usize = MAX_BLOCK_BYTES / 2;
/// Gas that no transaction can do with.
pub(crate) const MIN_TRANSACTION_GAS: u64 = 21_000;

/// What a proposer chooses from, in order of preference.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Transactions.
    pub transactions: Vec<Transaction>,
    /// Records.
    pub records: Vec<VerifiedRecord>,
}

/// A block but for its commitment to the state, which the database computes from the writes.
#[derive(Clone, Debug)]
pub struct Built {
    /// The transactions that were taken.
    pub transactions: Vec<Transaction>,
    /// The records that were taken.
    pub records: Vec<SignedRecord>,
    /// What they do.
    pub executed: Executed,
    /// Candidates that cannot be paid for or run on this state, for the mempool to drop.
    pub invalid: Vec<B256>,
}

impl Built {
    /// The block, once the caller knows the state after it, and what it does.
    pub fn into_block(
        self,
        rules: &Rules,
        parent: &Header,
        slot: &Slot,
        commitment: &StateCommitment,
    ) -> (Block, Executed) {
        let header = Header {
            gas_used: self.executed.gas_used,
            receipts_root: self.executed.receipts_root,
            state_root: commitment.root,
            state_operations_root: commitment.operations_root,
            state_operations_floor: commitment.operations_floor,
            state_operations_size: commitment.operations_size,
            ..draft(rules, parent, slot)
        };
        let block = Block::from_decoded(header, self.transactions, self.records);
        (block, self.executed)
    }
}

/// The header of a block that has no body yet.
fn draft(rules: &Rules, parent: &Header, slot: &Slot) -> Header {
    Header {
        version: HEADER_VERSION,
        chain_id: rules.chain_id(),
        height: parent.height.saturating_add(1),
        parent: block_hash(parent),
        epoch: slot.epoch,
        view: slot.view,
        parent_view: slot.parent_view,
        proposer: slot.proposer,
        timestamp_ms: slot.timestamp_ms,
        gas_limit: rules.genesis().gas_limit,
        base_fee_per_gas: next_base_fee(parent),
        next_validators: rules.validators().hash(),
        ..Header::default()
    }
}

/// Makes a block on top of `parent`, whose state `source` reads, from what is valid and fits.
///
/// # Errors
/// [`BlockError::Header`] if nothing can be proposed in this slot, [`BlockError::State`] if the
/// database is corrupt. A candidate is left out, never an error.
pub fn build(
    rules: &Rules,
    parent: &Header,
    slot: &Slot,
    candidates: &Candidates,
    source: &dyn Source,
) -> Result<Attempt<Built>, BlockError> {
    let fee_recipient = rules.check_slot(parent, slot)?;
    let header = draft(rules, parent, slot);
    let mut view = start(rules, &header, source);
    prologue(&header, &mut view);
    let mut bytes_left = MAX_BLOCK_BYTES.saturating_sub(BLOCK_OVERHEAD_BYTES);
    let runner = Runner::new(rules, &header, fee_recipient, &mut view);
    let taken = take_transactions(runner, &candidates.transactions, &mut bytes_left)?;
    let records = take_records(rules, &header, &candidates.records, &mut view, bytes_left)?;
    ignore_missing(nullifiers::forget(
        &mut view,
        header.timestamp_ms,
        records.len(),
    ))?;
    if let Some(keys) = view.missing() {
        return Ok(Attempt::Missing(keys));
    }
    let changes = match view.finish() {
        Attempt::Done(changes) => changes,
        Attempt::Missing(keys) => return Ok(Attempt::Missing(keys)),
    };
    Ok(Attempt::Done(Built {
        transactions: taken.transactions,
        records,
        executed: Executed {
            changes,
            receipts_root: receipts_root(&taken.receipts),
            receipts: taken.receipts,
            gas_used: taken.gas_used,
        },
        invalid: taken.invalid,
    }))
}

/// The transactions that were taken, and those that were found invalid.
#[derive(Default)]
struct Taken {
    transactions: Vec<Transaction>,
    receipts: Vec<TransactionReceipt>,
    gas_used: u64,
    invalid: Vec<B256>,
}

fn take_transactions(
    mut runner: Runner<'_, '_>,
    candidates: &[Transaction],
    bytes_left: &mut usize,
) -> Result<Taken, BlockError> {
    let mut taken = Taken::default();
    for transaction in candidates {
        if taken.transactions.len() >= MAX_TRANSACTIONS_PER_BLOCK
            || runner.gas_left() < MIN_TRANSACTION_GAS
        {
            break;
        }
        let length = transaction.raw().len().saturating_add(LENGTH_BYTES);
        let Some(left) = bytes_left
            .checked_sub(length)
            .filter(|left| *left >= RESERVED_RECORD_BYTES)
        else {
            continue;
        };
        match runner.run(transaction) {
            Ok(()) => {
                taken.transactions.push(transaction.clone());
                *bytes_left = left;
            }
            Err(TransactionRunError::Run(RunError::State(error))) => ignore_missing(Err(error))?,
            Err(TransactionRunError::Run(RunError::Invalid {
                is_untimely: false, ..
            })) => taken.invalid.push(transaction.hash()),
            Err(TransactionRunError::Gas { .. } | TransactionRunError::Run(_)) => {}
        }
    }
    (taken.receipts, taken.gas_used) = runner.finish();
    Ok(taken)
}

fn take_records(
    rules: &Rules,
    header: &Header,
    candidates: &[VerifiedRecord],
    view: &mut View<'_>,
    mut bytes_left: usize,
) -> Result<Vec<SignedRecord>, BlockError> {
    let mut taken = Vec::new();
    for record in candidates {
        if taken.len() >= MAX_RECORDS_PER_BLOCK || bytes_left < MAX_RECORD_BYTES {
            break;
        }
        match records::admit(rules, view, record, header.timestamp_ms, header.height) {
            Ok(()) => {
                bytes_left = bytes_left.saturating_sub(record.to_bytes().len());
                taken.push(SignedRecord::clone(record));
            }
            Err(RecordError::State(error)) => ignore_missing(Err(error))?,
            Err(_) => {}
        }
    }
    Ok(taken)
}

/// A missing key is noted in the view, and what depends on it runs again; corruption is final.
fn ignore_missing(result: Result<(), StateError>) -> Result<(), StateError> {
    match result {
        Err(StateError::Missing(_)) => Ok(()),
        other => other,
    }
}
