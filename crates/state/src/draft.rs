//! The state that a block builds on, while it is read and until what the block writes is sealed.

use crate::{
    access::{StateError, owned},
    database::{Batch, Merkleized, StagedBatch, stored_key},
};
use bytes::Bytes;
use commonware_runtime::Spawner;
use commonware_storage::{Context, qmdb::current::batch::Slot};
use og_chain::state::{Key, Value};
use std::collections::HashMap;

/// A batch that remembers where in the log it has found what was read, so that to write it does not read it again.
pub struct Draft<E: Context + Spawner> {
    staged: StagedBatch<E>,
    /// The place among the staged reads of each key that was read; its order is never looked at.
    places: HashMap<Key, usize>,
}

impl<E: Context + Spawner> std::fmt::Debug for Draft<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").finish_non_exhaustive()
    }
}

impl<E: Context + Spawner> Draft<E> {
    /// On the state that `batch` builds on.
    ///
    /// # Errors
    /// [`StateError::Database`].
    pub async fn new(batch: Batch<E>) -> Result<Self, StateError> {
        let (_, staged) = batch.stage(&[]).await?;
        Ok(Self {
            staged,
            places: HashMap::new(),
        })
    }

    /// Reads `keys`; their values come in the same order.
    ///
    /// # Errors
    /// [`StateError::Database`].
    pub async fn read(self, keys: &[Key]) -> Result<(Vec<Option<Value>>, Self), StateError> {
        let Self { staged, mut places } = self;
        let stored: Vec<_> = keys.iter().map(stored_key).collect();
        let references: Vec<_> = stored.iter().collect();
        let (range, values, staged) = staged.expand(&references).await?;
        places.extend(keys.iter().copied().zip(range));
        Ok((owned(values), Self { staged, places }))
    }

    /// Seals it with `writes`, which must name each key once. The result depends on them alone, not on what was read.
    ///
    /// # Errors
    /// [`StateError::Database`]: fatal, the node must stop.
    pub async fn merkleize(
        self,
        writes: &[(Key, Option<Value>)],
    ) -> Result<Merkleized<E>, StateError> {
        let Self { staged, places } = self;
        let mut slots: Vec<_> = (0..staged.len()).map(|_| Slot::Keep).collect();
        let mut others = Vec::new();
        for (key, value) in writes {
            let value = value.as_ref().map(|value| Bytes::copy_from_slice(value));
            match places.get(key).and_then(|place| slots.get_mut(*place)) {
                Some(slot) => *slot = value.map_or(Slot::Delete, Slot::Put),
                None => others.push((stored_key(key), value)),
            }
        }
        Ok(staged.merkleize(slots, others).await?)
    }
}
