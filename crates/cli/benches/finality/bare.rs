//! The bare engine: four validators in one process that agree on empty blocks.

use bytes::BufMut;
use commonware_broadcast::buffered;
use commonware_codec::{
    Buf, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt as _, Write,
};
use commonware_consensus::{
    Application, BoundedBlock, Heightable, Reporter,
    marshal::{
        self, Start, Update,
        ancestry::Ancestry,
        core::Actor as Marshal,
        resolver::p2p as backfill,
        standard::{Inline, Standard},
    },
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
        types::Context as SimplexContext,
    },
    types::{Epoch, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::{
    ChaCha20Poly1305, Digested, Digestible, Hasher as _, Keccak256, Signer as _,
    certificate::{Provider, Verifier as _},
    ed25519::PublicKey,
    keccak256::Digest,
};
use commonware_p2p::{
    Address, AddressableManager as _,
    authenticated::lookup::{self, Network},
};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock as _, Handle, Quota, Runner as _, Supervisor as _,
    buffer::paged::CacheRef,
    tokio::{Config as RuntimeConfig, Context, Runner},
};
use commonware_storage::{archive::prunable, translator::EightCap};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{
    Acknowledgement as _, NZDuration, NZU16, NZU32, NZU64, NZUsize, ordered::Map,
};
use futures::StreamExt as _;
use og_chain::rules::Rules;
use og_consensus::{ConsensusScheme, Schemes};
use og_node::{
    config::NodeConfig,
    keys::{read_consensus_key, read_seat_key},
    network::{Network as Folder, NetworkPlan, read_genesis},
};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

const VALIDATORS: u16 = 4;
/// One epoch that does not end here.
const EPOCH_LENGTH: u64 = u64::MAX / 4;
const NAMESPACE: &[u8] = b"_OG_BARE_ENGINE";
const MESSAGES_PER_SECOND: Quota = Quota::per_second(NZU32!(1024));
const BUFFER_BYTES: usize = 1 << 20;

/// What was measured, over all blocks of one validator.
pub(crate) struct Bare {
    pub(crate) blocks: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A block without content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Empty {
    parent: Digest,
    height: Height,
    proposed_at_us: u64,
}

impl Write for Empty {
    fn write(&self, buffer: &mut impl BufMut) {
        self.parent.write(buffer);
        self.height.write(buffer);
        self.proposed_at_us.write(buffer);
    }
}

impl Read for Empty {
    type Cfg = ();

    fn read_cfg(buffer: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self {
            parent: Digest::read(buffer)?,
            height: Height::read(buffer)?,
            proposed_at_us: u64::read(buffer)?,
        })
    }
}

impl EncodeSize for Empty {
    fn encode_size(&self) -> usize {
        Digest::SIZE + self.height.encode_size() + 8
    }
}

impl Digestible for Empty {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        Keccak256::hash(&[
            self.parent.as_ref(),
            &self.height.get().to_be_bytes(),
            &self.proposed_at_us.to_be_bytes(),
        ])
    }
}

impl Heightable for Empty {
    fn height(&self) -> Height {
        self.height
    }
}

impl commonware_consensus::Block for Empty {
    fn parent(&self) -> Digest {
        self.parent
    }
}

impl BoundedBlock for Empty {
    fn max_encode_size((): &()) -> usize {
        Digest::SIZE + 10 + 8
    }
}

/// Proposes the next empty block at once and finds every block valid.
#[derive(Clone)]
struct Nothing;

impl Application<Context> for Nothing {
    type SigningScheme = ConsensusScheme;
    type Context = SimplexContext<Digest, PublicKey>;
    type Block = Empty;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, _): (Context, Self::Context),
        mut ancestry: impl Ancestry<Empty>,
        (): (),
    ) -> Option<Digested<Empty>> {
        let parent = ancestry.next().await?;
        let block = Empty {
            parent: parent.digest(),
            height: parent.height().next(),
            proposed_at_us: now_us(&clock),
        };
        let digest = block.digest();
        Some(Digested::precomputed(block, digest))
    }

    async fn verify(&mut self, _: (Context, Self::Context), _: impl Ancestry<Empty>) -> bool {
        true
    }
}

/// Notes how long each block took.
#[derive(Clone)]
struct Watch {
    clock: Arc<Context>,
    took_us: Arc<Mutex<Vec<u64>>>,
}

impl Reporter for Watch {
    type Activity = Update<Empty>;

    fn report(&mut self, update: Self::Activity) -> commonware_actor::Feedback {
        if let Update::Block(block, acknowledgement) = update {
            let took = now_us(&self.clock).saturating_sub(block.inner().proposed_at_us);
            self.took_us.lock().expect("no holder panics").push(took);
            acknowledgement.acknowledge();
        }
        commonware_actor::Feedback::Ok
    }
}

fn now_us(clock: &Context) -> u64 {
    let elapsed = clock.current().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    })
}

/// Runs the engine for some seconds with the keys of a fresh network in `folder`.
pub(crate) fn measure(folder: &Path, seconds: u64) -> Bare {
    let plan = NetworkPlan {
        validators: VALIDATORS,
        ..NetworkPlan::default()
    };
    let keys = Folder::create(&folder.join("keys"), &plan, &mut rand::rng()).expect("keys");
    let runtime = RuntimeConfig::new()
        .with_worker_threads(2)
        .with_tcp_nodelay(Some(true))
        .with_storage_directory(folder.join("storage"));
    let mut took_us = Runner::new(runtime).start(|context| async move {
        let watch = Watch {
            clock: Arc::new(context.child("clock")),
            took_us: Arc::default(),
        };
        let handles = start_all(&context, &keys, &watch).await;
        context.sleep(Duration::from_secs(seconds)).await;
        for handle in handles {
            handle.abort();
        }
        std::mem::take(&mut *watch.took_us.lock().expect("no holder panics"))
    });
    took_us.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a few milliseconds")]
    let quantile = |percent: usize| took_us[(took_us.len() - 1) * percent / 100] as f64 / 1000.0;
    Bare {
        blocks: took_us.len(),
        p50_ms: quantile(50),
        p99_ms: quantile(99),
    }
}

/// Starts every validator; the first one's blocks are watched.
async fn start_all(context: &Context, keys: &Folder, watch: &Watch) -> Vec<Handle<()>> {
    let genesis = read_genesis(&keys.genesis_path()).expect("a genesis file");
    let rules = Rules::new(genesis).expect("rules");
    let mut seats = Vec::new();
    for node in &keys.nodes {
        if let NodeConfig::Validator(config) = &node.config {
            let seat = read_seat_key(&config.seat_key).expect("a seat key");
            let key = read_consensus_key(&config.consensus_key).expect("a consensus key");
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            seats.push((seat, key, free.local_addr().expect("an address")));
        }
    }
    let peers: Vec<(PublicKey, Address)> = seats
        .iter()
        .map(|(seat, _, address)| (seat.0.public_key(), (*address).into()))
        .collect();
    let peers: Map<PublicKey, Address> = peers.try_into().expect("distinct keys");
    let mut handles = Vec::new();
    for (index, (seat, key, address)) in seats.into_iter().enumerate() {
        let schemes = Schemes::signer(&rules, &key).expect("a seat of the set");
        let sink = Watch {
            took_us: if index == 0 {
                Arc::clone(&watch.took_us)
            } else {
                Arc::default()
            },
            clock: Arc::clone(&watch.clock),
        };
        let context = context.child("validator").with_attribute("index", index);
        handles.extend(start_one(context, index, seat, schemes, address, &peers, sink).await);
    }
    handles
}

async fn start_one(
    context: Context,
    index: usize,
    seat: og_crypto::SeatKey,
    schemes: Schemes,
    address: SocketAddr,
    peers: &Map<PublicKey, Address>,
    watch: Watch,
) -> Vec<Handle<()>> {
    let me = seat.0.public_key();
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: seat.0,
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let validators = u32::from(VALIDATORS);
    let max_message_bytes = commonware_p2p::max_message_size(&[
        simplex::max_payload_size::<ConsensusScheme, Digest>(validators),
        marshal::max_payload_size::<Standard<Empty>, ConsensusScheme>(validators, &()),
    ]);
    let (mut network, mut oracle) = Network::new(
        context.child("network"),
        lookup::Config::local(
            handshake,
            NAMESPACE,
            address,
            NZUsize!(VALIDATORS as usize),
            max_message_bytes,
            NZUsize!(1024),
        ),
    );
    oracle.track(0, peers.clone());
    let [votes, certificates, resolver, blocks, backfill] =
        [0, 1, 2, 3, 4].map(|channel| network.register(channel, MESSAGES_PER_SECOND));
    let mut handles = vec![network.start()];

    let prefix = format!("bare-{index}");
    let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(1024));
    let buffer_bytes = NZUsize!(BUFFER_BYTES);
    let genesis = Empty {
        parent: Keccak256::hash(&[b"bare"]),
        height: Height::zero(),
        proposed_at_us: 0,
    };
    let genesis_digest = genesis.digest();
    let resolver_of_blocks = backfill::init(
        context.child("backfill"),
        backfill::Config {
            public_key: me.clone(),
            peer_provider: oracle.clone(),
            blocker: oracle.clone(),
            mailbox_size: NZUsize!(1024),
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            priority_requests: false,
            priority_responses: false,
        },
        backfill,
    );
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: me,
            mailbox_size: NZUsize!(1024),
            deque_size: 16,
            priority: true,
            codec_config: (),
            peer_provider: oracle.clone(),
            strategy: Sequential,
        },
    );
    handles.push(broadcast.start(blocks));
    let certificates_archive = prunable::Archive::init(
        context.child("certificates"),
        archive(
            &prefix,
            "certificates",
            &page_cache,
            ConsensusScheme::certificate_codec_config_unbounded(),
        ),
    )
    .await
    .expect("an archive of certificates");
    let blocks_archive = prunable::Archive::init(
        context.child("blocks"),
        archive(&prefix, "blocks", &page_cache, ()),
    )
    .await
    .expect("an archive of blocks");
    let epocher = FixedEpocher::new(NZU64!(EPOCH_LENGTH));
    let (actor, mailbox, _) = Marshal::<_, Standard<Empty>, _, _, _, _, _>::init(
        context.child("marshal"),
        certificates_archive,
        blocks_archive,
        marshal::Config {
            provider: schemes.clone(),
            epocher: epocher.clone(),
            start: Start::Genesis(Digested::precomputed(genesis, genesis_digest)),
            partition_prefix: format!("{prefix}-marshal"),
            mailbox_size: NZUsize!(1024),
            view_retention: ViewDelta::new(64),
            prunable_items_per_section: NZU64!(4096),
            page_cache: page_cache.clone(),
            replay_buffer: buffer_bytes,
            key_write_buffer: buffer_bytes,
            value_write_buffer: buffer_bytes,
            block_codec_config: (),
            max_repair: NZUsize!(16),
            max_pending_acks: NZUsize!(16),
            strategy: Sequential,
        },
    )
    .await;
    let automaton = Inline::new(context.child("inline"), Nothing, mailbox, epocher);
    handles.push(actor.start(watch, buffer, resolver_of_blocks));
    let scheme = Provider::scheme(&schemes, Epoch::zero()).expect("the set of the first epoch");
    let engine = simplex::Engine::new(
        context.child("simplex"),
        simplex::Config {
            scheme: scheme.as_ref().clone(),
            elector: RoundRobin::<Keccak256>::default(),
            blocker: oracle,
            automaton: automaton.clone(),
            relay: automaton.clone(),
            reporter: automaton,
            track_historical_votes: false,
            strategy: Sequential,
            partition: format!("{prefix}-simplex"),
            mailbox_size: NZUsize!(1024),
            epoch: Epoch::zero(),
            floor: Floor::Genesis(genesis_digest),
            replay_buffer: buffer_bytes,
            write_buffer: buffer_bytes,
            page_cache,
            leader_timeout: Duration::from_secs(2),
            certification_timeout: Duration::from_secs(3),
            timeout_retry: Duration::from_secs(1),
            view_retention: ViewDelta::new(64),
            skip: SkipPolicy::Enabled {
                timeout: Duration::from_secs(4),
                budget: SkipBudget::Participants,
            },
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            forward: ForwardPolicy::SilentLeader,
        },
    );
    handles.push(engine.start(votes, certificates, resolver));
    handles
}

fn archive<C>(
    prefix: &str,
    name: &str,
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
        items_per_section: NZU64!(4096),
        key_write_buffer: NZUsize!(BUFFER_BYTES),
        value_write_buffer: NZUsize!(BUFFER_BYTES),
        replay_buffer: NZUsize!(BUFFER_BYTES),
    }
}
