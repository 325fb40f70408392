//! The database: QMDB `current`, ordered, so that absence can be proven as well as presence.
//!
//! Keys are the 32-byte hashes of [`og_chain::state::Key`], values bounded byte strings. Hashes
//! inside are SHA-256, which processors have instructions for: a block's writes cost thousands.

use bytes::Bytes;
use commonware_codec::RangeCfg;
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_glue::stateful::db::{
    DatabaseSet, ManagedDb, Merkleized as _, Shared, current::CurrentStaged,
};
use commonware_parallel::Sequential;
use commonware_runtime::{Spawner, buffer::paged::CacheRef};
use commonware_storage::{
    Context,
    index::ordered::Index,
    journal::contiguous::variable::{Config as JournalConfig, Journal},
    merkle::Family as _,
    mmr::{self, Location, full::Config as MerkleConfig},
    qmdb::{
        any::ordered::variable::{Operation as OrderedOperation, Update},
        current::{VariableConfig, ordered::variable::Db},
        sync::Target,
    },
    translator::EightCap,
};
use commonware_utils::{NZU16, NZU64, NZUsize, non_empty_range, sequence::FixedBytes};
use og_chain::state::{Key, MAX_VALUE_BYTES, StateCommitment};
use og_types::Header;
use std::num::{NonZeroU16, NonZeroUsize};

/// Bytes per chunk of the database's bitmap of active operations.
const BITMAP_CHUNK_BYTES: usize = 32;

/// Keys that are in memory while the database is opened, of 41 bytes each: at most 86 MB, which is enough for nearly two million.
const MIN_KNOWN_KEYS: usize = 1 << 16;
const MAX_KNOWN_KEYS: usize = 1 << 21;

/// Bytes in a page of the database's files: what is stored cannot be read with another number.
const PAGE_BYTES: NonZeroU16 = NZU16!(4096);
/// Pages that are kept in memory: 16 MB of a small state, and 201 MB at most.
const MIN_PAGES: usize = 4096;
const MAX_PAGES: usize = 49_152;
/// What an operation takes on the disk, about: an account's is the most frequent.
const OPERATION_BYTES: u64 = 138;

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

/// The same, with what was read through it.
pub(crate) type StagedBatch<E> = CurrentStaged<
    mmr::Family,
    E,
    Journal<E, Operation>,
    Index<EightCap, Location>,
    Sha256,
    Update<StoredKey, Bytes>,
    BITMAP_CHUNK_BYTES,
    Sequential,
>;

/// Writes with their roots computed.
pub type Merkleized<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;

/// Configuration of the database.
pub type DatabaseConfig<E> = <Databases<E> as DatabaseSet<E>>::Config;

/// Where and how the database of one node is kept.
///
/// `operations` is about how many its log has above the floor when it is opened, as a header says: all of them are read then, and
/// what does not fit into memory meanwhile costs a read from the disk for each. Later those that blocks need are read, and the
/// kernel keeps none of them, so that the more of the state there is, the more of its pages are kept here.
pub fn database_config<E: Context + Spawner>(prefix: &str, operations: u64) -> DatabaseConfig<E> {
    let known_keys = usize::try_from(operations)
        .unwrap_or(MAX_KNOWN_KEYS)
        .clamp(MIN_KNOWN_KEYS, MAX_KNOWN_KEYS);
    let page_cache = CacheRef::new(PAGE_BYTES, cached_pages(operations));
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

/// Pages to keep in memory of a log with so many operations above its floor.
fn cached_pages(operations: u64) -> NonZeroUsize {
    let pages = operations.saturating_mul(OPERATION_BYTES) / u64::from(PAGE_BYTES.get());
    let pages = usize::try_from(pages).unwrap_or(MAX_PAGES);
    NonZeroUsize::new(pages.clamp(MIN_PAGES, MAX_PAGES)).unwrap_or(NonZeroUsize::MIN)
}

/// How an operation is decoded, from our disk or from a peer.
pub(crate) fn operation_codec() -> ((), RangeCfg<usize>) {
    ((), RangeCfg::from(0..=MAX_VALUE_BYTES))
}

pub(crate) fn stored_key(key: &Key) -> StoredKey {
    FixedBytes::new(key.0.0)
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
