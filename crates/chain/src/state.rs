//! The layout of the authenticated state: 32-byte hashed keys, bounded values.
//!
//! Everything a block may depend on stands under a [`Key`]. Keys are hashes, so whoever chooses
//! an address or a slot does not choose where in the database's order it lands. See
//! `docs/formats/state.md`.

use alloy_primitives::{Address, B256, Bytes, U256};
use og_crypto::keccak256;
use og_types::{RequestId, limits::MAX_CODE_BYTES};

pub use og_types::Account;
use std::collections::{HashMap, VecDeque};

const DOMAIN: &[u8] = b"_OG_STATE_V1";

/// Largest value in the state, in bytes: a contract's code.
pub const MAX_VALUE_BYTES: usize = MAX_CODE_BYTES;
/// What a key of a [`Cache`] takes besides its value: hash, twice, value's handle, its share of the table.
const CACHED_KEY_BYTES: usize = 128;
/// Past block hashes that the state remembers, as the EVM's `BLOCKHASH` can ask for.
pub const BLOCK_HASH_RING: u64 = 256;

/// Where a value of the state stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub B256);

/// What stands under a [`Key`]; at most [`MAX_VALUE_BYTES`].
pub type Value = Bytes;

impl Key {
    fn of(kind: u8, parts: [&[u8]; 2]) -> Self {
        let [first, second] = parts;
        Self(keccak256(&[DOMAIN, &[kind], first, second]))
    }

    /// An account: canonical CBOR of an [`Account`].
    pub fn account(address: Address) -> Self {
        Self::of(0, [address.as_slice(), &[]])
    }

    /// A contract's storage slot: 32 bytes, absent where zero.
    pub fn storage(address: Address, slot: U256) -> Self {
        Self::of(1, [address.as_slice(), &slot.to_be_bytes::<32>()])
    }

    /// A contract's code by its keccak256. Code is never deleted: several accounts may share it.
    pub fn code(code_hash: B256) -> Self {
        Self::of(2, [code_hash.as_slice(), &[]])
    }

    /// The hash of the block at `height`, 32 bytes, until the block [`BLOCK_HASH_RING`] later.
    pub fn block_hash(height: u64) -> Self {
        let position = height.checked_rem(BLOCK_HASH_RING).unwrap_or_default();
        Self::of(3, [&position.to_be_bytes(), &[]])
    }

    /// A used request id: height of the block that admitted its record, 8 bytes big-endian.
    pub fn nullifier(request: RequestId) -> Self {
        Self::of(4, [&request.0, &[]])
    }

    /// How many nullifiers expire in a minute (since the Unix epoch): 8 bytes big-endian.
    pub fn nullifier_bucket(minute: u64) -> Self {
        Self::of(5, [&minute.to_be_bytes(), &[]])
    }

    /// One part of the list of nullifiers that expire in a minute: request ids, concatenated.
    pub fn nullifier_chunk(minute: u64, chunk: u64) -> Self {
        Self::of(6, [&minute.to_be_bytes(), &chunk.to_be_bytes()])
    }

    /// The first minute whose nullifiers are not yet all forgotten: 8 bytes big-endian.
    pub fn nullifier_cursor() -> Self {
        Self::of(7, [&[], &[]])
    }
}

/// What a header commits to about the state after its block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCommitment {
    /// Canonical root of the state.
    pub root: B256,
    /// Root of the state's log of operations.
    pub operations_root: B256,
    /// First operation of that log that is still active.
    pub operations_floor: u64,
    /// Number of operations in that log.
    pub operations_size: u64,
}

/// Where a state is read from.
pub trait Source: std::fmt::Debug {
    /// What stands under `key`; the outer `None` if that is not known.
    fn read(&self, key: &Key) -> Option<Option<Value>>;

    /// Says that all of `keys` are read next: whoever waits for each value may wait for all of them at once.
    fn prefetch(&self, _keys: &[Key]) {}
}

/// What is known of one state; `None` for a key that is known to be absent.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// Its order is never looked at.
    values: HashMap<Key, Option<Value>>,
    /// The keys, those known longest first.
    oldest: VecDeque<Key>,
    /// Bytes of the values.
    bytes: usize,
}

impl Source for Cache {
    fn read(&self, key: &Key) -> Option<Option<Value>> {
        self.values.get(key).cloned()
    }
}

impl Cache {
    /// Remembers what stands under `key`.
    pub fn insert(&mut self, key: Key, value: Option<Value>) {
        self.bytes = self.bytes.saturating_add(value_bytes(&value));
        match self.values.insert(key, value) {
            Some(old) => self.bytes = self.bytes.saturating_sub(value_bytes(&old)),
            None => self.oldest.push_back(key),
        }
    }

    /// Forgets what has been known longest, until the rest takes `bytes` or less.
    pub fn shrink(&mut self, bytes: usize) {
        while self.size_bytes() > bytes
            && let Some(key) = self.oldest.pop_front()
        {
            if let Some(value) = self.values.remove(&key) {
                self.bytes = self.bytes.saturating_sub(value_bytes(&value));
            }
        }
    }

    /// Whether `key` is known.
    pub fn knows(&self, key: &Key) -> bool {
        self.values.contains_key(key)
    }

    /// What it takes in memory, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        let keys = self.values.len().saturating_mul(CACHED_KEY_BYTES);
        self.bytes.saturating_add(keys)
    }

    /// Number of keys that are known.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn value_bytes(value: &Option<Value>) -> usize {
    value.as_ref().map_or(0, |value| value.len())
}

/// A computation that reads the state through a [`Cache`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// It ran to its end.
    Done(T),
    /// It needs these keys, each at least once: fetch them into the cache and run it again.
    Missing(Vec<Key>),
}
