//! The states that are kept, and what is computed on them: bounded in time and in memory, and in number by `server::turns`.
//!
//! A computation runs on the state after one block, whatever becomes final meanwhile: what a newer block has changed is
//! undone by the index. It reads as it goes, on the thread of its call, which may wait.

use crate::{
    chain::Chain,
    error::{internal, server},
    eth::{found_block, indexed},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use og_chain::{Key, Source, Value};
use og_types::Header;
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long a computation may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of values that are remembered of one state.
const MAX_KNOWN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that a remembered value takes besides its own.
const ENTRY_BYTES: usize = 128;

/// The states that a validator can be asked about.
pub(crate) struct States<C> {
    chain: Arc<C>,
    newest: Mutex<Arc<Known>>,
}

/// What has been read of one state.
#[derive(Debug, Default)]
struct Known {
    height: u64,
    values: Mutex<Values>,
}

#[derive(Debug, Default)]
struct Values {
    by_key: HashMap<Key, Option<Value>>,
    bytes: usize,
}

impl Values {
    fn insert(&mut self, key: Key, value: Option<Value>) {
        self.bytes += ENTRY_BYTES + value.as_ref().map_or(0, |value| value.len());
        if self.bytes > MAX_KNOWN_BYTES {
            *self = Self::default();
        }
        self.by_key.insert(key, value);
    }
}

impl<C: Chain> States<C> {
    pub(crate) fn new(chain: Arc<C>) -> Self {
        Self {
            chain,
            newest: Mutex::default(),
        }
    }

    /// The validator whose states these are.
    pub(crate) fn chain(&self) -> &Arc<C> {
        &self.chain
    }

    /// The header of the block that is meant, the newest if none is named.
    pub(crate) async fn header(&self, block: Option<BlockId>) -> RpcResult<Header> {
        let block = block.unwrap_or(BlockId::Number(BlockNumberOrTag::Latest));
        let found = indexed(&*self.chain, move |index| found_block(index, block)).await?;
        let found = found.ok_or_else(|| server("header not found"))?;
        Ok(found.header().clone())
    }

    /// The value of `key` in the state after the block that is meant.
    pub(crate) async fn value(&self, key: Key, block: Option<BlockId>) -> RpcResult<Option<Value>> {
        let header = self.header(block).await?;
        let values = values(&*self.chain, header.height, vec![key]).await?;
        Ok(values.into_iter().next().flatten())
    }

    /// Runs `compute` on the state after the block at `height`, which is final.
    ///
    /// It does so on this thread, which a call has for itself: whoever asked may be gone, but the call's turn ends with the
    /// computation.
    pub(crate) fn run<T>(
        &self,
        height: u64,
        compute: impl FnOnce(&dyn Source) -> RpcResult<T>,
    ) -> RpcResult<T> {
        let state = Reading {
            chain: &*self.chain,
            known: self.known(height),
            runtime: Handle::current(),
            deadline: Instant::now() + TIMEOUT,
            failure: RefCell::default(),
        };
        let result = compute(&state);
        state.failure.into_inner().map_or(result, Err)
    }

    /// What is remembered of the state at `height`: that of the newest one is shared by all who ask.
    fn known(&self, height: u64) -> Arc<Known> {
        let fresh = || {
            Arc::new(Known {
                height,
                ..Known::default()
            })
        };
        let mut newest = self.newest.lock();
        if height > newest.height {
            *newest = fresh();
        }
        if height == newest.height {
            newest.clone()
        } else {
            fresh()
        }
    }
}

/// The values of `keys` in the state after the block at `height`, which is final.
async fn values<C: Chain>(chain: &C, height: u64, keys: Vec<Key>) -> RpcResult<Vec<Option<Value>>> {
    let newest = chain.state(keys.clone()).await.map_err(|e| internal(&e))?;
    if newest.header.height == height {
        return Ok(newest.values);
    }
    indexed(chain, move |index| {
        index.values_at(height, &keys, newest.values)
    })
    .await
}

/// A state, read on a thread that may wait.
struct Reading<'chain, C> {
    chain: &'chain C,
    known: Arc<Known>,
    runtime: Handle,
    deadline: Instant,
    /// Why a read failed: the computation sees only that a key is not known.
    failure: RefCell<Option<ErrorObjectOwned>>,
}

impl<C> std::fmt::Debug for Reading<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reading(height {})", self.known.height)
    }
}

impl<C: Chain> Source for Reading<'_, C> {
    fn read(&self, key: &Key) -> Option<Option<Value>> {
        if Instant::now() > self.deadline {
            *self.failure.borrow_mut() = Some(too_slow());
            return None;
        }
        if let Some(value) = self.known.values.lock().by_key.get(key) {
            return Some(value.clone());
        }
        let read = values(self.chain, self.known.height, vec![*key]);
        match self.runtime.block_on(read) {
            Ok(values) => {
                let value = values.into_iter().next().flatten();
                self.known.values.lock().insert(*key, value.clone());
                Some(value)
            }
            Err(error) => {
                *self.failure.borrow_mut() = Some(error);
                None
            }
        }
    }
}

fn too_slow() -> ErrorObjectOwned {
    server(format!(
        "execution timeout: it took longer than {} s",
        TIMEOUT.as_secs()
    ))
}
