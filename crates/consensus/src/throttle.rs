//! Waiting for work before a block is proposed: this is where empty blocks are throttled.

use crate::{application::Undecided, block::ConsensusBlock, pool::Pool};
use commonware_consensus::{Application, Epochable, marshal::ancestry::Ancestry};
use commonware_cryptography::Digested;
use commonware_macros::select;
use commonware_runtime::Clock;
use futures::StreamExt as _;
use og_chain::{Mempool, fees::next_base_fee};
use std::time::{Duration, SystemTime};

/// When a proposal may be an empty block.
#[derive(Clone, Copy, Debug)]
pub struct EmptyFrom(pub SystemTime);

/// Holds each proposal back until there is work for it, or an empty block is due.
///
/// The stateful machine does not apply a finalized block while a proposal is being built on it.
/// So the wait belongs here, before the machine sees the proposal: inside, it would hold up the
/// finality of the block before.
#[derive(Clone, Debug)]
pub struct Throttle<A> {
    inner: A,
    pool: Pool,
    undecided: Undecided,
    empty_block_interval: Duration,
}

impl<A> Throttle<A> {
    /// Proposals of `inner`, from what waits in `pool` and no block of `undecided` has taken.
    pub const fn new(
        inner: A,
        pool: Pool,
        undecided: Undecided,
        empty_block_interval: Duration,
    ) -> Self {
        Self {
            inner,
            pool,
            undecided,
            empty_block_interval,
        }
    }
}

impl<E, A> Application<E> for Throttle<A>
where
    E: Clock,
    A: Application<E, Block = ConsensusBlock, Input = EmptyFrom> + Sync,
    A::Context: Epochable + Send,
{
    type SigningScheme = A::SigningScheme;
    type Context = A::Context;
    type Block = ConsensusBlock;
    type Input = ();

    async fn propose(
        &mut self,
        (runtime, context): (E, Self::Context),
        ancestry: impl Ancestry<ConsensusBlock>,
        (): (),
    ) -> Option<Digested<ConsensusBlock>> {
        let mut ancestors = ancestry.clone();
        let parent = ancestors.next().await?;
        let parent = parent.inner().block();
        let base_fee_per_gas = next_base_fee(parent.header());
        let included = self.undecided.included(parent, ancestors, &self.pool).await;
        let mut empty_from = runtime.current();
        // The first block carries the genesis accounts and never waits.
        if parent.header().height > 0 {
            empty_from += self.empty_block_interval;
        }
        while runtime.current() < empty_from {
            let changed = self.pool.changed();
            let now_ms = crate::application::now_ms(&runtime);
            let has_work = |pool: &mut Mempool| pool.has_work(base_fee_per_gas, now_ms, &included);
            if self.pool.with(has_work) {
                break;
            }
            select! {
                _ = changed => {},
                _ = runtime.sleep_until(empty_from) => {},
            }
        }
        self.inner
            .propose((runtime, context), ancestry, EmptyFrom(empty_from))
            .await
    }

    async fn verify(
        &mut self,
        context: (E, Self::Context),
        ancestry: impl Ancestry<ConsensusBlock>,
    ) -> bool {
        self.inner.verify(context, ancestry).await
    }
}
