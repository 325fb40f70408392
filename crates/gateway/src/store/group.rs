//! Work that is done for all who came while it was done for others: the disk is waited for once.

use super::StoreError;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Where a piece of work finds what came of it.
type Outcome = Arc<OnceLock<Result<(), StoreError>>>;

/// Work of one kind, by many threads.
#[derive(Debug)]
pub(super) struct Group<W> {
    waiting: Mutex<Vec<(W, Outcome)>>,
    /// Held by who works for all.
    working: Mutex<()>,
}

impl<W> Default for Group<W> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            working: Mutex::default(),
        }
    }
}

impl<W> Group<W> {
    /// What came of `work`, which `all` does together with what else waits: it gives one outcome for each, in order, or an error
    /// that holds for all. Blocks. `None` if the thread that worked has panicked.
    pub(super) fn run(
        &self,
        work: W,
        all: impl FnOnce(&[W]) -> Result<Vec<Result<(), StoreError>>, StoreError>,
    ) -> Option<Result<(), StoreError>> {
        let outcome = Outcome::default();
        locked(&self.waiting).push((work, outcome.clone()));
        let working = locked(&self.working);
        if outcome.get().is_none() {
            let batch = std::mem::take(&mut *locked(&self.waiting));
            let (works, places): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            match all(&works) {
                Ok(outcomes) => {
                    for (place, outcome) in places.iter().zip(outcomes) {
                        // Nobody else sets it.
                        let _ = place.set(outcome);
                    }
                }
                Err(error) => {
                    for place in &places {
                        let _ = place.set(Err(error.clone()));
                    }
                }
            }
        }
        drop(working);
        outcome.get().cloned()
    }
}

/// A lock whose contents are valid after a panic: each change is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
