//! The state as seen while a block runs: the parent's state, and what the block changed so far.

use crate::state::{Account, Attempt, BLOCK_HASH_RING, Key, Source, Value};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

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

/// The parent's state as far as it is known, under the writes of the block.
#[derive(Debug, Default)]
pub struct View<'a> {
    /// `None` where the parent's state is known to be empty: before block 1.
    base: Option<&'a dyn Source>,
    writes: BTreeMap<Key, Option<Value>>,
    /// Accounts of whose storage only what was written is seen.
    cleared: BTreeSet<Address>,
    /// The newest block whose hash the parent's state has, where a simulation may ask for others.
    newest_hash: Option<u64>,
    missing: RefCell<BTreeSet<Key>>,
    /// Code that ran already, made ready to run: each transaction asks for it anew.
    codes: BTreeMap<B256, Bytecode>,
    keys: RefCell<Keys>,
}

/// Keys that were asked for already: each is a hash, and a transaction asks for the same ones several times. The order of
/// these maps is never looked at.
#[derive(Debug, Default)]
struct Keys {
    accounts: HashMap<Address, Key>,
    storage: HashMap<(Address, U256), Key>,
}

/// The writes of a block: each key once, sorted, `None` deletes.
pub type Writes = Vec<(Key, Option<Value>)>;

/// What a block changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Every key whose value changes, with its new value.
    pub writes: Writes,
    /// The same keys with the values that they had: writing these undoes the block.
    pub before: Writes,
}

impl<'a> View<'a> {
    pub(crate) fn new(base: &'a dyn Source) -> Self {
        Self {
            base: Some(base),
            ..Self::default()
        }
    }

    /// The view over the empty state, in which nothing is ever missing.
    pub(crate) fn over_nothing() -> Self {
        Self::default()
    }

    fn account_key(&self, address: Address) -> Key {
        let mut keys = self.keys.borrow_mut();
        let known = keys.accounts.entry(address);
        *known.or_insert_with(|| Key::account(address))
    }

    fn storage_key(&self, address: Address, slot: U256) -> Key {
        let mut keys = self.keys.borrow_mut();
        let known = keys.storage.entry((address, slot));
        *known.or_insert_with(|| Key::storage(address, slot))
    }

    /// The keys whose reads failed because they are not cached: what ran since is guesswork.
    pub(crate) fn missing(&self) -> Option<Vec<Key>> {
        let missing = self.missing.borrow();
        (!missing.is_empty()).then(|| missing.iter().copied().collect())
    }

    pub(crate) fn get(&self, key: Key) -> Result<Option<Value>, StateError> {
        if let Some(written) = self.writes.get(&key) {
            return Ok(written.clone());
        }
        match self.base.map(|base| base.read(&key)) {
            None => Ok(None),
            Some(Some(value)) => Ok(value),
            Some(None) => {
                self.missing.borrow_mut().insert(key);
                Err(StateError::Missing(key))
            }
        }
    }

    pub(crate) fn set(&mut self, key: Key, value: Option<Value>) {
        self.writes.insert(key, value);
    }

    pub(crate) fn account(&self, address: Address) -> Result<Account, StateError> {
        let key = self.account_key(address);
        Account::from_value(self.get(key)?.as_ref()).map_err(|_| StateError::Corrupt(key))
    }

    pub(crate) fn set_account(&mut self, address: Address, account: &Account) {
        self.set(self.account_key(address), account.to_value());
    }

    pub(crate) fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let key = self.storage_key(address, slot);
        if self.cleared.contains(&address) && !self.writes.contains_key(&key) {
            return Ok(U256::ZERO);
        }
        let value = self.word(key)?.unwrap_or_default();
        Ok(U256::from_be_bytes(value.0))
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        let bytes = (!value.is_zero()).then(|| value.to_be_bytes::<32>().into());
        self.set(self.storage_key(address, slot), bytes);
    }

    /// Hides the storage that the account has in the parent's state: a simulation gives it another.
    pub(crate) fn clear_storage(&mut self, address: Address) {
        self.cleared.insert(address);
    }

    /// Knows no hash of a block newer than `height`: without this, what stands in its place is taken for it.
    pub(crate) const fn limit_block_hashes(&mut self, height: u64) {
        self.newest_hash = Some(height);
    }

    /// A contract's code, ready to run.
    pub(crate) fn code(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        if code_hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&code_hash) {
            return Ok(code.clone());
        }
        let key = Key::code(code_hash);
        let code = self.get(key)?.ok_or(StateError::Corrupt(key))?;
        Bytecode::new_raw_checked(code).map_err(|_| StateError::Corrupt(key))
    }

    /// [`code`](Self::code), kept for the next time.
    pub(crate) fn keep_code(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        let code = self.code(code_hash)?;
        self.codes.entry(code_hash).or_insert_with(|| code.clone());
        Ok(code)
    }

    /// The hash of the block at `height`, if it is one of the last.
    pub(crate) fn block_hash(&self, height: u64) -> Result<Option<B256>, StateError> {
        let key = Key::block_hash(height);
        let is_known = self.newest_hash.is_none_or(|newest| {
            height <= newest && newest.saturating_sub(height) < BLOCK_HASH_RING
        });
        if !is_known && !self.writes.contains_key(&key) {
            return Ok(None);
        }
        self.word(key)
    }

    /// A value of exactly 32 bytes.
    pub(crate) fn word(&self, key: Key) -> Result<Option<B256>, StateError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        B256::try_from(value.as_ref())
            .map(Some)
            .map_err(|_| StateError::Corrupt(key))
    }

    /// A value of exactly 8 bytes, big-endian.
    pub(crate) fn integer(&self, key: Key) -> Result<Option<u64>, StateError> {
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

    /// What was changed, or the keys that are missing.
    ///
    /// Writes are exactly the keys whose value differs from the parent's, so that they depend on
    /// nothing but the block: a key that was written unread has to be read for that.
    pub(crate) fn finish(self) -> Attempt<Changes> {
        let mut missing = self.missing.into_inner();
        let mut changes = Changes::default();
        if let Some(base) = self.base {
            base.prefetch(&self.writes.keys().copied().collect::<Vec<_>>());
        }
        for (key, value) in self.writes {
            match self.base.map_or(Some(None), |base| base.read(&key)) {
                Some(before) if before == value => {}
                Some(before) => {
                    changes.before.push((key, before));
                    changes.writes.push((key, value));
                }
                None => drop(missing.insert(key)),
            }
        }
        if missing.is_empty() {
            Attempt::Done(changes)
        } else {
            Attempt::Missing(missing.into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty state that remembers what it was asked for.
    #[derive(Debug, Default)]
    struct Asked(RefCell<Vec<Vec<Key>>>);

    impl Source for Asked {
        fn read(&self, key: &Key) -> Option<Option<Value>> {
            let asked = self.0.borrow();
            asked
                .iter()
                .flatten()
                .any(|asked| asked == key)
                .then_some(None)
        }

        fn prefetch(&self, keys: &[Key]) {
            self.0.borrow_mut().push(keys.to_vec());
        }
    }

    #[test]
    fn what_is_written_unread_is_asked_for_at_once() {
        let source = Asked::default();
        let mut view = View::new(&source);
        let keys: BTreeSet<_> = (0..100).map(Key::block_hash).collect();
        for key in &keys {
            view.set(*key, Some(Value::from_static(&[1])));
        }
        let Attempt::Done(changes) = view.finish() else {
            panic!("all of it was asked for");
        };
        assert_eq!(changes.writes.len(), keys.len());
        assert_eq!(*source.0.borrow(), [keys.into_iter().collect::<Vec<_>>()]);
    }
}
