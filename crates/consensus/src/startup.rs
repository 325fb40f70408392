//! Whether a node that starts replays blocks or fetches state.

use crate::{
    block::ConsensusBlock,
    history::{History, NEAR_BLOCKS, Oldest},
    probe::{Network, Probe, Stored, Tip},
    schemes::ConsensusScheme,
};
use commonware_consensus::{
    marshal::{
        standard::Standard,
        store::{Blocks, Certificates},
    },
    simplex::types::Finalization,
    types::Height,
};
use commonware_cryptography::{ed25519::PublicKey, keccak256::Digest};
use commonware_glue::stateful::SyncPlan;
use commonware_p2p::{Blocker, Receiver, Sender};
use commonware_runtime::{Clock, Error as RuntimeError};
use commonware_storage::{Context, archive::Identifier};
use og_types::Header;
use rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use tracing::{info, warn};

/// How long a node that has a chain asks its peers before it goes on with what it has. One that
/// has none asks until they answer: it has nothing to go on with.
const PATIENCE: Duration = Duration::from_secs(5);
/// What commonware appends to the prefix of a plan's partition.
const PLAN_SUFFIX: &str = "state_sync_metadata";

pub(crate) type Plan<E> = SyncPlan<E, ConsensusScheme, Standard<ConsensusBlock>>;

/// From where a node goes on.
pub(crate) struct Start<E: Context> {
    /// Where marshal and the stateful machine start.
    pub(crate) plan: Plan<E>,
    /// The height from which on this node has every block.
    pub(crate) oldest: u64,
    /// How many operations the log of the state has above its floor, about, when it is opened.
    pub(crate) operations: u64,
    /// The newest certificate that the peers have: this node votes in no view before.
    pub(crate) floor: Option<Finalization<ConsensusScheme, Digest>>,
}

/// Asks the peers where they are and decides how to get there.
///
/// # Panics
/// If the storage fails.
pub(crate) async fn decide<E, B, S, R>(
    context: &E,
    prefix: &str,
    history: &History,
    oldest: Oldest<E>,
    stored: &Stored,
    probe: &mut Probe<E, B, S, R>,
) -> Start<E>
where
    E: Context + Clock + CryptoRng,
    B: Blocker<PublicKey = PublicKey>,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let plan = Plan::init(context.child("plan"), prefix).await;
    let unfinished = plan.floor().is_some();
    let patience = (stored.height > 0 && !unfinished).then_some(PATIENCE);
    info!(height = stored.height, "asking where the network is");
    let network = probe.discover(stored, patience).await.unwrap_or_default();
    let far = unfinished || is_far(history, stored.height, &network);
    let floor = network.tip.as_ref().map(|tip| tip.finalization.clone());
    let tip = stored.tip.as_ref();
    let operations = tip.map_or(0, |tip| operations(&tip.header));
    match network.tip {
        Some(tip) if far && history.retain_blocks.is_some() => {
            sync_to(context, prefix, plan, oldest, tip).await
        }
        tip => {
            if tip.is_some() && far && !network.has_block {
                warn!(
                    height = stored.height,
                    "an archive replays every block, and peers that answered have pruned the next one: it waits for a peer that has it"
                );
            }
            Start {
                plan,
                oldest: oldest.get(),
                operations,
                floor,
            }
        }
    }
}

/// How many operations the log of the state has above its floor after the block with this header.
fn operations(header: &Header) -> u64 {
    let size = header.state_operations_size;
    size.saturating_sub(header.state_operations_floor)
}

/// Whether state has to be fetched to get from `height` to where the network is.
fn is_far(history: &History, height: u64, network: &Network) -> bool {
    let ahead = network.ahead_of(height);
    ahead > history.state_sync_blocks || (ahead > NEAR_BLOCKS && !network.has_block)
}

/// Plans a state sync to `tip`.
///
/// The state itself stays: it is the beginning of the same log, and what of it is still active is
/// not fetched again. Votes are not touched: they bind this validator whatever its state.
///
/// A crash between two of these steps leaves a node that decides anew, or goes on from where it
/// was: nothing is taken away that it needs for either.
async fn sync_to<E: Context>(
    context: &E,
    prefix: &str,
    mut plan: Plan<E>,
    oldest: Oldest<E>,
    tip: Tip,
) -> Start<E> {
    info!(height = tip.header.height, "fetching state");
    let oldest = oldest.set(tip.header.height).await;
    if !plan.may_sync() {
        drop(plan);
        let partition = format!("{prefix}{PLAN_SUFFIX}");
        match context.remove(&partition, None).await {
            Ok(()) => {}
            Err(RuntimeError::PartitionMissing(_)) => {
                warn!(partition, "no record of a completed sync");
            }
            Err(error) => panic!("the record of the last sync cannot be removed: {error}"),
        }
        plan = Plan::init(context.child("plan").with_attribute("anew", 1), prefix).await;
    }
    let plan = plan.set_floor(tip.finalization).await;
    Start {
        oldest: oldest.get(),
        operations: operations(&tip.header),
        floor: plan.floor().cloned(),
        plan,
    }
}

/// What the archives hold, of which everything from `oldest` on is one chain without gaps.
pub(crate) async fn stored<C, B>(certificates: &C, blocks: &B, oldest: u64) -> Stored
where
    C: Certificates<BlockDigest = Digest, Commitment = Digest, Scheme = ConsensusScheme>,
    B: Blocks<Block = Arc<ConsensusBlock>>,
{
    let first = Height::new(oldest.max(1));
    let range = match blocks.next_gap(first) {
        (Some(last), _) => Some((first, last)),
        // Below the first block everything is pruned.
        (None, next) => next.and_then(|first| Some((first, blocks.next_gap(first).0?))),
    };
    let (from, height) = range.map_or((0, 0), |(first, last)| (first.get(), last.get()));
    let tip = match certificates.last_index() {
        Some(height) => newest(certificates, blocks, height).await,
        None => None,
    };
    Stored { from, height, tip }
}

async fn newest<C, B>(certificates: &C, blocks: &B, height: Height) -> Option<Tip>
where
    C: Certificates<BlockDigest = Digest, Commitment = Digest, Scheme = ConsensusScheme>,
    B: Blocks<Block = Arc<ConsensusBlock>>,
{
    let id = height.get();
    let finalization = certificates.get(Identifier::Index(id)).await.ok()??;
    let block = blocks.get(Identifier::Index(id)).await.ok()??;
    Some(Tip {
        finalization,
        header: block.block().header().clone(),
    })
}
