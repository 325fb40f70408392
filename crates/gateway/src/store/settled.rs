//! The database of answers that settled: receipts, and reasons why there will be none. The oldest go first.

use super::{Answer, Outcome, StoreError};
use og_types::{Canonical as _, RequestId};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use std::path::Path;

/// Request id to what became of it: a tag, then a receipt's canonical bytes or a reason.
const SETTLED: TableDefinition<'_, [u8; 32], (u8, &[u8])> = TableDefinition::new("settled");
/// Order in which answers settled: sequence number to request id and bytes stored for it.
const ORDER: TableDefinition<'_, u64, ([u8; 32], u64)> = TableDefinition::new("order");
/// The one row holds the sum of the bytes in [`ORDER`].
const STORED_BYTES: TableDefinition<'_, (), u64> = TableDefinition::new("stored_bytes");

/// Bytes of memory in which the database keeps what was read.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

const TAG_FINAL: u8 = 0;
const TAG_FAILED: u8 = 1;

/// The database. Every change is on disk when the method that makes it returns.
#[derive(Debug)]
pub(super) struct Settled {
    database: Database,
    retained_bytes: u64,
}

impl Settled {
    pub(super) fn open(path: &Path, retained_bytes: u64) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(SETTLED)?;
        transaction.open_table(ORDER)?;
        transaction.open_table(STORED_BYTES)?;
        transaction.commit()?;
        Ok(Self {
            database,
            retained_bytes,
        })
    }

    /// Stores outcomes in one transaction.
    pub(super) fn add(&self, outcomes: &[(RequestId, Outcome)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        self.insert(&transaction, outcomes)?;
        Ok(transaction.commit()?)
    }

    /// Inserts outcomes and drops the oldest that no longer fit. The newest is kept in any case.
    fn insert(
        &self,
        transaction: &WriteTransaction,
        outcomes: &[(RequestId, Outcome)],
    ) -> Result<(), StoreError> {
        let mut settled = transaction.open_table(SETTLED)?;
        let mut order = transaction.open_table(ORDER)?;
        let mut stored_bytes = transaction.open_table(STORED_BYTES)?;
        let mut total = stored_bytes.get(())?.map_or(0, |row| row.value());
        let first = order
            .last()?
            .map_or(0, |(sequence, _)| sequence.value() + 1);
        for (place, (id, outcome)) in (first..).zip(outcomes) {
            let (tag, bytes) = match outcome {
                Outcome::Final(receipt) => (TAG_FINAL, receipt.to_bytes()),
                Outcome::Failed(reason) => (TAG_FAILED, reason.clone().into_bytes()),
            };
            let size = bytes.len() as u64;
            total += size;
            while total > self.retained_bytes {
                let Some((oldest, size)) = order.pop_first()?.map(|(_, row)| row.value()) else {
                    break;
                };
                settled.remove(oldest)?;
                total = total.saturating_sub(size);
            }
            settled.insert(id.0, (tag, bytes.as_slice()))?;
            order.insert(place, (id.0, size))?;
        }
        stored_bytes.insert((), total)?;
        Ok(())
    }

    /// Checks that something could be written; it is not after the disk has failed once.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        Ok(self.database.begin_write()?.abort()?)
    }

    /// What became of a request, or `None` if nothing did, or is not known any more.
    pub(super) fn answer(&self, id: &RequestId) -> Result<Option<Answer>, StoreError> {
        let transaction = self.database.begin_read()?;
        let settled = transaction.open_table(SETTLED)?;
        let Some(row) = settled.get(id.0)? else {
            return Ok(None);
        };
        let (tag, bytes) = row.value();
        Ok(Some(match tag {
            TAG_FINAL => Answer::Final(bytes.to_vec()),
            _ => Answer::Failed(String::from_utf8_lossy(bytes).into_owned()),
        }))
    }
}
