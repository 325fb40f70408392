//! What is known of the state after the last block that ran here, so that the next one need not ask the database for it.
//!
//! A block waits for each key that nobody has read before. Accounts, code and storage that are used often are here, and
//! what is here is the state itself, so results do not depend on it.

use og_chain::{Writes, state::Cache};
use og_types::BlockHash;
use parking_lot::Mutex;
use std::sync::Arc;

/// Most bytes that are kept from one block to the next, about; beyond, what has been known longest is forgotten.
const MAX_BYTES: usize = 64 << 20;

/// The known part of the state after one block.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarmState(Arc<Mutex<Option<(BlockHash, Cache)>>>);

impl WarmState {
    /// What is known of the state after `block`: nothing, if another block ran since.
    pub(crate) fn take(&self, block: &BlockHash) -> Cache {
        let mut kept = self.0.lock();
        match kept.take() {
            Some((of, cache)) if of == *block => cache,
            other => {
                *kept = other;
                Cache::default()
            }
        }
    }

    /// Keeps what is known of the state that `writes` make of that in `cache`, which is the state after `block`.
    pub(crate) fn keep(&self, block: BlockHash, mut cache: Cache, writes: Writes) {
        for (key, value) in writes {
            cache.insert(key, value);
        }
        cache.shrink(MAX_BYTES);
        *self.0.lock() = Some((block, cache));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use og_chain::state::{Key, Source as _};

    #[test]
    fn what_is_kept_is_the_state_after_its_block_and_no_other() {
        let (key, other) = (Key::block_hash(1), Key::block_hash(2));
        let (one, two) = (BlockHash([1; 32]), BlockHash([2; 32]));
        let warm = WarmState::default();
        let mut before = Cache::default();
        before.insert(key, Some(vec![1].into()));
        before.insert(other, None);
        warm.keep(one, before, vec![(key, Some(vec![2].into()))]);
        assert!(warm.take(&two).is_empty());
        let after = warm.take(&one);
        assert_eq!(after.read(&key), Some(Some(vec![2].into())));
        assert_eq!(after.read(&other), Some(None));
        assert!(warm.take(&one).is_empty(), "it was taken");
    }

    #[test]
    fn of_too_much_the_newest_is_kept() {
        let (old, new) = (Key::block_hash(1), Key::block_hash(2));
        let warm = WarmState::default();
        let block = BlockHash::default();
        let mut before = Cache::default();
        before.insert(old, Some(vec![0; MAX_BYTES / 2].into()));
        let writes = vec![(new, Some(vec![0; MAX_BYTES / 2].into()))];
        warm.keep(block, before, writes);
        let after = warm.take(&block);
        assert!(!after.knows(&old));
        assert!(after.knows(&new));
        assert!(after.size_bytes() <= MAX_BYTES);
    }
}
