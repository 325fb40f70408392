//! Reading the database: keys by themselves, and proofs of what they have.

use crate::database::{Databases, stored_key};
use alloy_primitives::B256;
use bytes::Bytes;
use commonware_codec::Encode as _;
use commonware_runtime::Spawner;
use commonware_storage::{Context, mmr, qmdb};
use og_chain::state::{Key, Value};
use og_types::StateEntry;

/// A failure of the database, not of the block.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database failed; the node must stop and be restarted.
    #[error("the state database failed: {0}; restart the node")]
    Database(#[from] qmdb::Error<mmr::Family>),
    /// A value is not of the form that its key demands; the node must stop.
    #[error(transparent)]
    Corrupt(#[from] og_chain::StateError),
    /// No thread could be started; the node must stop and be restarted.
    #[error(
        "no thread to execute blocks on: {0}; raise the limit of threads, then restart the node"
    )]
    Thread(#[from] std::io::Error),
    /// A function gave up on a key that was not read for it.
    #[error("a read of the state was not answered")]
    Unanswered,
}

/// Reads `keys` from the latest finalized state.
///
/// # Errors
/// [`StateError::Database`].
pub async fn read_latest<E: Context + Spawner>(
    databases: &Databases<E>,
    keys: &[Key],
) -> Result<Vec<Option<Value>>, StateError> {
    let stored: Vec<_> = keys.iter().map(stored_key).collect();
    let references: Vec<_> = stored.iter().collect();
    Ok(owned(databases.read().await.get_many(&references).await?))
}

/// Copies of `values`: what the database gives holds on to the whole pages that it was read with.
pub(crate) fn owned(values: Vec<Option<Bytes>>) -> Vec<Option<Value>> {
    let copy = |value: Bytes| Value::copy_from_slice(&value);
    values.into_iter().map(|value| value.map(copy)).collect()
}

/// Proves what `keys` have in the latest finalized state, each as a [`StateEntry`]; the root to which the proofs lead.
///
/// # Errors
/// [`StateError::Database`].
pub async fn prove_latest<E: Context + Spawner>(
    databases: &Databases<E>,
    keys: &[Key],
) -> Result<(B256, Vec<StateEntry>), StateError> {
    let database = databases.read().await;
    let mut entries = Vec::with_capacity(keys.len());
    for key in keys {
        let stored = stored_key(key);
        let value = database.get(&stored).await?;
        let proof = match &value {
            Some(_) => database.key_value_proof(stored).await?.encode(),
            None => database.exclusion_proof(&stored).await?.encode(),
        };
        entries.push(StateEntry {
            key: key.0,
            value: value.map(Value::from),
            proof: proof.into(),
        });
    }
    Ok((database.root().0.into(), entries))
}
