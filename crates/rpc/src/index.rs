//! What a validator remembers of every final block, so that it can be asked about it.
//!
//! Written once per block, durable before [`Index::append`] returns, read by whoever answers
//! questions. Old blocks are forgotten as new ones come, unless all are kept. The newest state is not
//! here: it lives in the authenticated database of `og-state`. Older states are, as what each
//! block changed (`undo`).

use alloy_primitives::B256;
use og_chain::{
    Effects,
    block::{Block, BlockDecodeError},
    receipts::TransactionReceipt,
};
use og_types::{
    BlockHash, Canonical as _, DecodeError, Header, SignedRecord, limits::MAX_FINALIZATION_BYTES,
};
use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};
use std::path::Path;

mod logs;
mod proof;
mod prune;
mod recent;
mod undo;

use recent::Recent;

pub use logs::{FoundLog, FoundLogs, LogQuery};
pub use proof::{Finality, PlacedProof, PlacedRecord, RecordLookup, RecordProof, RecordProofs};

/// Height to the block's canonical bytes.
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Block hash to height.
const HEIGHTS: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("heights");
/// Height to the finality certificate of the block there; a block may have none.
const FINALIZATIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("finalizations");
/// Transaction hash to height and position.
const TRANSACTIONS: TableDefinition<'_, [u8; 32], (u64, u32)> =
    TableDefinition::new("transactions");
/// Height and position to the canonical bytes of a [`TransactionReceipt`].
const RECEIPTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("receipts");
/// Request id to height and position of its newest record.
const RECORDS: TableDefinition<'_, [u8; 32], (u64, u32)> = TableDefinition::new("records");

/// Bytes of memory in which the database keeps what was read.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Why the index could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another block stands where this one should, or its parent does not.
    #[error("block {hash} at height {height} does not continue the chain in the index")]
    Conflict {
        /// The block's height.
        height: u64,
        /// The block's hash.
        hash: BlockHash,
    },
    /// Blocks are missing before this one.
    #[error("block at height {found} where {expected} is next")]
    Gap {
        /// The height that is next.
        expected: u64,
        /// The block's height.
        found: u64,
    },
    /// There is not one receipt per transaction.
    #[error("{receipts} receipts for the {transactions} transactions at height {height}")]
    Receipts {
        /// The block's height.
        height: u64,
        /// Transactions in the block.
        transactions: usize,
        /// Receipts given.
        receipts: usize,
    },
    /// The block is not kept any more.
    #[error(
        "block {height} is not kept: this node has blocks from {oldest} on; ask one that is configured with archive = true"
    )]
    Pruned {
        /// The block's height.
        height: u64,
        /// The oldest height that is kept.
        oldest: u64,
    },
    /// The state after the block is not kept any more.
    #[error(
        "the state after block {height} is not kept: this node has states from block {oldest} on; raise retain_states, or ask one that is configured with archive = true"
    )]
    StatePruned {
        /// The block's height.
        height: u64,
        /// The oldest height whose state is kept.
        oldest: u64,
    },
    /// No block that is kept has this hash, and older ones are not kept.
    #[error(
        "no block from {oldest} on has the hash {hash}, and this node keeps none below; ask one that is configured with archive = true"
    )]
    UnknownOrPruned {
        /// The hash that was asked for.
        hash: BlockHash,
        /// The oldest height that is kept.
        oldest: u64,
    },
    /// A question about logs that is too wide.
    #[error(
        "more than {most} logs, more data than an answer holds, or too long a search, up to block {height}: ask for fewer blocks, or name the contract and topics"
    )]
    TooManyLogs {
        /// Most logs that one answer has; 0 if the search itself took too long.
        most: usize,
        /// How far the search came.
        height: u64,
    },
    /// A certificate longer than any can be.
    #[error("a finality certificate of {0} bytes: at most {MAX_FINALIZATION_BYTES} are allowed")]
    Certificate(usize),
    /// What is on disk is not what was written there.
    #[error("the index is damaged at height {height}: {reason}")]
    Damaged {
        /// Height of the block concerned.
        height: u64,
        /// What is wrong.
        reason: String,
    },
    /// The database failed.
    #[error("the index's database failed")]
    Database(#[source] Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for IndexError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// How much an index keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Blocks below the newest; all if `None`.
    pub blocks: Option<u64>,
    /// States before the newest; all that it has seen if `None`.
    pub states: Option<u64>,
}

/// The index of one chain's final blocks.
#[derive(Debug)]
pub struct Index {
    database: Database,
    recent: Recent,
    retention: Retention,
}

impl Index {
    /// Opens the index at `path`, creating it where there is none.
    ///
    /// # Errors
    /// [`IndexError::Database`] if the file cannot be created, is in use or is no database.
    pub fn open(path: &Path, retention: Retention) -> Result<Self, IndexError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(BLOCKS)?;
        transaction.open_table(HEIGHTS)?;
        transaction.open_table(FINALIZATIONS)?;
        transaction.open_table(TRANSACTIONS)?;
        transaction.open_table(RECEIPTS)?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(undo::BEFORE)?;
        transaction.open_table(undo::CHANGED)?;
        logs::mark_all(&transaction)?;
        transaction.commit()?;
        Ok(Self {
            database,
            recent: Recent::default(),
            retention,
        })
    }

    /// Appends a final block and what it did. Appending a block that is already
    /// there changes nothing; the first block may have any height, each later one the next.
    ///
    /// # Errors
    /// [`IndexError::Conflict`], [`IndexError::Gap`] or [`IndexError::Receipts`] if the block is
    /// not the next one, [`IndexError::Database`].
    pub fn append(&self, block: &Block, effects: &Effects) -> Result<(), IndexError> {
        let transaction = self.database.begin_write()?;
        if !self.is_next(&transaction, block)? {
            return Ok(());
        }
        let height = block.header().height;
        insert_block(&transaction, block, &effects.receipts)?;
        undo::insert(&transaction, height, &effects.before, self.retention.states)?;
        if let Some(retain) = self.retention.blocks {
            prune::prune(&transaction, height, retain)?;
        }
        transaction.commit()?;
        self.recent.keep(block);
        Ok(())
    }

    /// Stores the finality certificate of the block at `height`, before or after the block. The
    /// first certificate stays: any one proves the same.
    ///
    /// # Errors
    /// [`IndexError::Certificate`] if it is too long, [`IndexError::Database`].
    pub fn set_finalization(&self, height: u64, bytes: &[u8]) -> Result<(), IndexError> {
        if bytes.len() > MAX_FINALIZATION_BYTES {
            return Err(IndexError::Certificate(bytes.len()));
        }
        let transaction = self.database.begin_write()?;
        {
            let mut finalizations = transaction.open_table(FINALIZATIONS)?;
            if finalizations.get(height)?.is_some() {
                return Ok(());
            }
            finalizations.insert(height, bytes)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The newest block, or `None` of an empty index.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn head(&self) -> Result<Option<Block>, IndexError> {
        let blocks = self.database.begin_read()?.open_table(BLOCKS)?;
        let Some((height, bytes)) = blocks.last()? else {
            return Ok(None);
        };
        self.decode(height.value(), bytes.value()).map(Some)
    }

    /// The height of the oldest block, or `None` of an empty index.
    ///
    /// # Errors
    /// [`IndexError::Database`].
    pub fn oldest(&self) -> Result<Option<u64>, IndexError> {
        oldest(&self.database.begin_read()?)
    }

    /// The block at `height`; `None` above the newest.
    ///
    /// # Errors
    /// [`IndexError::Pruned`], [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn block(&self, height: u64) -> Result<Option<Block>, IndexError> {
        let transaction = self.database.begin_read()?;
        match oldest(&transaction)? {
            Some(oldest) if height < oldest => Err(IndexError::Pruned { height, oldest }),
            _ => self.block_at(&transaction, height),
        }
    }

    /// The header of the block at `height`; `None` above the newest.
    ///
    /// # Errors
    /// [`IndexError::Pruned`], [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn header(&self, height: u64) -> Result<Option<Header>, IndexError> {
        let transaction = self.database.begin_read()?;
        match oldest(&transaction)? {
            Some(oldest) if height < oldest => Err(IndexError::Pruned { height, oldest }),
            _ => self.header_at(&transaction, height),
        }
    }

    /// The block with this hash; `None` if there is none in the whole chain up to now.
    ///
    /// # Errors
    /// [`IndexError::UnknownOrPruned`], [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn block_by_hash(&self, hash: &BlockHash) -> Result<Option<Block>, IndexError> {
        let transaction = self.database.begin_read()?;
        let height = transaction.open_table(HEIGHTS)?.get(hash.0)?;
        match height {
            Some(height) => self.block_at(&transaction, height.value()),
            None => match oldest(&transaction)? {
                Some(oldest) if oldest > 0 => Err(IndexError::UnknownOrPruned {
                    hash: *hash,
                    oldest,
                }),
                _ => Ok(None),
            },
        }
    }

    /// The block with the transaction of this hash, and the transaction's position in it; `None`
    /// also if that block is not kept any more.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn transaction(&self, hash: &B256) -> Result<Option<(Block, u32)>, IndexError> {
        let transaction = self.database.begin_read()?;
        let Some(place) = transaction.open_table(TRANSACTIONS)?.get(hash.0)? else {
            return Ok(None);
        };
        let (height, position) = place.value();
        let block = self.block_at(&transaction, height)?;
        Ok(block.map(|block| (block, position)))
    }

    /// The receipts of the transactions in the block at `height`, in order; none if there is no
    /// such block.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn receipts(&self, height: u64) -> Result<Vec<TransactionReceipt>, IndexError> {
        receipts_at(&self.database.begin_read()?, height)
    }

    /// Whether `block` is to be appended; `false` if it is there already.
    fn is_next(&self, transaction: &WriteTransaction, block: &Block) -> Result<bool, IndexError> {
        let blocks = transaction.open_table(BLOCKS)?;
        let header = block.header();
        let conflict = || IndexError::Conflict {
            height: header.height,
            hash: block.hash(),
        };
        if let Some(stored) = blocks.get(header.height)? {
            return if stored.value() == block.bytes().as_ref() {
                Ok(false)
            } else {
                Err(conflict())
            };
        }
        let Some((last, bytes)) = blocks.last()? else {
            return Ok(true);
        };
        let last = last.value();
        if header.height != last + 1 {
            return Err(IndexError::Gap {
                expected: last + 1,
                found: header.height,
            });
        }
        let parent = self.decode(last, bytes.value())?;
        if header.parent != parent.hash() {
            return Err(conflict());
        }
        Ok(true)
    }

    fn block_at(
        &self,
        transaction: &ReadTransaction,
        height: u64,
    ) -> Result<Option<Block>, IndexError> {
        if let Some(block) = self.recent.get(height) {
            return Ok(Some(block));
        }
        let blocks = transaction.open_table(BLOCKS)?;
        let Some(bytes) = blocks.get(height)? else {
            return Ok(None);
        };
        self.decode(height, bytes.value()).map(Some)
    }

    /// The header of the block at `height`: a hundredth of the work that a full block is.
    fn header_at(
        &self,
        transaction: &ReadTransaction,
        height: u64,
    ) -> Result<Option<Header>, IndexError> {
        if let Some(block) = self.recent.get(height) {
            return Ok(Some(block.header().clone()));
        }
        let blocks = transaction.open_table(BLOCKS)?;
        let Some(bytes) = blocks.get(height)? else {
            return Ok(None);
        };
        let header = Block::read_header(bytes.value()).map_err(|error| damaged(height, &error))?;
        Ok(Some(header))
    }

    /// The block that was stored at `height` as `bytes`.
    fn decode(&self, height: u64, bytes: &[u8]) -> Result<Block, IndexError> {
        if let Some(block) = self.recent.get(height) {
            return Ok(block);
        }
        let block = decode_block(height, bytes)?;
        self.recent.keep(&block);
        Ok(block)
    }
}

/// Inserts a block that is next.
fn insert_block(
    transaction: &WriteTransaction,
    block: &Block,
    receipts: &[TransactionReceipt],
) -> Result<(), IndexError> {
    let height = block.header().height;
    if receipts.len() != block.transactions().len() {
        return Err(IndexError::Receipts {
            height,
            transactions: block.transactions().len(),
            receipts: receipts.len(),
        });
    }
    transaction
        .open_table(BLOCKS)?
        .insert(height, block.bytes().as_ref())?;
    transaction
        .open_table(HEIGHTS)?
        .insert(block.hash().0, height)?;
    insert_transactions(transaction, height, receipts)?;
    logs::insert(transaction, height, receipts)?;
    insert_records(transaction, height, block.records())
}

fn insert_transactions(
    transaction: &WriteTransaction,
    height: u64,
    receipts: &[TransactionReceipt],
) -> Result<(), IndexError> {
    let mut places = transaction.open_table(TRANSACTIONS)?;
    let mut rows = transaction.open_table(RECEIPTS)?;
    for (position, receipt) in (0_u32..).zip(receipts) {
        places.insert(receipt.transaction_hash.0, (height, position))?;
        rows.insert((height, position), receipt.to_bytes().as_slice())?;
    }
    Ok(())
}

fn insert_records(
    transaction: &WriteTransaction,
    height: u64,
    records: &[SignedRecord],
) -> Result<(), IndexError> {
    let mut places = transaction.open_table(RECORDS)?;
    for (position, signed) in (0_u32..).zip(records) {
        places.insert(signed.record.request_id.0, (height, position))?;
    }
    Ok(())
}

fn receipts_at(
    transaction: &ReadTransaction,
    height: u64,
) -> Result<Vec<TransactionReceipt>, IndexError> {
    let receipts = transaction.open_table(RECEIPTS)?;
    let mut found = Vec::new();
    for entry in receipts.range((height, 0)..=(height, u32::MAX))? {
        let (_, bytes) = entry?;
        let receipt = TransactionReceipt::from_bytes(bytes.value())
            .map_err(|error| damaged(height, &error))?;
        found.push(receipt);
    }
    Ok(found)
}

fn oldest(transaction: &ReadTransaction) -> Result<Option<u64>, IndexError> {
    let blocks = transaction.open_table(BLOCKS)?;
    let first = blocks.first()?;
    Ok(first.map(|(height, _)| height.value()))
}

fn decode_block(height: u64, bytes: &[u8]) -> Result<Block, IndexError> {
    Block::from_bytes(bytes).map_err(|error: BlockDecodeError| IndexError::Damaged {
        height,
        reason: error.to_string(),
    })
}

fn damaged(height: u64, error: &DecodeError) -> IndexError {
    IndexError::Damaged {
        height,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
