//! The state as seen while a block runs: the parent's state, and what the block changed so far.

use crate::state::{Account, Attempt, Cache, Key, Value};
use alloy_primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};

/// Why a value of the state cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The cache does not know the key; it has been noted for the caller to fetch.
    #[error("state key {} has not been read yet", .0.0)]
    Missing(Key),
    /// The value is not of the form that its key demands.
    #[error("the value under state key {} is malformed: the database is corrupt, sync it anew", .0.0)]
    Corrupt(Key),
}

/// The parent's state as far as it is cached, under the writes of the block.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// `None` where the parent's state is known to be empty: before block 1.
    base: Option<&'a Cache>,
    writes: BTreeMap<Key, Option<Value>>,
    missing: BTreeSet<Key>,
}

/// The writes of a block: each key once, sorted, `None` deletes.
pub type Writes = Vec<(Key, Option<Value>)>;

impl<'a> View<'a> {
    pub(crate) const fn new(base: &'a Cache) -> Self {
        Self {
            base: Some(base),
            writes: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// The view over the empty state, in which nothing is ever missing.
    pub(crate) const fn over_nothing() -> Self {
        Self {
            base: None,
            writes: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// The keys whose reads failed because they are not cached: what ran since is guesswork.
    pub(crate) fn missing(&self) -> Option<Vec<Key>> {
        (!self.missing.is_empty()).then(|| self.missing.iter().copied().collect())
    }

    pub(crate) fn get(&mut self, key: Key) -> Result<Option<Value>, StateError> {
        if let Some(written) = self.writes.get(&key) {
            return Ok(written.clone());
        }
        match self.base.map(|base| base.get(&key)) {
            None => Ok(None),
            Some(Some(value)) => Ok(value.cloned()),
            Some(None) => {
                self.missing.insert(key);
                Err(StateError::Missing(key))
            }
        }
    }

    pub(crate) fn set(&mut self, key: Key, value: Option<Value>) {
        self.writes.insert(key, value);
    }

    pub(crate) fn account(&mut self, address: Address) -> Result<Account, StateError> {
        let key = Key::account(address);
        Account::from_value(self.get(key)?.as_ref()).map_err(|_| StateError::Corrupt(key))
    }

    pub(crate) fn set_account(&mut self, address: Address, account: &Account) {
        self.set(Key::account(address), account.to_value());
    }

    pub(crate) fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        let key = Key::storage(address, slot);
        let value = self.word(key)?.unwrap_or_default();
        Ok(U256::from_be_bytes(value.0))
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        let bytes = (!value.is_zero()).then(|| value.to_be_bytes::<32>().into());
        self.set(Key::storage(address, slot), bytes);
    }

    /// A value of exactly 32 bytes.
    pub(crate) fn word(&mut self, key: Key) -> Result<Option<B256>, StateError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        B256::try_from(value.as_ref())
            .map(Some)
            .map_err(|_| StateError::Corrupt(key))
    }

    /// A value of exactly 8 bytes, big-endian.
    pub(crate) fn integer(&mut self, key: Key) -> Result<Option<u64>, StateError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        <[u8; 8]>::try_from(value.as_ref())
            .map(|bytes| Some(u64::from_be_bytes(bytes)))
            .map_err(|_| StateError::Corrupt(key))
    }

    pub(crate) fn set_integer(&mut self, key: Key, value: Option<u64>) {
        self.set(key, value.map(|value| value.to_be_bytes().to_vec().into()));
    }

    /// The writes, or the keys that are missing.
    ///
    /// Writes are exactly the keys whose value differs from the parent's, so that they depend on
    /// nothing but the block: a key that was written unread has to be read for that.
    pub(crate) fn finish(mut self) -> Attempt<Writes> {
        let Some(base) = self.base else {
            self.writes.retain(|_, value| value.is_some());
            return Attempt::Done(self.writes.into_iter().collect());
        };
        self.missing
            .extend(base.unknown(self.writes.keys().copied()));
        if !self.missing.is_empty() {
            return Attempt::Missing(self.missing.into_iter().collect());
        }
        self.writes
            .retain(|key, value| base.get(key) != Some(value.as_ref()));
        Attempt::Done(self.writes.into_iter().collect())
    }
}
