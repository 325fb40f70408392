//! Proposing and verifying blocks: the chain's rules, run against the database.

use crate::{
    block::ConsensusBlock, pool::Pool, schemes::ConsensusScheme, throttle::EmptyFrom,
    warm::WarmState,
};
use commonware_consensus::{marshal::ancestry::Ancestry, simplex::types::Context};
use commonware_cryptography::{ed25519::PublicKey, keccak256::Digest};
use commonware_glue::stateful::{self, Finality, Input, Proposed, db::DatabaseSet};
use commonware_macros::select;
use commonware_runtime::{Clock, Spawner};
use commonware_storage::Context as StorageContext;
use futures::StreamExt as _;
use og_chain::{
    Block, BlockError, Built, Candidates, Effects, Executed, Rules, Slot, StateCommitment, build,
    execute,
    fees::next_base_fee,
    mempool::Included,
    prefetch_block, prefetch_candidates,
    state::{Cache, Source},
};
use og_crypto::block_hash;
use og_state::{Batch, Databases, Draft, Merkleized, StateError, commitment};
use og_types::{BlockHash, Header, ValidatorId};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing::{debug, error, warn};

/// How far ahead of our clock a proposer's may be before its block has to wait.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(500);

/// Learns of finalized blocks, in order, each possibly more than once after a crash.
pub trait Observer: Clone + Send + Sync + 'static {
    /// Takes note of a finalized block; it must be durable when this returns.
    fn finalized(&self, block: &Block, effects: &Effects) -> impl Future<Output = ()> + Send;
}

/// The chain as commonware's stateful machine drives it.
#[derive(Clone)]
pub struct Application<O> {
    rules: Arc<Rules>,
    genesis: ConsensusBlock,
    pool: Pool,
    observer: O,
    undecided: Undecided,
    warm: WarmState,
}

impl<O> std::fmt::Debug for Application<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").finish_non_exhaustive()
    }
}

/// What blocks did that were executed and are not final yet, by height and hash.
#[derive(Clone, Debug, Default)]
pub struct Undecided(Arc<Mutex<ByBlock>>);

type ByBlock = BTreeMap<(u64, BlockHash), Arc<Effects>>;

impl Undecided {
    /// Blocks that were executed and are not final yet.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// What `parent` and those of its ancestors have taken that are not final yet. They come after it in `ancestry`.
    pub(crate) async fn included(
        &self,
        parent: &Block,
        mut ancestry: impl Ancestry<ConsensusBlock>,
        pool: &Pool,
    ) -> Included {
        let mut included = Included::default();
        pool.decode(parent);
        included.add(parent);
        let mut child = parent.header().clone();
        while self.has(child.height.saturating_sub(1), child.parent)
            && let Some(ancestor) = ancestry.next().await
        {
            let block = ancestor.inner().block();
            pool.decode(block);
            included.add(block);
            child = block.header().clone();
        }
        included
    }

    fn has(&self, height: u64, hash: BlockHash) -> bool {
        self.0.lock().contains_key(&(height, hash))
    }

    fn keep(&self, header: &Header, hash: BlockHash, effects: Effects) {
        self.0
            .lock()
            .insert((header.height, hash), Arc::new(effects));
    }

    /// What a block did.
    fn get(&self, header: &Header, hash: BlockHash) -> Option<Arc<Effects>> {
        self.0.lock().get(&(header.height, hash)).cloned()
    }

    /// Forgets a block that is final, and its competitors.
    fn forget(&self, header: &Header) {
        let mut kept = self.0.lock();
        let above = (header.height.saturating_add(1), BlockHash::default());
        *kept = kept.split_off(&above);
    }
}

impl<O: Observer> Application<O> {
    /// The chain of `rules`, which starts at `genesis`.
    pub fn new(rules: Arc<Rules>, genesis: ConsensusBlock, pool: Pool, observer: O) -> Self {
        Self {
            rules,
            genesis,
            pool,
            observer,
            undecided: Undecided::default(),
            warm: WarmState::default(),
        }
    }

    /// What was executed and is not final yet.
    pub fn undecided(&self) -> Undecided {
        self.undecided.clone()
    }

    /// Builds on `parent` as soon as there is work that can be included, or empty when that is due.
    async fn build<E>(
        &self,
        runtime: &E,
        empty_from: EmptyFrom,
        parent: &Header,
        included: &Included,
        context: &Context<Digest, PublicKey>,
        batch: Batch<E>,
    ) -> Result<Option<(Slot, Built, Cache, Draft<E>)>, StateError>
    where
        E: Clock + StorageContext + Spawner,
    {
        let mut known = self.warm.take(&block_hash(parent));
        let mut draft = Draft::new(batch).await?;
        loop {
            let may_be_empty = runtime.current() >= empty_from.0;
            let changed = self.pool.changed();
            let slot = self.slot(parent, context, now_ms(runtime));
            let candidates = self
                .pool
                .with(|pool| pool.candidates(next_base_fee(parent), slot.timestamp_ms, included));
            let nothing = candidates.transactions.is_empty() && candidates.records.is_empty();
            if may_be_empty || !nothing {
                let built;
                (built, known, draft) = self
                    .build_once(parent, &slot, candidates, draft, known)
                    .await?;
                match built {
                    Some(built) if may_be_empty || !is_empty(&built) => {
                        return Ok(Some((slot, built, known, draft)));
                    }
                    None => return Ok(None),
                    Some(_) => {}
                }
            }
            select! {
                _ = changed => {},
                _ = runtime.sleep_until(empty_from.0) => {},
            }
        }
    }

    async fn build_once<E>(
        &self,
        parent: &Header,
        slot: &Slot,
        candidates: Candidates,
        draft: Draft<E>,
        known: Cache,
    ) -> Result<(Option<Built>, Cache, Draft<E>), StateError>
    where
        E: StorageContext + Spawner,
    {
        let wanted = prefetch_candidates(&self.rules, parent, slot, &candidates);
        let (rules, parent, slot) = (Arc::clone(&self.rules), parent.clone(), *slot);
        let height = parent.height;
        let building =
            move |source: &dyn Source| build(&rules, &parent, &slot, &candidates, source);
        let (built, known, draft) =
            og_state::run::<E, _, _, _>(draft, known, wanted, building).await?;
        match built {
            Ok(built) => {
                self.pool
                    .with(|pool| pool.remove_transactions(&built.invalid));
                Ok((Some(built), known, draft))
            }
            Err(BlockError::State(error)) => Err(StateError::Corrupt(error)),
            Err(error) => {
                error!(%error, height, "cannot build a block");
                Ok((None, known, draft))
            }
        }
    }

    /// Where and when a block on `parent` is proposed.
    fn slot(&self, parent: &Header, context: &Context<Digest, PublicKey>, now_ms: u64) -> Slot {
        let mut proposer = ValidatorId::default();
        proposer.0.copy_from_slice(context.leader.as_ref());
        Slot {
            epoch: context.round.epoch().get(),
            view: context.round.view().get(),
            parent_view: context.parent.0.get(),
            proposer,
            timestamp_ms: self.rules.proposal_time_ms(parent, now_ms),
        }
    }

    /// Executes `block` on its parent's state; `None` if it breaks a rule.
    async fn execute<E>(
        &self,
        parent: &Header,
        block: &Block,
        batch: Batch<E>,
        known: Cache,
    ) -> Result<Option<(Merkleized<E>, Executed, Cache)>, StateError>
    where
        E: StorageContext + Spawner,
    {
        self.pool.decode(block);
        let wanted = prefetch_block(&self.rules, parent, block);
        let (rules, parent, copy) = (Arc::clone(&self.rules), parent.clone(), block.clone());
        let executing = move |source: &dyn Source| execute(&rules, &parent, &copy, source);
        let draft = Draft::new(batch).await?;
        let (result, known, draft) =
            og_state::run::<E, _, _, _>(draft, known, wanted, executing).await?;
        let executed = match result {
            Ok(executed) => executed,
            Err(BlockError::State(error)) => return Err(StateError::Corrupt(error)),
            Err(error) => {
                warn!(%error, height = block.header().height, block = %block.hash(), "invalid block");
                return Ok(None);
            }
        };
        let merkleized = draft.merkleize(&executed.changes.writes).await?;
        if commitment::<E>(&merkleized) != claimed(block.header()) {
            warn!(height = block.header().height, block = %block.hash(), "block with another state root");
            return Ok(None);
        }
        Ok(Some((merkleized, executed, known)))
    }
}

impl<E, O> stateful::Application<E> for Application<O>
where
    E: Clock + StorageContext + Spawner,
    O: Observer,
{
    type SigningScheme = ConsensusScheme;
    type Context = Context<Digest, PublicKey>;
    type Block = ConsensusBlock;
    type Databases = Databases<E>;
    type Captured = ();
    type Provider = ();
    type Input = EmptyFrom;

    fn sync_targets(block: &ConsensusBlock) -> <Databases<E> as DatabaseSet<E>>::SyncTargets {
        og_state::sync_target(block.block().header())
    }

    async fn genesis(&mut self) -> ConsensusBlock {
        self.genesis.clone()
    }

    async fn propose(
        &mut self,
        (runtime, context): (E, Self::Context),
        mut ancestry: impl Ancestry<ConsensusBlock>,
        batch: Batch<E>,
        input: Input<EmptyFrom, ()>,
    ) -> Option<Proposed<Self, E>> {
        let parent = ancestry.next().await?;
        let parent = parent.inner().block();
        let included = self.undecided.included(parent, ancestry, &self.pool).await;
        let parent = parent.header();
        let built = self
            .build(&runtime, input.upstream, parent, &included, &context, batch)
            .await;
        let (slot, built, known, draft) = unless_fatal(built)?;
        let writes = &built.executed.changes.writes;
        let merkleized = unless_fatal(draft.merkleize(writes).await);
        let commitment = commitment::<E>(&merkleized);
        let (block, executed) = built.into_block(&self.rules, parent, &slot, &commitment);
        let (writes, effects) = executed.into_parts();
        debug!(
            height = block.header().height,
            transactions = block.transactions().len(),
            records = block.records().len(),
            "proposing"
        );
        self.warm.keep(block.hash(), known, writes);
        self.undecided.keep(block.header(), block.hash(), effects);
        Some(Proposed {
            block: ConsensusBlock::new(block)?,
            merkleized,
        })
    }

    async fn process(
        &mut self,
        (runtime, _): (E, Self::Context),
        ancestry: impl Ancestry<ConsensusBlock>,
        batch: Batch<E>,
        finality: Finality,
    ) -> Option<Merkleized<E>> {
        let mut ancestry = Box::pin(ancestry);
        let block = ancestry.next().await?;
        let parent = ancestry.next().await?;
        let (block, parent) = (block.inner().block(), parent.inner().block().header());
        if let Err(error) = self.rules.check_header(parent, block.header()) {
            warn!(%error, height = block.header().height, block = %block.hash(), "invalid header");
            return None;
        }
        if finality == Finality::Candidate {
            // The rule above bounds how far ahead a timestamp can be, so this wait is bounded.
            let time = UNIX_EPOCH + Duration::from_millis(block.header().timestamp_ms);
            wait_until(&runtime, time - CLOCK_TOLERANCE).await;
        }
        let known = self.warm.take(&block_hash(parent));
        let executed = self.execute::<E>(parent, block, batch, known).await;
        let (merkleized, executed, known) = unless_fatal(executed)?;
        let (writes, effects) = executed.into_parts();
        self.warm.keep(block.hash(), known, writes);
        self.undecided.keep(block.header(), block.hash(), effects);
        Some(merkleized)
    }

    async fn capture(
        &mut self,
        _: (E, Self::Context),
        _: &ConsensusBlock,
        _: &Merkleized<E>,
        _: <Databases<E> as DatabaseSet<E>>::Readers,
    ) {
    }

    async fn finalized(
        &mut self,
        _: (E, Self::Context),
        block: &ConsensusBlock,
        (): (),
        _: <Databases<E> as DatabaseSet<E>>::Readers,
    ) {
        let block = block.block();
        self.pool.decode(block);
        let effects = self
            .undecided
            .get(block.header(), block.hash())
            .unwrap_or_default();
        self.observer.finalized(block, &effects).await;
        self.pool.with(|pool| pool.on_finalized(block));
        // Last: what is neither here nor gone from the pool would be taken for work, and the proposal for that would hold up
        // the next final block until it has found that there is none.
        self.undecided.forget(block.header());
    }
}

fn is_empty(built: &Built) -> bool {
    built.transactions.is_empty() && built.records.is_empty()
}

/// What a header claims about the state after its block.
fn claimed(header: &Header) -> StateCommitment {
    StateCommitment {
        root: header.state_root,
        operations_root: header.state_operations_root,
        operations_floor: header.state_operations_floor,
        operations_size: header.state_operations_size,
    }
}

pub(crate) fn now_ms(clock: &impl Clock) -> u64 {
    let since_epoch = clock.current().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| {
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    })
}

async fn wait_until(clock: &impl Clock, time: SystemTime) {
    if clock.current() < time {
        clock.sleep_until(time).await;
    }
}

/// The value of a database operation.
///
/// # Panics
/// On a failure of the database: to go on with a broken one could sign something wrong. The
/// stateful machine does the same.
fn unless_fatal<T>(result: Result<T, StateError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
