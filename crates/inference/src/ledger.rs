//! The request ids that this node has signed records for, for as long as it matters.
//!
//! Two records of one node for one request id are a fault if both could be admitted. So an id is noted here before its record is
//! signed, and is forgotten only when the record's validity window is over and no window of a later record can reach back into it.
//!
//! Nobody waits for the disk. What is noted survives the process; if the machine goes down, the newest ids may be lost, so after that
//! nothing is signed until the records that may have been signed for them are no longer valid. The journal says until when, so that
//! starting the node again does not end that earlier.

use crate::worker::{RECORD_LIFETIME_MS, RECORD_SLACK_MS};
use og_journal::{Ended, Journal, JournalError, Limits, Place};
use og_types::RequestId;
use parking_lot::Mutex;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    path::Path,
};

/// Most request ids remembered at once; a node that signs more in a window refuses jobs. Each takes some 120 bytes of memory.
pub const MAX_REMEMBERED_REQUESTS: usize = 2_000_000;
/// Most ids forgotten with one new one, so that no job pays for a long pause.
const MAX_FORGOTTEN_AT_ONCE: usize = 64;
/// Most bytes of an entry: an id, and the time from which it may be forgotten.
const ENTRY_BYTES: u32 = 40;
/// How long records can be valid that were signed before the machine went down, and reach back that are signed after.
const QUIET_MS: u64 = RECORD_LIFETIME_MS + RECORD_SLACK_MS;
const LIMITS: Limits = Limits {
    entry_bytes: ENTRY_BYTES,
    segment_bytes: 4 << 20,
};

/// Why a request id could not be taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// A record for it was signed already.
    #[error("request id {0} was answered already: choose a new one at random")]
    Used(RequestId),
    /// As many ids are remembered as may be.
    #[error("{MAX_REMEMBERED_REQUESTS} requests were answered within minutes: try again later")]
    Full,
    /// The machine went down, and with it perhaps ids whose records are still valid.
    #[error("the machine went down without warning: this node signs again in {} s", left_ms.div_ceil(1000))]
    Quiet {
        /// Milliseconds until it does.
        left_ms: u64,
    },
    /// An entry is none of a ledger.
    #[error("an entry of {0} bytes, which is none of a ledger: restore the folder from a copy")]
    Foreign(usize),
    /// The disk failed.
    #[error("the ledger of signed requests failed: {0}")]
    Journal(JournalError),
}

impl From<JournalError> for LedgerError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Remembers which request ids were used.
#[derive(Debug)]
pub struct Ledger {
    journal: Journal,
    maximum: usize,
    /// Unix milliseconds before which nothing is signed.
    quiet_until_ms: u64,
    used: Mutex<Used>,
}

/// The ids, and the order in which they are forgotten.
#[derive(Debug, Default)]
struct Used {
    ids: HashSet<RequestId>,
    by_time: BinaryHeap<Reverse<(u64, Entry, Place)>>,
}

/// What an entry of the journal says, beside a time in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    /// The id is used, and may be forgotten from then on.
    Used(RequestId),
    /// Nothing is signed before.
    Quiet,
}

impl Used {
    fn add(&mut self, entry: Entry, time_ms: u64, place: Place) {
        if let Entry::Used(id) = entry {
            self.ids.insert(id);
        }
        self.by_time.push(Reverse((time_ms, entry, place)));
    }
}

impl Ledger {
    /// Opens the ledger in the folder `path`, or makes an empty one. One process at a time may.
    ///
    /// If the machine went down since its last use, nothing is signed for six minutes from `now_ms` on, Unix milliseconds.
    ///
    /// # Errors
    /// [`LedgerError`] if the folder's files are not a ledger, are in use elsewhere or cannot be made.
    pub fn open(path: &Path, now_ms: u64) -> Result<Self, LedgerError> {
        Self::with_maximum(path, now_ms, MAX_REMEMBERED_REQUESTS)
    }

    fn with_maximum(path: &Path, now_ms: u64, maximum: usize) -> Result<Self, LedgerError> {
        let mut used = Used::default();
        let mut foreign = None;
        let mut quiet_until_ms = 0;
        let (journal, ended) = Journal::open(path, LIMITS, |place, bytes| match read(bytes) {
            Some((entry, time_ms)) => {
                used.add(entry, time_ms, place);
                if entry == Entry::Quiet {
                    quiet_until_ms = quiet_until_ms.max(time_ms);
                }
            }
            None => foreign = Some(bytes.len()),
        })?;
        if let Some(bytes) = foreign {
            return Err(LedgerError::Foreign(bytes));
        }
        if ended == Ended::MachineDied {
            quiet_until_ms = now_ms.saturating_add(QUIET_MS);
            let place = journal.append(&quiet_until_ms.to_le_bytes())?;
            used.add(Entry::Quiet, quiet_until_ms, place);
        }
        Ok(Self {
            journal,
            maximum,
            quiet_until_ms,
            used: Mutex::new(used),
        })
    }

    /// Checks that ids can be taken at `now_ms`, as far as the last one tells.
    ///
    /// # Errors
    /// [`LedgerError::Quiet`], [`LedgerError::Journal`].
    pub fn check(&self, now_ms: u64) -> Result<(), LedgerError> {
        self.check_quiet(now_ms)?;
        Ok(self.journal.check()?)
    }

    fn check_quiet(&self, now_ms: u64) -> Result<(), LedgerError> {
        match self.quiet_until_ms.checked_sub(now_ms) {
            None | Some(0) => Ok(()),
            Some(left_ms) => Err(LedgerError::Quiet { left_ms }),
        }
    }

    /// Checks that the id could be taken at `now_ms`.
    ///
    /// # Errors
    /// [`LedgerError::Used`], [`LedgerError::Quiet`].
    pub fn check_free(&self, id: &RequestId, now_ms: u64) -> Result<(), LedgerError> {
        self.check_quiet(now_ms)?;
        match self.used.lock().ids.contains(id) {
            true => Err(LedgerError::Used(*id)),
            false => Ok(()),
        }
    }

    /// Takes an id: once this returns, no other call gets it before `forget_from_ms`, also of a later process. Times are Unix
    /// milliseconds.
    ///
    /// # Errors
    /// [`LedgerError::Used`] if it was taken before; the others leave it free.
    pub fn take(
        &self,
        id: &RequestId,
        now_ms: u64,
        forget_from_ms: u64,
    ) -> Result<(), LedgerError> {
        self.check_quiet(now_ms)?;
        let mut used = self.used.lock();
        for _ in 0..MAX_FORGOTTEN_AT_ONCE {
            let oldest = used.by_time.peek();
            let Some(Reverse((_, entry, place))) =
                oldest.filter(|oldest| oldest.0.0 < now_ms).copied()
            else {
                break;
            };
            used.by_time.pop();
            if let Entry::Used(id) = entry {
                used.ids.remove(&id);
            }
            self.journal.forget(place);
        }
        if used.ids.contains(id) {
            return Err(LedgerError::Used(*id));
        }
        if used.ids.len() >= self.maximum {
            return Err(LedgerError::Full);
        }
        let entry = [&id.0[..], &forget_from_ms.to_le_bytes()].concat();
        let place = self.journal.append(&entry)?;
        used.add(Entry::Used(*id), forget_from_ms, place);
        Ok(())
    }
}

/// What an entry's bytes say: their last eight are the time, and what stands before is an id or nothing.
fn read(bytes: &[u8]) -> Option<(Entry, u64)> {
    let (id, time) = bytes.split_last_chunk::<8>()?;
    let entry = match id {
        [] => Entry::Quiet,
        id => Entry::Used(RequestId(id.try_into().ok()?)),
    };
    Some((entry, u64::from_le_bytes(*time)))
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
        let ledger = Ledger::open(&path, 0).unwrap();
        ledger.check_free(&id(1), 0).unwrap();
        ledger.take(&id(1), 1000, 2000).unwrap();
        ledger.check_free(&id(1), 0).unwrap_err();
        drop(ledger);
        let ledger = Ledger::open(&path, 0).unwrap();
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
        let ledger = Ledger::with_maximum(&directory.path().join("ledger"), 0, 2).unwrap();
        ledger.take(&id(1), 0, 10).unwrap();
        ledger.take(&id(2), 0, 20).unwrap();
        assert!(matches!(
            ledger.take(&id(3), 10, 30),
            Err(LedgerError::Full)
        ));
        ledger.take(&id(3), 11, 30).unwrap();
        ledger.check_free(&id(2), 0).unwrap_err();
        ledger.check_free(&id(1), 0).unwrap();
    }

    #[test]
    fn many_threads_get_an_id_once() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&directory.path().join("ledger"), 0).unwrap();
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
        let ledger = Ledger::with_maximum(&path, 0, 41).unwrap();
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
        let ledger = Ledger::open(&path, 0).unwrap();
        assert!(
            (1..=64)
                .step_by(2)
                .all(|number| ledger.check_free(&id(number), 0).is_err())
        );
    }

    #[test]
    fn after_the_machine_went_down_nothing_is_signed_that_could_be_a_second_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let ledger = Ledger::open(&path, 0).unwrap();
        ledger.take(&id(1), 0, 10).unwrap();
        drop(ledger);
        std::fs::write(path.join("state"), "an earlier start of the machine").unwrap();
        let ledger = Ledger::open(&path, 500).unwrap();
        for now_ms in [500, 499 + QUIET_MS] {
            let error = ledger.check_free(&id(2), now_ms).unwrap_err();
            assert!(
                matches!(error, LedgerError::Quiet { left_ms } if left_ms == 500 + QUIET_MS - now_ms)
            );
            let error = ledger.take(&id(2), now_ms, 9000).unwrap_err();
            assert!(matches!(error, LedgerError::Quiet { .. }), "{error}");
        }
        // Starting the node again changes nothing, however it ended.
        drop(ledger);
        let ledger = Ledger::open(&path, 600).unwrap();
        let error = ledger.take(&id(2), 499 + QUIET_MS, 9000).unwrap_err();
        assert!(
            matches!(error, LedgerError::Quiet { left_ms: 1 }),
            "{error}"
        );
        ledger.take(&id(2), 500 + QUIET_MS, QUIET_MS * 4).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&path, QUIET_MS * 2).unwrap();
        ledger.check(QUIET_MS * 2).unwrap();
        ledger.check_free(&id(2), QUIET_MS * 2).unwrap_err();
    }

    #[test]
    fn a_folder_that_is_no_ledger_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let (journal, _) = Journal::open(&path, LIMITS, |_, _| ()).unwrap();
        journal.append(b"something else").unwrap();
        drop(journal);
        let error = Ledger::open(&path, 0).unwrap_err();
        assert!(matches!(error, LedgerError::Foreign(14)), "{error}");
    }
}
