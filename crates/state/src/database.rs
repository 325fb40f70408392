//! The database: QMDB `current`, ordered, so that absence can be proven as well as presence.
//!
//! Keys are the 32-byte hashes of [`og_chain::state::Key`], values bounded byte strings. Hashes
//! inside are SHA-256, which processors have instructions for: a block's writes cost thousands.

use bytes::Bytes;
use commonware_codec::RangeCfg;
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_glue::stateful::db::{
    DatabaseSet, ManagedDb, Merkleized as _, Shared, Unmerkleized as _,
};
use commonware_parallel::Sequential;
use commonware_runtime::{Spawner, buffer::paged::CacheRef};
use commonware_storage::{
    Context,
    journal::contiguous::variable::Config as JournalConfig,
    merkle::Family as _,
    mmr::{self, Location, full::Config as MerkleConfig},
    qmdb::{
        any::ordered::variable::Operation as OrderedOperation,
        current::{VariableConfig, ordered::variable::Db},
        sync::Target,
    },
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize, non_empty_range, sequence::FixedBytes};
use og_chain::state::{Key, MAX_VALUE_BYTES, StateCommitment, Value};
use og_types::Header;
use std::num::NonZeroUsize;

/// Bytes per chunk of the database's bitmap of active operations.
const BITMAP_CHUNK_BYTES: usize = 32;

/// Keys that are in memory while the database is opened, of 41 bytes each: at most 86 MB, which is enough for nearly two million.
const MIN_KNOWN_KEYS: usize = 1 << 16;
const MAX_KNOWN_KEYS: usize = 1 << 21;

/// A key as the database stores it.
type StoredKey = FixedBytes<32>;

/// One entry of the database's log.
pub type Operation = OrderedOperation<mmr::Family, StoredKey, Bytes>;

/// The state of the chain in the runtime `E`.
pub type Database<E> =
    Db<mmr::Family, E, StoredKey, Bytes, Sha256, EightCap, BITMAP_CHUNK_BYTES, Sequential>;

/// The databases of one node: a single one.
pub type Databases<E> = Shared<Database<E>>;

/// Uncommitted writes on top of some block's state.
pub type Batch<E> = <Databases<E> as DatabaseSet<E>>::Unmerkleized;

/// Writes with their roots computed.
pub type Merkleized<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;

/// Configuration of the database.
pub type DatabaseConfig<E> = <Databases<E> as DatabaseSet<E>>::Config;

/// Where and how the database of one node is kept.
///
/// `operations` is about how many its log has above the floor when it is opened, as a header says: all of them are read then, and
/// what does not fit into memory meanwhile costs a read from the disk for each.
pub fn database_config<E: Context + Spawner>(
    prefix: &str,
    page_cache: CacheRef,
    operations: u64,
) -> DatabaseConfig<E> {
    let known_keys = usize::try_from(operations)
        .unwrap_or(MAX_KNOWN_KEYS)
        .clamp(MIN_KNOWN_KEYS, MAX_KNOWN_KEYS);
    let write_buffer = NZUsize!(1 << 20);
    VariableConfig {
        merkle_config: MerkleConfig {
            journal_partition: format!("{prefix}-state-merkle-journal"),
            metadata_partition: format!("{prefix}-state-merkle-pinned"),
            items_per_blob: NZU64!(1 << 16),
            write_buffer,
            replay_buffer: write_buffer,
            strategy: Sequential,
            page_cache: page_cache.clone(),
        },
        journal_config: JournalConfig {
            partition: format!("{prefix}-state-log"),
            items_per_section: NZU64!(1 << 14),
            compression: None,
            codec_config: operation_codec(),
            page_cache,
            write_buffer,
            replay_buffer: write_buffer,
        },
        grafted_metadata_partition: format!("{prefix}-state-bitmap"),
        translator: EightCap,
        init_cache: NonZeroUsize::new(known_keys),
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: (),
    }
}

/// How an operation is decoded, from our disk or from a peer.
pub(crate) fn operation_codec() -> ((), RangeCfg<usize>) {
    ((), RangeCfg::from(0..=MAX_VALUE_BYTES))
}

pub(crate) fn stored_key(key: &Key) -> StoredKey {
    FixedBytes::new(key.0.0)
}

/// Seals `batch` with `writes`, which must name each key once.
///
/// # Errors
/// The database's error: fatal, the node must stop.
pub async fn merkleize<E: Context + Spawner>(
    mut batch: Batch<E>,
    writes: &[(Key, Option<Value>)],
) -> Result<Merkleized<E>, crate::StateError> {
    for (key, value) in writes {
        batch = batch.write(
            stored_key(key),
            value.as_ref().map(|value| Bytes::copy_from_slice(value)),
        );
    }
    Ok(batch.merkleize().await?)
}

/// What a block's header says of the state after it.
pub fn commitment<E: Context + Spawner>(merkleized: &Merkleized<E>) -> StateCommitment {
    StateCommitment {
        root: merkleized.root().0.into(),
        operations_root: merkleized.ops_root().0.into(),
        operations_floor: *merkleized.sync_boundary(),
        operations_size: *merkleized.bounds().tip.size,
    }
}

/// What the genesis header says of the empty state.
pub fn empty_commitment<E: Context + Spawner>() -> StateCommitment {
    let target = <Database<E> as ManagedDb<E>>::initial_sync_target();
    StateCommitment {
        root: Default::default(),
        operations_root: target.root.0.into(),
        operations_floor: *target.range.start(),
        operations_size: *target.range.end(),
    }
}

/// Whether nothing was ever written: the state before block 1.
pub async fn is_empty<E: Context + Spawner>(databases: &Databases<E>) -> bool {
    let target = databases.committed_targets().await;
    target == <Database<E> as ManagedDb<E>>::initial_sync_target()
}

/// The state to sync to for the block with this header.
///
/// A range that is empty or out of bounds, which only a dishonest quorum could finalize, becomes
/// one that no database matches.
pub fn sync_target(header: &Header) -> Target<mmr::Family, Digest> {
    let largest = *mmr::Family::MAX_LEAVES;
    let floor = header.state_operations_floor.min(largest.saturating_sub(1));
    let size = header
        .state_operations_size
        .clamp(floor.saturating_add(1), largest);
    Target::new(
        Digest(header.state_operations_root.0),
        non_empty_range!(Location::new(floor), Location::new(size)),
    )
}
