//! Answers: those whose records are on their way to the chain, and those that settled.
//!
//! An answer is in a journal before its client sees it, so a gateway whose process dies and comes back still owes, and still
//! delivers, the receipt. Nobody waits for the disk; a machine that goes down may lose the receipts of its last moments, whose
//! signed records their clients have. What settled is in a database.

mod settled;

use crate::config::{MAX_PENDING, MAX_PENDING_BYTES};
use og_journal::{Ended, Journal, JournalError, Limits, Place};
use og_types::{Canonical as _, DecodeError, JobResult, Receipt, RequestId};
use parking_lot::Mutex;
use settled::Settled;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Of the journal of pending answers.
const LIMITS: Limits = Limits {
    entry_bytes: JobResult::MAX_BYTES as u32,
    segment_bytes: 64 << 20,
};

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

/// What became of a pending answer.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Its record is final.
    Final(Box<Receipt>),
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
    #[error(
        "{MAX_PENDING} answers wait for the chain, or very large ones: try again when it has caught up"
    )]
    Full,
    /// What is on disk is not what was written there.
    #[error("an answer in the gateway's journal cannot be read: restore the folder from a copy")]
    Damaged(#[source] DecodeError),
    /// The journal of answers failed.
    #[error("the gateway's journal failed")]
    Journal(#[source] JournalError),
    /// The database failed.
    #[error("the gateway's database failed")]
    Database(#[source] Arc<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Arc::new(error.into()))
    }
}

/// The answers of a gateway.
#[derive(Debug)]
pub(crate) struct Store {
    journal: Journal,
    pending: Mutex<Pending>,
    settled: Settled,
}

/// Answers whose records are not final yet.
#[derive(Debug, Default)]
struct Pending {
    places: BTreeMap<RequestId, Place>,
    bytes: u64,
}

impl Pending {
    fn add(&mut self, id: RequestId, place: Place) {
        self.bytes += u64::from(place.length());
        self.places.insert(id, place);
    }

    fn remove(&mut self, id: &RequestId) -> Option<Place> {
        let place = self.places.remove(id)?;
        self.bytes = self.bytes.saturating_sub(place.length().into());
        Some(place)
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.places.len() < MAX_PENDING
            && self.bytes.saturating_add(bytes as u64) <= MAX_PENDING_BYTES
    }
}

impl Store {
    /// Opens the store in the folder `data`, making what is not there. `retained_bytes` bounds what is kept of settled answers.
    ///
    /// # Errors
    /// [`StoreError`] if its files cannot be created, are in use or are not those of a store.
    pub(crate) fn open(data: &Path, retained_bytes: u64) -> Result<Self, StoreError> {
        let settled = Settled::open(&data.join("gateway.redb"), retained_bytes)?;
        let mut read = vec![];
        let (journal, ended) = Journal::open(&data.join("answers"), LIMITS, |place, bytes| {
            read.push((place, request_id(bytes)));
        })
        .map_err(StoreError::Journal)?;
        if ended == Ended::MachineDied {
            tracing::warn!(
                "the machine went down without warning: receipts of its last moments may be missing"
            );
        }
        let mut pending = Pending::default();
        for (place, id) in read {
            let id = id.map_err(StoreError::Damaged)?;
            match settled.answer(&id)? {
                None => pending.add(id, place),
                // It settled, and the file that it is in has others that have not.
                Some(_) => journal.forget(place),
            }
        }
        Ok(Self {
            journal,
            pending: Mutex::new(pending),
            settled,
        })
    }

    /// Stores an answer whose record has yet to become final. Its request id was drawn at random, or was found to be
    /// [unknown](Self::answer). Waits for no disk: what is written goes to the system's memory.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] if such an answer is pending, [`StoreError::Full`] if too many are,
    /// [`StoreError::Journal`].
    pub(crate) fn add_pending(&self, result: &JobResult) -> Result<(), StoreError> {
        let id = result.record.record.request_id;
        let bytes = result.to_bytes();
        let mut pending = self.pending.lock();
        if pending.places.contains_key(&id) {
            return Err(StoreError::Duplicate(id));
        }
        if !pending.has_room_for(bytes.len()) {
            return Err(StoreError::Full);
        }
        let place = self.journal.append(&bytes).map_err(StoreError::Journal)?;
        pending.add(id, place);
        Ok(())
    }

    /// The request ids whose records are not final yet, at most [`MAX_PENDING`].
    pub(crate) fn pending_ids(&self) -> Vec<RequestId> {
        self.pending.lock().places.keys().copied().collect()
    }

    /// Number of answers whose records are not final yet.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.lock().places.len()
    }

    /// A pending answer, or `None` if it is not pending.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Journal`].
    pub(crate) fn pending(&self, id: &RequestId) -> Result<Option<JobResult>, StoreError> {
        let Some(place) = self.pending.lock().places.get(id).copied() else {
            return Ok(None);
        };
        let bytes = self.journal.read(place).map_err(StoreError::Journal)?;
        JobResult::from_bytes(&bytes)
            .map(Some)
            .map_err(StoreError::Damaged)
    }

    /// Stores what became of pending answers, all with one wait for the disk, and forgets the oldest that no longer fit.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then all are pending still.
    pub(crate) fn close(&self, outcomes: Vec<(RequestId, Outcome)>) -> Result<(), StoreError> {
        let is_pending = |id: &RequestId| self.pending.lock().places.contains_key(id);
        let outcomes: Vec<_> = outcomes
            .into_iter()
            .filter(|(id, _)| is_pending(id))
            .collect();
        self.settled.add(&outcomes)?;
        for (id, _) in &outcomes {
            let place = self.pending.lock().remove(id);
            if let Some(place) = place {
                self.journal.forget(place);
            }
        }
        Ok(())
    }

    /// Checks that something could be written, as far as the last writing tells.
    ///
    /// # Errors
    /// [`StoreError::Journal`], [`StoreError::Database`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.journal.check().map_err(StoreError::Journal)?;
        self.settled.check()
    }

    /// What is known about a request, or `None` if nothing is, or nothing any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn answer(&self, id: &RequestId) -> Result<Option<Answer>, StoreError> {
        // In the order in which it is stored.
        if self.pending.lock().places.contains_key(id) {
            return Ok(Some(Answer::Pending));
        }
        self.settled.answer(id)
    }
}

/// The request that an entry of the journal answers.
fn request_id(entry: &[u8]) -> Result<RequestId, DecodeError> {
    let result = JobResult::from_bytes(entry)?;
    Ok(result.record.record.request_id)
}

#[cfg(test)]
mod tests;
