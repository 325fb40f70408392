//! Running the chain's pure functions against the database.
//!
//! Those functions read synchronously from a cache and name what they miss; the database reads
//! asynchronously. So: run, fetch what was missing, run again. The result depends on the state
//! alone, not on how often it ran.

use crate::database::{Batch, Databases, stored_key};
use alloy_primitives::B256;
use commonware_codec::Encode as _;
use commonware_runtime::Spawner;
use commonware_storage::{Context, mmr, qmdb};
use og_chain::state::{Attempt, Cache, Key, Value};
use og_types::StateEntry;

/// Rounds of fetching before giving up: more than any block can need, since each round adds a key.
const MAX_ROUNDS: usize = 100_000;

/// A failure of the database, not of the block.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database failed; the node must stop and be restarted.
    #[error("the state database failed: {0}; restart the node")]
    Database(#[from] qmdb::Error<mmr::Family>),
    /// A value is not of the form that its key demands; the node must stop.
    #[error(transparent)]
    Corrupt(#[from] og_chain::StateError),
    /// A function keeps asking for keys that it was given.
    #[error("execution asked for state {0} times without finishing")]
    Rounds(usize),
}

/// Reads `keys` from the state that `batch` builds on.
///
/// # Errors
/// [`StateError::Database`].
pub async fn read_many<E: Context + Spawner>(
    batch: &Batch<E>,
    keys: &[Key],
) -> Result<Vec<Option<Value>>, StateError> {
    let stored: Vec<_> = keys.iter().map(stored_key).collect();
    let references: Vec<_> = stored.iter().collect();
    let values = batch.get_many(&references).await?;
    Ok(values
        .into_iter()
        .map(|value| value.map(Value::from))
        .collect())
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
    let values = databases.read().await.get_many(&references).await?;
    Ok(values
        .into_iter()
        .map(|value| value.map(Value::from))
        .collect())
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

/// Runs `function` on the state that `batch` builds on until it has all that it reads.
///
/// `prefetch` names what it will surely read, and `cache` holds what is known of that state already; what is read is added to it.
///
/// # Errors
/// [`StateError`]; what `function` itself returns, an error too, is inside `Ok`.
pub async fn resolve<E, T, F>(
    batch: &Batch<E>,
    cache: &mut Cache,
    prefetch: Vec<Key>,
    mut function: F,
) -> Result<T, StateError>
where
    E: Context + Spawner,
    F: FnMut(&Cache) -> Attempt<T> + Send,
{
    let mut wanted = prefetch;
    wanted.retain(|key| !cache.knows(key));
    for _ in 0..MAX_ROUNDS {
        let values = read_many::<E>(batch, &wanted).await?;
        for (key, value) in wanted.drain(..).zip(values) {
            cache.insert(key, value);
        }
        match function(cache) {
            Attempt::Done(result) => return Ok(result),
            Attempt::Missing(keys) => wanted = keys,
        }
    }
    Err(StateError::Rounds(MAX_ROUNDS))
}
