//! Forgetting old blocks, and starting anew where a state sync has skipped some.

use super::{
    BLOCKS, FINALIZATIONS, HEIGHTS, Index, IndexError, RECEIPTS, RECORDS, TRANSACTIONS, damaged,
    decode_block, insert_block,
    logs::{self, LOGGED},
    undo,
};
use og_chain::{Effects, block::Block, receipts::TransactionReceipt};
use og_types::Canonical as _;
use redb::{ReadableTable as _, WriteTransaction};

/// Blocks that appending one removes at most: more than one, so that an index shrinks when it is
/// told to keep less.
const MAX_PRUNED_PER_BLOCK: usize = 4;

impl Index {
    /// Forgets everything and starts with `block`: what a state sync has skipped is not here, and
    /// an index has no gaps.
    ///
    /// # Errors
    /// [`IndexError::Receipts`], [`IndexError::Database`].
    pub fn restart(&self, block: &Block, effects: &Effects) -> Result<(), IndexError> {
        let transaction = self.database.begin_write()?;
        transaction.delete_table(BLOCKS)?;
        transaction.delete_table(HEIGHTS)?;
        transaction.delete_table(FINALIZATIONS)?;
        transaction.delete_table(TRANSACTIONS)?;
        transaction.delete_table(RECEIPTS)?;
        transaction.delete_table(RECORDS)?;
        transaction.delete_table(LOGGED)?;
        transaction.delete_table(undo::BEFORE)?;
        transaction.delete_table(undo::CHANGED)?;
        transaction.open_table(FINALIZATIONS)?;
        insert_block(&transaction, block, &effects.receipts)?;
        let height = block.header().height;
        undo::insert(&transaction, height, &effects.before, self.retention.states)?;
        transaction.commit()?;
        Ok(())
    }
}

/// Removes the oldest blocks below the `retain` below `head`, a few at a time.
pub(super) fn prune(
    transaction: &WriteTransaction,
    head: u64,
    retain: u64,
) -> Result<(), IndexError> {
    let lowest = head.saturating_sub(retain);
    for _ in 0..MAX_PRUNED_PER_BLOCK {
        let block = {
            let blocks = transaction.open_table(BLOCKS)?;
            match blocks.first()? {
                Some((height, bytes)) if height.value() < lowest => {
                    decode_block(height.value(), bytes.value())?
                }
                _ => return Ok(()),
            }
        };
        remove_block(transaction, &block)?;
    }
    Ok(())
}

fn remove_block(transaction: &WriteTransaction, block: &Block) -> Result<(), IndexError> {
    let height = block.header().height;
    transaction.open_table(BLOCKS)?.remove(height)?;
    transaction.open_table(HEIGHTS)?.remove(block.hash().0)?;
    transaction
        .open_table(FINALIZATIONS)?
        .retain_in(..=height, |_, _| false)?;
    let mut places = transaction.open_table(TRANSACTIONS)?;
    let mut rows = transaction.open_table(RECEIPTS)?;
    let mut receipts = vec![];
    for (position, _) in (0_u32..).zip(block.transactions()) {
        if let Some(bytes) = rows.remove((height, position))? {
            let receipt = TransactionReceipt::from_bytes(bytes.value())
                .map_err(|error| damaged(height, &error))?;
            places.remove(receipt.transaction_hash.0)?;
            receipts.push(receipt);
        }
    }
    logs::remove(transaction, height, &receipts)?;
    let mut places = transaction.open_table(RECORDS)?;
    for signed in block.records() {
        let id = signed.record.request_id.0;
        // A newer block may have a record for the same request.
        let here = places
            .get(id)?
            .is_some_and(|place| place.value().0 == height);
        if here {
            places.remove(id)?;
        }
    }
    Ok(())
}
