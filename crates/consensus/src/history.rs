//! How much of the chain a validator keeps, and from where on it has it.

use commonware_consensus::{
    marshal::store::{Blocks, Certificates},
    simplex::types::Finalization,
    types::Height,
};
use commonware_cryptography::Digestible;
use commonware_glue::stateful::PruneConfig;
use commonware_runtime::Handle;
use commonware_storage::{
    Context,
    archive::Identifier,
    metadata::{self, Metadata},
};
use commonware_utils::{NZU64, NZUsize, fixed_bytes, sequence::FixedBytes};
use std::num::NonZeroU64;

/// Default of [`History::retain_blocks`]: a quarter of an hour at a block every 20 ms, half a day at
/// one a second.
pub const DEFAULT_RETAIN_BLOCKS: u64 = 50_000;
/// Fewest blocks that a validator may keep. Peers that are less far behind need no state sync.
pub const MIN_RETAIN_BLOCKS: u64 = 256;
/// Default of [`History::state_sync_blocks`]: about a minute of replaying.
pub const DEFAULT_STATE_SYNC_BLOCKS: u64 = 10_000;
/// Within so many blocks of the network a node never fetches state; less than
/// [`MIN_RETAIN_BLOCKS`], so that every honest peer has what it lacks.
pub const NEAR_BLOCKS: u64 = 64;
/// Blocks in one file of the archive. What is pruned is pruned by file, and every file stays open.
const BLOCKS_PER_FILE: NonZeroU64 = NZU64!(4096);
/// Blocks for whose states the log of operations is kept, so that a peer can finish its sync.
const STATE_HISTORY_BLOCKS: u64 = 256;
/// Blocks between two prunings.
const PRUNE_INTERVAL: usize = 16;

/// Which blocks a validator keeps, and when it fetches state instead of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Final blocks kept below the newest; `None` keeps all, and never fetches state.
    pub retain_blocks: Option<u64>,
    /// Farther behind the network than this, the node fetches state instead of replaying blocks.
    pub state_sync_blocks: u64,
    /// Blocks in one file of the archive; must stay what it was when the archive was made.
    pub blocks_per_file: NonZeroU64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            retain_blocks: Some(DEFAULT_RETAIN_BLOCKS),
            state_sync_blocks: DEFAULT_STATE_SYNC_BLOCKS,
            blocks_per_file: BLOCKS_PER_FILE,
        }
    }
}

impl History {
    /// When the stateful machine prunes the log of operations and asks [`Retained`] to prune.
    pub(crate) fn pruning(&self) -> Option<PruneConfig> {
        let blocks = self.retain_blocks?.min(STATE_HISTORY_BLOCKS);
        let blocks = usize::try_from(blocks).unwrap_or(usize::MAX);
        Some(PruneConfig {
            maintenance_interval: NZUsize!(PRUNE_INTERVAL),
            retained_marshal_blocks: blocks,
            retained_qmdb_blocks: blocks,
        })
    }

    /// An archive that keeps what this says.
    pub(crate) fn retained<A>(&self, archive: A) -> Retained<A> {
        Retained {
            archive,
            blocks: self.retain_blocks,
        }
    }
}

/// An archive that keeps so many heights below those that it is asked to keep.
///
/// The stateful machine prunes only after it has seen a whole window of blocks since its start;
/// with its window short and the archive's own long, a node that restarts often prunes all the
/// same.
#[derive(Debug)]
pub(crate) struct Retained<A> {
    archive: A,
    blocks: Option<u64>,
}

impl<A> Retained<A> {
    /// The lowest height that must remain when `min` is asked for; `None` if all must.
    fn lowest(&self, min: Height) -> Option<Height> {
        let blocks = self.blocks?;
        Some(Height::new(min.get().saturating_sub(blocks)))
    }
}

/// Replaces the archive by what an operation on it returns.
macro_rules! on_archive {
    ($self:ident, $method:ident($($argument:expr),*)) => {{
        let blocks = $self.blocks;
        let archive = $self.archive.$method($($argument),*).await?;
        Ok(Self { archive, blocks })
    }};
}

impl<A: Certificates> Certificates for Retained<A> {
    type BlockDigest = A::BlockDigest;
    type Commitment = A::Commitment;
    type Scheme = A::Scheme;
    type Error = A::Error;

    async fn put(
        self,
        height: Height,
        digest: Self::BlockDigest,
        finalization: &Finalization<Self::Scheme, Self::Commitment>,
    ) -> Result<Self, Self::Error> {
        on_archive!(self, put(height, digest, finalization))
    }

    async fn sync(self) -> Result<Self, Self::Error> {
        on_archive!(self, sync())
    }

    async fn start_sync(self) -> Result<(Self, Handle<()>), Self::Error> {
        let blocks = self.blocks;
        let (archive, handle) = self.archive.start_sync().await?;
        Ok((Self { archive, blocks }, handle))
    }

    async fn get(
        &self,
        id: Identifier<'_, Self::BlockDigest>,
    ) -> Result<Option<Finalization<Self::Scheme, Self::Commitment>>, Self::Error> {
        self.archive.get(id).await
    }

    async fn has(&self, height: Height) -> Result<bool, Self::Error> {
        self.archive.has(height).await
    }

    async fn prune(self, min: Height) -> Result<Self, Self::Error> {
        match self.lowest(min) {
            Some(lowest) => on_archive!(self, prune(lowest)),
            None => Ok(self),
        }
    }

    fn last_index(&self) -> Option<Height> {
        self.archive.last_index()
    }

    fn ranges_from(&self, from: Height) -> impl Iterator<Item = (Height, Height)> {
        self.archive.ranges_from(from)
    }
}

impl<A: Blocks> Blocks for Retained<A> {
    type Block = A::Block;
    type Error = A::Error;

    async fn put(
        self,
        digest: <Self::Block as Digestible>::Digest,
        block: &Self::Block,
    ) -> Result<Self, Self::Error> {
        on_archive!(self, put(digest, block))
    }

    async fn sync(self) -> Result<Self, Self::Error> {
        on_archive!(self, sync())
    }

    async fn start_sync(self) -> Result<(Self, Handle<()>), Self::Error> {
        let blocks = self.blocks;
        let (archive, handle) = self.archive.start_sync().await?;
        Ok((Self { archive, blocks }, handle))
    }

    async fn get(
        &self,
        id: Identifier<'_, <Self::Block as Digestible>::Digest>,
    ) -> Result<Option<Self::Block>, Self::Error> {
        self.archive.get(id).await
    }

    async fn prune(self, min: Height) -> Result<Self, Self::Error> {
        match self.lowest(min) {
            Some(lowest) => on_archive!(self, prune(lowest)),
            None => Ok(self),
        }
    }

    fn missing_items(&self, start: Height, max: usize) -> Vec<Height> {
        self.archive.missing_items(start, max)
    }

    fn next_gap(&self, value: Height) -> (Option<Height>, Option<Height>) {
        self.archive.next_gap(value)
    }

    fn last_index(&self) -> Option<Height> {
        self.archive.last_index()
    }
}

/// The height from which on this node has every block: 0, or where its last state sync began.
///
/// What an earlier run left below is not joined to it.
pub(crate) struct Oldest<E: Context>(Metadata<E, FixedBytes<1>, u64>);

const OLDEST_KEY: FixedBytes<1> = fixed_bytes!("00");

impl<E: Context> Oldest<E> {
    /// Reads it from storage.
    ///
    /// # Panics
    /// If the storage fails: the node cannot know what it has.
    pub(crate) async fn open(context: E, prefix: &str) -> Self {
        let config = metadata::Config {
            partition: format!("{prefix}-oldest"),
            codec_config: (),
        };
        let stored = Metadata::init(context, config).await;
        Self(stored.expect("the record of what is kept cannot be opened"))
    }

    /// The height.
    pub(crate) fn get(&self) -> u64 {
        self.0.get(&OLDEST_KEY).copied().unwrap_or_default()
    }

    /// Replaces it.
    ///
    /// # Panics
    /// If the storage fails.
    pub(crate) async fn set(self, height: u64) -> Self {
        let stored = self.0.put_sync(OLDEST_KEY, height).await;
        Self(stored.expect("the record of what is kept cannot be written"))
    }
}
