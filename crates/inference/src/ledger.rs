//! The request ids that this node has signed records for, on disk, for as long as it matters.
//!
//! Two records of one node for one request id are a fault if both could be admitted. So an id is
//! written here, durably, before its record is signed, and is forgotten only when the record's
//! validity window is over and no window of a later record can reach back into it.

use og_types::RequestId;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// Request id → time from which it may be forgotten, Unix milliseconds.
const BY_ID: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("by_id");
/// (The same time, request id): the order in which ids are forgotten.
const BY_TIME: TableDefinition<'_, (u64, [u8; 32]), ()> = TableDefinition::new("by_time");

/// Most request ids remembered at once; a node that signs more in a window refuses jobs.
pub const MAX_REMEMBERED_REQUESTS: u64 = 1_000_000;
/// Most ids forgotten with one new one, so that no job pays for a long pause.
const MAX_FORGOTTEN_AT_ONCE: usize = 64;

/// Why a request id could not be taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// A record for it was signed already.
    #[error("request id {0} was answered already: choose a new one at random")]
    Used(RequestId),
    /// As many ids are remembered as may be.
    #[error("{MAX_REMEMBERED_REQUESTS} requests were answered within minutes: try again later")]
    Full,
    /// The database failed.
    #[error("the ledger of signed requests failed: {0}")]
    Database(Arc<redb::Error>),
}

impl From<redb::Error> for LedgerError {
    fn from(error: redb::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// Remembers which request ids were used.
#[derive(Debug)]
pub struct Ledger {
    database: Database,
    maximum: u64,
    /// Ids that the next write is to take.
    waiting: Mutex<Vec<Waiting>>,
    /// Held by who writes.
    writing: Mutex<()>,
}

/// An id to be taken, and where its taker finds the outcome.
#[derive(Debug)]
struct Waiting {
    id: RequestId,
    now_ms: u64,
    forget_from_ms: u64,
    outcome: Arc<OnceLock<Result<(), LedgerError>>>,
}

impl Ledger {
    /// Opens the ledger at `path`, or makes an empty one. One process at a time may.
    ///
    /// # Errors
    /// [`LedgerError::Database`] if the file is not a ledger, is open elsewhere or cannot be made.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::with_maximum(path, MAX_REMEMBERED_REQUESTS)
    }

    fn with_maximum(path: &Path, maximum: u64) -> Result<Self, LedgerError> {
        let database = Database::create(path).map_err(redb::Error::from)?;
        let write = database.begin_write().map_err(redb::Error::from)?;
        write.open_table(BY_ID).map_err(redb::Error::from)?;
        write.open_table(BY_TIME).map_err(redb::Error::from)?;
        write.commit().map_err(redb::Error::from)?;
        Ok(Self {
            database,
            maximum,
            waiting: Mutex::default(),
            writing: Mutex::default(),
        })
    }

    /// Checks that an id could be taken; none can after the disk has failed once.
    ///
    /// # Errors
    /// [`LedgerError::Database`] if the database fails.
    pub fn check(&self) -> Result<(), LedgerError> {
        let write = self.database.begin_write().map_err(redb::Error::from)?;
        Ok(write.abort().map_err(redb::Error::from)?)
    }

    /// Whether the id is remembered as used.
    ///
    /// # Errors
    /// [`LedgerError::Database`] if the database fails.
    pub fn is_used(&self, id: &RequestId) -> Result<bool, LedgerError> {
        let read = self.database.begin_read().map_err(redb::Error::from)?;
        let by_id = read.open_table(BY_ID).map_err(redb::Error::from)?;
        Ok(by_id.get(id.0).map_err(redb::Error::from)?.is_some())
    }

    /// Takes an id: once this returns, the id is on disk and no other call gets it before
    /// `forget_from_ms`. Times are Unix milliseconds.
    ///
    /// The disk is waited for once for all ids that came while it was busy: whoever is the first to
    /// write then writes for all of them.
    ///
    /// # Errors
    /// [`LedgerError::Used`] if it was taken before; the others leave it free.
    pub fn take(
        &self,
        id: &RequestId,
        now_ms: u64,
        forget_from_ms: u64,
    ) -> Result<(), LedgerError> {
        let outcome = Arc::new(OnceLock::new());
        locked(&self.waiting).push(Waiting {
            id: *id,
            now_ms,
            forget_from_ms,
            outcome: outcome.clone(),
        });
        let writing = locked(&self.writing);
        if outcome.get().is_none() {
            let batch = std::mem::take(&mut *locked(&self.waiting));
            let outcomes = self.take_all(&batch);
            for (index, waiting) in batch.iter().enumerate() {
                let outcome = match &outcomes {
                    Ok(outcomes) => outcomes.get(index).cloned().unwrap_or(Ok(())),
                    Err(error) => Err(error.clone()),
                };
                // Nobody else sets it.
                let _ = waiting.outcome.set(outcome);
            }
        }
        drop(writing);
        // There is none only if the thread that wrote has panicked.
        let lost = || Err(redb::Error::PreviousIo.into());
        outcome.get().cloned().unwrap_or_else(lost)
    }

    /// Takes ids in one write, each with its own outcome.
    fn take_all(&self, batch: &[Waiting]) -> Result<Vec<Result<(), LedgerError>>, LedgerError> {
        let write = self.database.begin_write().map_err(redb::Error::from)?;
        let outcomes = batch
            .iter()
            .map(|waiting| match self.take_one(&write, waiting) {
                // One id is at fault, not the disk.
                Err(error @ (LedgerError::Used(_) | LedgerError::Full)) => Ok(Err(error)),
                Err(error) => Err(error),
                Ok(()) => Ok(Ok(())),
            })
            .collect::<Result<_, _>>()?;
        write.commit().map_err(redb::Error::from)?;
        Ok(outcomes)
    }

    fn take_one(&self, write: &WriteTransaction, waiting: &Waiting) -> Result<(), LedgerError> {
        let mut by_id = write.open_table(BY_ID).map_err(redb::Error::from)?;
        let mut by_time = write.open_table(BY_TIME).map_err(redb::Error::from)?;
        let forgotten = by_time
            .range(..(waiting.now_ms, [0; 32]))
            .map_err(redb::Error::from)?
            .take(MAX_FORGOTTEN_AT_ONCE)
            .map(|entry| entry.map(|(key, _)| key.value()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(redb::Error::from)?;
        for key in forgotten {
            by_time.remove(key).map_err(redb::Error::from)?;
            by_id.remove(key.1).map_err(redb::Error::from)?;
        }
        let id = waiting.id.0;
        if by_id.get(id).map_err(redb::Error::from)?.is_some() {
            return Err(LedgerError::Used(waiting.id));
        }
        if redb::ReadableTableMetadata::len(&by_id).map_err(redb::Error::from)? >= self.maximum {
            return Err(LedgerError::Full);
        }
        let forget_from_ms = waiting.forget_from_ms;
        by_id
            .insert(id, forget_from_ms)
            .map_err(redb::Error::from)?;
        by_time
            .insert((forget_from_ms, id), ())
            .map_err(redb::Error::from)?;
        Ok(())
    }
}

/// A lock whose contents are valid after a panic: each change is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> RequestId {
        RequestId([number; 32])
    }

    #[test]
    fn an_id_is_taken_once_until_it_is_forgotten_also_across_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        assert!(!ledger.is_used(&id(1)).unwrap());
        ledger.take(&id(1), 1000, 2000).unwrap();
        assert!(ledger.is_used(&id(1)).unwrap());
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        for now_ms in [0, 1001, 2000] {
            let error = ledger.take(&id(1), now_ms, 9000).unwrap_err();
            assert!(matches!(error, LedgerError::Used(_)), "{now_ms}: {error}");
        }
        ledger.take(&id(1), 2001, 9000).unwrap();
        assert!(matches!(
            ledger.take(&id(1), 2002, 9000),
            Err(LedgerError::Used(_))
        ));
    }

    #[test]
    fn a_full_ledger_takes_no_more_until_time_passes() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::with_maximum(&directory.path().join("ledger"), 2).unwrap();
        ledger.take(&id(1), 0, 10).unwrap();
        ledger.take(&id(2), 0, 20).unwrap();
        assert!(matches!(
            ledger.take(&id(3), 10, 30),
            Err(LedgerError::Full)
        ));
        ledger.take(&id(3), 11, 30).unwrap();
        assert!(ledger.is_used(&id(2)).unwrap());
        assert!(!ledger.is_used(&id(1)).unwrap());
    }

    #[test]
    fn many_threads_get_an_id_once() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&directory.path().join("ledger")).unwrap();
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| ledger.take(&id(1), 0, 10).is_ok()))
                .collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results.filter(|taken| *taken).count()
        });
        assert_eq!(taken, 1);
    }

    #[test]
    fn ids_that_come_at_once_are_each_taken_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let ledger = Ledger::with_maximum(&path, 41).unwrap();
        ledger.take(&id(0), 0, 10).unwrap();
        // Of 64 threads each second one comes with an id that is used.
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=64)
                .map(|number| (number, (number % 2) * number))
                .map(|(number, id_number)| {
                    let ledger = &ledger;
                    (
                        number,
                        scope.spawn(move || ledger.take(&id(id_number), 0, 10)),
                    )
                })
                .collect();
            let mut taken = 0;
            for (number, thread) in threads {
                match thread.join().unwrap() {
                    Ok(()) => taken += u8::from(number % 2 == 1),
                    Err(error) => {
                        assert!(matches!(error, LedgerError::Used(_)), "{number}: {error}");
                        assert_eq!(number % 2, 0);
                    }
                }
            }
            taken
        });
        assert_eq!(taken, 32);
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert!(
            (1..=64)
                .step_by(2)
                .all(|number| ledger.is_used(&id(number)).unwrap())
        );
    }

    #[test]
    fn a_file_that_is_no_ledger_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        std::fs::write(&path, [7; 10_000]).unwrap();
        Ledger::open(&path).unwrap_err();
    }
}
