//! A whole validator: every actor, wired to the others.

use crate::{
    application::{Application, Observer, Undecided},
    block::ConsensusBlock,
    channels::Channels,
    epochs::{self, EngineTiming, Epochs, Marshal},
    gossip::{Gossip, MAX_OUTGOING},
    history::{History, Oldest},
    intake::Intake,
    journal::Journal,
    pool::Pool,
    probe::Probe,
    schemes::{ConsensusScheme, Schemes},
    startup,
    throttle::Throttle,
};
use commonware_broadcast::buffered;
use commonware_consensus::{
    Reporters,
    marshal::{
        self,
        core::Actor as MarshalActor,
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    types::{FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, certificate::Verifier as _, ed25519::PublicKey,
};
use commonware_glue::stateful::{self, Stateful, db::SyncEngineConfig};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::{archive::prunable, translator::EightCap};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize, channel::mpsc};
use og_chain::rules::Rules;
use og_state::{
    Databases, MAX_OPERATIONS, PeerConfig, StatePeers, database_config, empty_commitment,
};
use rand_core::CryptoRng;
use std::{num::NonZeroU64, sync::Arc, time::Duration};

/// Bytes buffered when something is written or replayed.
const BUFFER_BYTES: usize = 1 << 20;
/// Messages queued for an actor.
const MAILBOX: usize = 1024;
/// Blocks of each peer kept while they may still be asked for.
const BLOCKS_PER_PEER: usize = 16;
/// Items in one file of what marshal keeps for the views around the tip.
const ITEMS_PER_SECTION: u64 = 4096;
/// Operations of the state that are asked for at a time, and applied at a time.
const MAX_STATE_REQUESTS: usize = 8;
const STATE_APPLY_BATCH: u64 = 1024;
/// Missing blocks fetched at a time.
const MAX_REPAIR: usize = 32;
/// Finalized blocks handed over before the first is processed.
const MAX_PENDING_BLOCKS: usize = 16;
/// Views behind the finalized tip for which marshal keeps what peers may ask for.
const VIEW_RETENTION: u64 = 64;
/// Pages in the cache of all but the state, and bytes in each.
const CACHE_PAGES: usize = 4096;
const CACHE_PAGE_BYTES: u16 = 4096;

/// How long a validator waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a proposer waits for work before it proposes an empty block; shorter than
    /// `leader`.
    pub empty_block_interval: Duration,
    /// How long the others wait for a proposal.
    pub leader: Duration,
    /// How long they wait for a view to certify; longer than `leader`.
    pub certification: Duration,
    /// Between two attempts to leave a view that is stuck.
    pub retry: Duration,
}

/// What a validator is made of.
#[derive(Debug)]
pub struct Config<P, B, O> {
    /// The chain.
    pub rules: Arc<Rules>,
    /// The seat's key on the network.
    pub seat: PublicKey,
    /// Signing schemes by epoch.
    pub schemes: Schemes,
    /// The peers of each epoch.
    pub peers: P,
    /// Blocks peers that prove to be faulty.
    pub blocker: B,
    /// What waits to be proposed.
    pub pool: Pool,
    /// Learns of finalized blocks.
    pub observer: O,
    /// Timeouts.
    pub timing: Timing,
    /// What is kept of the chain.
    pub history: History,
    /// Prefix of what is stored.
    pub partition_prefix: String,
}

/// A running validator.
pub struct Validator<E: Spawner + Storage + Clock + Metrics> {
    /// Takes transactions and records in.
    pub intake: Intake<E>,
    /// The latest finalized state.
    pub databases: Databases<E>,
    /// Finalized blocks and certificates.
    pub marshal: Marshal,
    /// What was executed and is not final yet.
    pub undecided: Undecided,
    /// The height from which on it has every block that it has not pruned: 0, or where its last
    /// state sync began.
    pub oldest: u64,
    /// The actors: the validator has failed when one of them ends.
    pub handles: Vec<Handle<()>>,
}

impl<E: Spawner + Storage + Clock + Metrics> std::fmt::Debug for Validator<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validator").finish_non_exhaustive()
    }
}

impl<E> Validator<E>
where
    E: Spawner + Storage + Clock + Metrics + CryptoRng,
{
    /// Starts every actor and returns when the state is open. A node without a chain, or far
    /// behind, first asks its peers and fetches their state, so that may take long.
    ///
    /// # Panics
    /// If what is stored under the prefix cannot be opened: the runtime reports why.
    pub async fn start<P, B, O, S, R>(
        context: E,
        config: Config<P, B, O>,
        channels: Channels<S, R>,
    ) -> Self
    where
        P: Provider<PublicKey = PublicKey>,
        B: Blocker<PublicKey = PublicKey>,
        O: Observer,
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        let prefix = config.partition_prefix.clone();
        let page_cache = CacheRef::new(NZU16!(CACHE_PAGE_BYTES), NZUsize!(CACHE_PAGES));
        let genesis = genesis_block::<E>(&config.rules);
        let epoch_length = NonZeroU64::new(config.rules.genesis().epoch_length)
            .expect("the rules reject an epoch of no blocks");
        let epocher = FixedEpocher::new(epoch_length);

        let resolver = marshal_resolver::init(
            context.child("backfill"),
            marshal_resolver::Config {
                public_key: config.seat.clone(),
                peer_provider: config.peers.clone(),
                blocker: config.blocker.clone(),
                mailbox_size: NZUsize!(MAILBOX),
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                priority_requests: false,
                priority_responses: false,
            },
            channels.backfill,
        );
        let (broadcast, buffer) = buffered::Engine::new(
            context.child("broadcast"),
            buffered::Config {
                public_key: config.seat.clone(),
                mailbox_size: NZUsize!(MAILBOX),
                deque_size: BLOCKS_PER_PEER,
                priority: true,
                codec_config: (),
                peer_provider: config.peers.clone(),
                strategy: Sequential,
            },
        );
        let broadcast = broadcast.start(channels.blocks);

        let certificates = prunable::Archive::init(
            context.child("certificates"),
            archive(
                &prefix,
                "certificates",
                config.history.blocks_per_file,
                &page_cache,
                ConsensusScheme::certificate_codec_config_unbounded(),
            ),
        )
        .await
        .expect("the archive of certificates cannot be opened");
        let blocks = prunable::Archive::init(
            context.child("blocks"),
            archive(
                &prefix,
                "blocks",
                config.history.blocks_per_file,
                &page_cache,
                (),
            ),
        )
        .await
        .expect("the archive of blocks cannot be opened");

        let mut probe = Probe {
            context: context.child("probe"),
            blocker: config.blocker.clone(),
            schemes: config.schemes.clone(),
            sender: channels.probe.0,
            receiver: channels.probe.1,
        };
        let oldest = Oldest::open(context.child("oldest"), &prefix).await;
        let stored = startup::stored(&certificates, &blocks, oldest.get()).await;
        let startup::Start {
            plan,
            oldest,
            operations,
            floor: network_floor,
        } = startup::decide(
            &context,
            &prefix,
            &config.history,
            oldest,
            &stored,
            &mut probe,
        )
        .await;
        let (state_peers, state_peers_handle) = StatePeers::start(
            context.child("state_peers"),
            PeerConfig {
                public_key: config.seat.clone(),
                peers: config.peers.clone(),
                blocker: config.blocker.clone(),
            },
            channels.state,
        );
        let (marshal_actor, marshal, floor) =
            MarshalActor::<_, Standard<ConsensusBlock>, _, _, _, _, _>::init(
                context.child("marshal"),
                config.history.retained(certificates),
                config.history.retained(blocks),
                marshal::Config {
                    provider: config.schemes.clone(),
                    epocher: epocher.clone(),
                    start: plan
                        .marshal_start(Digested::precomputed(genesis.clone(), genesis.digest())),
                    partition_prefix: format!("{prefix}-marshal"),
                    mailbox_size: NZUsize!(MAILBOX),
                    view_retention: ViewDelta::new(VIEW_RETENTION),
                    prunable_items_per_section: NZU64!(ITEMS_PER_SECTION),
                    page_cache: page_cache.clone(),
                    replay_buffer: NZUsize!(BUFFER_BYTES),
                    key_write_buffer: NZUsize!(BUFFER_BYTES),
                    value_write_buffer: NZUsize!(BUFFER_BYTES),
                    block_codec_config: (),
                    max_repair: NZUsize!(MAX_REPAIR),
                    max_pending_acks: NZUsize!(MAX_PENDING_BLOCKS),
                    strategy: Sequential,
                },
            )
            .await;

        let application = Application::new(
            Arc::clone(&config.rules),
            genesis,
            config.pool.clone(),
            config.observer,
        );
        let undecided = application.undecided();
        let (stateful, state) = Stateful::new(
            context.child("stateful"),
            stateful::Config {
                application,
                db_config: database_config::<E>(&prefix, operations),
                provider: (),
                marshal: (marshal.clone(), floor),
                mailbox_size: NZUsize!(MAILBOX),
                plan,
                resolvers: state_peers,
                sync_config: SyncEngineConfig {
                    fetch_batch_size: MAX_OPERATIONS,
                    apply_batch_size: NZU64!(STATE_APPLY_BATCH),
                    max_outstanding_requests: NZUsize!(MAX_STATE_REQUESTS),
                },
                prune_config: config.history.pruning(),
                strategy: Sequential,
            },
        );
        let automaton = Deferred::new(
            context.child("deferred"),
            Throttle::new(
                state.clone(),
                config.pool.clone(),
                undecided.clone(),
                config.timing.empty_block_interval,
            ),
            marshal.clone(),
            epocher.clone(),
        );
        let (epochs, epochs_mailbox) = Epochs::new(
            context.child("epochs"),
            epochs::Config {
                blocker: config.blocker.clone(),
                schemes: config.schemes,
                automaton,
                marshal: marshal.clone(),
                network_floor,
                epocher,
                timing: EngineTiming {
                    leader: config.timing.leader,
                    certification: config.timing.certification,
                    retry: config.timing.retry,
                },
                partition_prefix: prefix.clone(),
                page_cache,
            },
        );
        let marshal_handle = marshal_actor.start(
            Reporters::from((state.clone(), epochs_mailbox)),
            buffer,
            resolver,
        );
        let stateful = stateful.start();
        let (probed, watch) = (marshal.clone(), config.history.retain_blocks.is_some());
        let probe = context
            .child("probe_server")
            .spawn(move |_| probe.serve(probed, oldest, watch));
        let epochs = epochs.start(channels.votes, channels.certificates, channels.resolver);

        let databases = state.subscribe_databases().await;
        let (outgoing, queue) = mpsc::channel(MAX_OUTGOING);
        let intake = Intake::new(
            context.child("intake"),
            config.rules,
            config.pool.clone(),
            databases.clone(),
            outgoing,
        );
        let journal = Journal::new(context.child("journal"), &prefix, config.pool);
        let journal = journal.start(intake.clone());
        let gossip = Gossip::new(
            context.child("gossip"),
            intake.clone(),
            queue,
            config.blocker,
        )
        .start(channels.gossip);
        Self {
            intake,
            databases,
            marshal,
            undecided,
            oldest,
            handles: vec![
                broadcast,
                marshal_handle,
                state_peers_handle,
                stateful,
                probe,
                epochs,
                gossip,
                journal,
            ],
        }
    }
}

/// Block 0 of the chain: the empty state.
fn genesis_block<E: Spawner + Storage + Clock + Metrics>(rules: &Rules) -> ConsensusBlock {
    let block = rules.genesis_block(&empty_commitment::<E>());
    ConsensusBlock::new(block).expect("the rules check that validators' ids are keys")
}

fn archive<C>(
    prefix: &str,
    name: &str,
    blocks_per_file: NonZeroU64,
    page_cache: &CacheRef,
    codec_config: C,
) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{prefix}-{name}-metadata"),
        key_partition: format!("{prefix}-{name}-key"),
        key_page_cache: page_cache.clone(),
        value_partition: format!("{prefix}-{name}-value"),
        compression: None,
        codec_config,
        items_per_section: blocks_per_file,
        key_write_buffer: NZUsize!(BUFFER_BYTES),
        value_write_buffer: NZUsize!(BUFFER_BYTES),
        replay_buffer: NZUsize!(BUFFER_BYTES),
    }
}
