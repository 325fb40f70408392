//! Answers on disk: those whose records are on their way to the chain, and those that settled.
//!
//! An answer is written here before its client sees it, so a gateway that dies and comes back
//! still owes, and still delivers, the receipt. The disk is waited for once for all changes that came while it was busy.

mod group;

use crate::config::MAX_PENDING;
use group::Group;
use og_types::{Canonical as _, DecodeError, JobResult, Receipt, RequestId};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, WriteTransaction,
};
use std::{path::Path, sync::Arc};

/// Request id to the canonical bytes of a [`JobResult`].
const PENDING: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("pending");
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

/// What is known about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Answered; its record is not final yet.
    Pending,
    /// Its record is final: the canonical bytes of the [`Receipt`].
    Final(Vec<u8>),
    /// Its record will never be final, for this reason.
    Failed(String),
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The request id is already taken.
    #[error("request {0} was already answered: choose another request id")]
    Duplicate(RequestId),
    /// Too many answers wait for their records to become final.
    #[error("{MAX_PENDING} answers wait for the chain: try again when it has caught up")]
    Full,
    /// What is on disk is not what was written there.
    #[error("the gateway's database is damaged at request {0}: {1}")]
    Damaged(RequestId, DecodeError),
    /// The database failed.
    #[error("the gateway's database failed")]
    Database(#[source] Arc<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Arc::new(error.into()))
    }
}

/// The gateway's database. Every change is on disk when the method that makes it returns.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    retained_bytes: u64,
    changes: Group<Change>,
}

/// A change that waits to be written.
#[derive(Debug)]
enum Change {
    /// An answer whose record has yet to become final.
    Add(RequestId, Vec<u8>),
    /// What became of one: tag, and the receipt's bytes or the reason.
    Close(RequestId, u8, Vec<u8>),
}

impl Store {
    /// Opens the database at `path`, creating it where there is none. `retained_bytes` bounds what
    /// is kept of settled answers.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the file cannot be created, is in use or is no database.
    pub(crate) fn open(path: &Path, retained_bytes: u64) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(PENDING)?;
        transaction.open_table(SETTLED)?;
        transaction.open_table(ORDER)?;
        transaction.open_table(STORED_BYTES)?;
        transaction.commit()?;
        Ok(Self {
            database,
            retained_bytes,
            changes: Group::default(),
        })
    }

    /// Stores an answer whose record has yet to become final.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] if the request id is known, [`StoreError::Full`] if too many
    /// answers are pending, [`StoreError::Database`].
    pub(crate) fn add_pending(&self, result: &JobResult) -> Result<(), StoreError> {
        let id = result.record.record.request_id;
        self.write(Change::Add(id, result.to_bytes()))
    }

    /// Writes a change, with all others that wait at this time.
    fn write(&self, change: Change) -> Result<(), StoreError> {
        let outcome = self.changes.run(change, |changes| {
            let transaction = self.database.begin_write()?;
            let outcomes = changes
                .iter()
                .map(|change| match self.apply(&transaction, change) {
                    // One change is at fault, not the disk.
                    Err(error @ (StoreError::Duplicate(_) | StoreError::Full)) => Ok(Err(error)),
                    Err(error) => Err(error),
                    Ok(()) => Ok(Ok(())),
                })
                .collect::<Result<Vec<_>, StoreError>>()?;
            transaction.commit()?;
            Ok(outcomes)
        });
        // There is none only if the thread that wrote has panicked.
        outcome.unwrap_or_else(|| Err(redb::Error::PreviousIo.into()))
    }

    fn apply(&self, transaction: &WriteTransaction, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Add(id, result) => {
                let mut pending = transaction.open_table(PENDING)?;
                let settled = transaction.open_table(SETTLED)?;
                if pending.get(id.0)?.is_some() || settled.get(id.0)?.is_some() {
                    return Err(StoreError::Duplicate(*id));
                }
                if pending.len()? >= MAX_PENDING {
                    return Err(StoreError::Full);
                }
                pending.insert(id.0, result.as_slice())?;
                Ok(())
            }
            Change::Close(id, tag, bytes) => {
                if transaction.open_table(PENDING)?.remove(id.0)?.is_some() {
                    transaction
                        .open_table(SETTLED)?
                        .insert(id.0, (*tag, bytes.as_slice()))?;
                    self.retain(transaction, id, bytes.len() as u64)?;
                }
                Ok(())
            }
        }
    }

    /// The request ids whose records are not final yet, at most [`MAX_PENDING`].
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn pending_ids(&self) -> Result<Vec<RequestId>, StoreError> {
        let pending = self.database.begin_read()?.open_table(PENDING)?;
        let mut ids = Vec::new();
        for entry in pending.iter()? {
            ids.push(RequestId(entry?.0.value()));
        }
        Ok(ids)
    }

    /// Checks that something could be written; it is not after the disk has failed once.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        Ok(self.database.begin_write()?.abort()?)
    }

    /// Number of answers whose records are not final yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn pending_count(&self) -> Result<u64, StoreError> {
        Ok(self.database.begin_read()?.open_table(PENDING)?.len()?)
    }

    /// A pending answer, or `None` if it is not pending.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Database`].
    pub(crate) fn pending(&self, id: &RequestId) -> Result<Option<JobResult>, StoreError> {
        let pending = self.database.begin_read()?.open_table(PENDING)?;
        let Some(bytes) = pending.get(id.0)? else {
            return Ok(None);
        };
        JobResult::from_bytes(bytes.value())
            .map(Some)
            .map_err(|error| StoreError::Damaged(*id, error))
    }

    /// Stores a pending answer's receipt and forgets the oldest ones that no longer fit.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn settle(&self, id: &RequestId, receipt: &Receipt) -> Result<(), StoreError> {
        self.write(Change::Close(*id, TAG_FINAL, receipt.to_bytes()))
    }

    /// Stores why a pending answer's record will never be final.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn fail(&self, id: &RequestId, reason: &str) -> Result<(), StoreError> {
        self.write(Change::Close(*id, TAG_FAILED, reason.as_bytes().to_vec()))
    }

    /// Appends `id` to the order of settling and drops the oldest answers that no longer fit.
    /// The newest is kept in any case.
    fn retain(
        &self,
        transaction: &WriteTransaction,
        id: &RequestId,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut settled = transaction.open_table(SETTLED)?;
        let mut order = transaction.open_table(ORDER)?;
        let mut stored_bytes = transaction.open_table(STORED_BYTES)?;
        let mut total = stored_bytes.get(())?.map_or(0, |row| row.value()) + bytes;
        while total > self.retained_bytes {
            let Some((oldest, size)) = order.pop_first()?.map(|(_, row)| row.value()) else {
                break;
            };
            settled.remove(oldest)?;
            total = total.saturating_sub(size);
        }
        let next = order
            .last()?
            .map_or(0, |(sequence, _)| sequence.value() + 1);
        order.insert(next, (id.0, bytes))?;
        stored_bytes.insert((), total)?;
        Ok(())
    }

    /// What is known about a request, or `None` if nothing is, or nothing any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn answer(&self, id: &RequestId) -> Result<Option<Answer>, StoreError> {
        let transaction = self.database.begin_read()?;
        if let Some(row) = transaction.open_table(SETTLED)?.get(id.0)? {
            let (tag, bytes) = row.value();
            return Ok(Some(match tag {
                TAG_FINAL => Answer::Final(bytes.to_vec()),
                _ => Answer::Failed(String::from_utf8_lossy(bytes).into_owned()),
            }));
        }
        let pending = transaction.open_table(PENDING)?.get(id.0)?.is_some();
        Ok(pending.then_some(Answer::Pending))
    }
}

#[cfg(test)]
mod tests;
