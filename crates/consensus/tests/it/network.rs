//! Four validators that can be started, crashed, watched, and put up to lying.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use commonware_cryptography::{Signer as _, ed25519::PublicKey};
use commonware_p2p::simulated::{self, Link, Network as Links, Oracle};
use commonware_runtime::{
    Clock as _, Handle, Quota, Spawner as _, Supervisor as _, deterministic::Context,
};
use commonware_utils::{NZU32, NZU64, NZUsize, probability};
use futures::{channel::oneshot, future::select_all};
use og_chain::{Block, Rules, registry};
use og_consensus::{
    History, Intake, NETWORK_CHANNELS, Pool, Schemes, Timing, epochs::Marshal, max_message_bytes,
};
use og_crypto::{ConsensusKey, NodeKey, SeatKey, validators::genesis_validator};
use og_sim::validator::{self, Config, Line, Local, Outlet, Receiver, Watch};
use og_state::Databases;
use og_types::{
    Amount, BlockHash, Computed, Genesis, GenesisAccount, ModelId, Record, RequestId, SignedRecord,
    Tier,
};
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

pub(crate) const VALIDATORS: usize = 4;
/// Short, so that a run crosses many epochs.
const EPOCH_LENGTH: u64 = 12;
const CHAIN_ID: u64 = 88_211;
/// Enough for several requests of state.
const ACCOUNTS: u64 = 2000;

/// The accounts of [`payer`] have tokens.
const PAYERS: u8 = 2;
/// The model that is registered.
const MODEL: ModelId = ModelId([7; 32]);
/// Who is paid for the registered inference node's work.
const PAYEE: Address = Address::repeat_byte(0x9a);

/// An account with its key.
pub(crate) fn payer(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(index + 1)).unwrap()
}

/// A raw transfer of nothing by `signer`.
pub(crate) fn transfer(signer: &PrivateKeySigner, nonce: u64) -> Bytes {
    let transfer = TxEip1559 {
        nonce,
        gas_limit: 21_000,
        to: Address::ZERO.into(),
        ..TxEip1559::default()
    };
    sign(signer, transfer)
}

/// A raw transaction by `signer` that pays enough.
pub(crate) fn sign(signer: &PrivateKeySigner, transaction: TxEip1559) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        ..transaction
    };
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    signed.encoded_2718().into()
}

/// The registered inference node's key.
fn node() -> NodeKey {
    NodeKey::from_seed([9; 32])
}

/// What is kept in these tests: little.
pub(crate) fn history() -> History {
    History {
        retain_blocks: Some(16),
        state_sync_blocks: 64,
        blocks_per_file: NZU64!(8),
    }
}

/// Everything that exists before the first block, and all that became final since.
pub(crate) struct World {
    rules: Arc<Rules>,
    consensus: Vec<ConsensusKey>,
    pub(crate) keys: Vec<PublicKey>,
    /// Hash and state root of each final block.
    blocks: Mutex<BTreeMap<u64, (BlockHash, B256)>>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut seats: Vec<_> = (0..VALIDATORS)
            .map(|_| (SeatKey::random(&mut rng), ConsensusKey::random(&mut rng)))
            .collect();
        seats.sort_by_key(|(seat, _)| seat.id());
        let account = |number: u64| {
            let address = Address::left_padding_from(&(number + 1000).to_be_bytes());
            let account = GenesisAccount {
                balance: U256::from(number),
                ..GenesisAccount::default()
            };
            (address, account)
        };
        let rich = GenesisAccount {
            balance: U256::from(10).pow(U256::from(21)),
            ..GenesisAccount::default()
        };
        let genesis = Genesis {
            version: 1,
            network: "test".to_owned(),
            chain_id: CHAIN_ID,
            timestamp_ms: 0,
            epoch_length: EPOCH_LENGTH,
            gas_limit: 30_000_000,
            base_fee_per_gas: 1_000_000_000,
            validators: seats
                .iter()
                .map(|(seat, key)| genesis_validator(seat, key, Address::ZERO))
                .collect(),
            alloc: (0..ACCOUNTS)
                .map(account)
                .chain((0..PAYERS).map(|index| (payer(index).address(), rich.clone())))
                .chain([(
                    registry::REGISTRY,
                    registry::predeploy(&[(node().id(), PAYEE)], &[MODEL], PAYEE),
                )])
                .collect(),
        };
        Arc::new(Self {
            rules: Arc::new(Rules::new(genesis).unwrap()),
            keys: seats.iter().map(|(seat, _)| seat.0.public_key()).collect(),
            consensus: seats.into_iter().map(|(_, key)| key).collect(),
            blocks: Mutex::default(),
        })
    }

    /// A record that blocks may hold for two minutes from `now_ms` on.
    pub(crate) fn record(&self, request: RequestId, now_ms: u64) -> SignedRecord {
        let record = Record {
            version: 1,
            chain_id: CHAIN_ID,
            request_id: request,
            payer: Address::ZERO,
            payee: PAYEE,
            price: Amount(0),
            model: MODEL,
            tier: Tier::Signed,
            computed: Computed::Float,
            valid_from_ms: now_ms,
            valid_until_ms: now_ms + 120_000,
            input_commitment: B256::repeat_byte(1),
            output_commitment: B256::repeat_byte(2),
            seed: 0,
            input_units: 1,
            output_units: 1,
            started_at_ms: now_ms,
            finished_at_ms: now_ms,
            node: node().id(),
            evidence: None,
        };
        node().sign(&self.rules.genesis_hash(), record)
    }

    /// The state root that the final block at `height` commits to.
    pub(crate) fn state_root(&self, height: u64) -> Option<B256> {
        self.blocks.lock().get(&height).map(|(_, root)| *root)
    }
}

/// What one validator finalized in which order, and whether it goes on.
#[derive(Clone, Default)]
struct Life {
    heights: Arc<Mutex<Vec<u64>>>,
    has_ended: Arc<AtomicBool>,
}

impl Life {
    /// Writes down each block, and compares it with the others'.
    fn watch(&self, world: Arc<World>) -> Watch {
        let heights = Arc::clone(&self.heights);
        Watch::new(move |block: &Block, _| {
            let header = block.header();
            let seen = (block.hash(), header.state_root);
            let first = *world.blocks.lock().entry(header.height).or_insert(seen);
            assert_eq!(first, seen, "two blocks at height {}", header.height);
            heights.lock().push(header.height);
        })
    }
}

/// A validator that runs.
pub(crate) struct Running {
    task: Handle<()>,
    life: Life,
    pub(crate) pool: Pool,
    pub(crate) intake: Intake<Local>,
    pub(crate) databases: Databases<Local>,
    pub(crate) marshal: Marshal,
}

impl Running {
    /// The heights of the blocks that it executed since it was started, in order.
    pub(crate) fn heights(&self) -> Vec<u64> {
        self.life.heights.lock().clone()
    }

    /// Whether one of its actors has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.life.has_ended.load(Ordering::Relaxed)
    }

    pub(crate) fn height(&self) -> u64 {
        self.heights().last().copied().unwrap_or_default()
    }
}

/// A validator that is being started.
pub(crate) struct Starting {
    task: Handle<()>,
    life: Life,
    pool: Pool,
    up: oneshot::Receiver<(Intake<Local>, Databases<Local>, Marshal)>,
}

impl Starting {
    pub(crate) async fn up(self) -> Running {
        let (intake, databases, marshal) = self.up.await.expect("the validator starts");
        Running {
            task: self.task,
            life: self.life,
            pool: self.pool,
            intake,
            databases,
            marshal,
        }
    }

    /// Ends it at once.
    pub(crate) fn crash(self) {
        self.task.abort();
    }
}

/// The validators' network.
pub(crate) struct Network {
    pub(crate) context: Context,
    pub(crate) world: Arc<World>,
    pub(crate) oracle: Oracle<PublicKey, Context>,
    pub(crate) empty_block_interval: Duration,
    starts: usize,
}

impl Network {
    pub(crate) async fn new(context: &Context, world: &Arc<World>) -> Self {
        let (links, oracle) = Links::new_with_peers(
            context.child("network"),
            simulated::Config {
                max_size: max_message_bytes(VALIDATORS as u32),
                max_peers_per_set: NZUsize!(VALIDATORS),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(1),
            },
            world.keys.clone(),
        )
        .await;
        links.start();
        let network = Self {
            context: context.child("validators"),
            world: Arc::clone(world),
            oracle,
            empty_block_interval: Duration::from_millis(20),
            starts: 0,
        };
        for (index, from) in world.keys.iter().enumerate() {
            for to in &world.keys[..index] {
                network.connect(from, to).await;
            }
        }
        network
    }

    async fn connect(&self, one: &PublicKey, other: &PublicKey) {
        for (from, to) in [(one, other), (other, one)] {
            let link = Link {
                latency: Duration::from_millis(10),
                jitter: Duration::from_millis(2),
                success_rate: probability!(0.99),
            };
            let added = self.oracle.add_link(from.clone(), to.clone(), link).await;
            added.expect("the link is new");
        }
    }

    /// Connects a validator that was cut off.
    pub(crate) async fn link(&self, validator: usize) {
        let key = &self.world.keys[validator];
        for other in self.world.keys.iter().filter(|other| *other != key) {
            self.connect(key, other).await;
        }
    }

    /// Cuts a validator off from all others.
    pub(crate) async fn cut(&self, validator: usize) {
        let key = &self.world.keys[validator];
        for other in self.world.keys.iter().filter(|other| *other != key) {
            for (from, to) in [(key, other), (other, key)] {
                let removed = self.oracle.remove_link(from.clone(), to.clone()).await;
                removed.expect("the link exists");
            }
        }
    }

    /// One validator's ends of a channel.
    pub(crate) async fn channel(&self, validator: usize, channel: u64) -> (Line, Receiver) {
        let control = self.oracle.control(self.world.keys[validator].clone());
        let quota = Quota::per_second(NZU32!(1024));
        control.register(channel, quota).await.unwrap()
    }

    /// Launches a validator. The channels in `without` do not reach it: somebody else has them.
    pub(crate) async fn launch(
        &mut self,
        validator: usize,
        history: History,
        without: &[u64],
    ) -> Starting {
        self.starts += 1;
        let mut ends = Vec::new();
        for (channel, _) in NETWORK_CHANNELS {
            let nowhere = if without.contains(&channel) { 100 } else { 0 };
            let (line, receiver) = self.channel(validator, channel + nowhere).await;
            ends.push((Outlet::new(channel, line), receiver));
        }
        let world = &self.world;
        let life = Life::default();
        let has_ended = Arc::clone(&life.has_ended);
        let pool = Pool::default();
        let config = Config {
            rules: Arc::clone(&world.rules),
            seat: world.keys[validator].clone(),
            schemes: Schemes::signer(&world.rules, &world.consensus[validator]).unwrap(),
            peers: self.oracle.manager(),
            blocker: self.oracle.control(world.keys[validator].clone()),
            pool: pool.clone(),
            observer: life.watch(Arc::clone(world)),
            timing: Timing {
                empty_block_interval: self.empty_block_interval,
                leader: Duration::from_millis(500),
                certification: Duration::from_secs(1),
                retry: Duration::from_millis(500),
            },
            history,
            partition_prefix: prefix(validator),
        };
        let channels = validator::channels(ends);
        let context = self
            .context
            .child("validator")
            .with_attribute("index", validator)
            .with_attribute("start", self.starts);
        let (sender, up) = oneshot::channel();
        let task = context.spawn(move |context| async move {
            let validator = validator::start(Local::new(context, 0), config, channels).await;
            let _ = sender.send((validator.intake, validator.databases, validator.marshal));
            let (ended, ..) = select_all(validator.handles).await;
            ended.expect("no actor fails");
            has_ended.store(true, Ordering::Relaxed);
        });
        Starting {
            task,
            life,
            pool,
            up,
        }
    }

    pub(crate) async fn start(&mut self, validator: usize) -> Running {
        self.launch(validator, history(), &[]).await.up().await
    }

    /// Launches the validators together and waits until all are up.
    pub(crate) async fn start_all(&mut self, validators: &[usize]) -> Vec<Running> {
        let mut starting = Vec::new();
        for validator in validators {
            starting.push(self.launch(*validator, history(), &[]).await);
        }
        let mut running = Vec::new();
        for starting in starting {
            running.push(starting.up().await);
        }
        running
    }

    /// Ends a validator at once.
    pub(crate) fn crash(&self, running: Running) {
        running.task.abort();
    }

    /// Waits until a validator has executed the block at `height`.
    pub(crate) async fn reach(&self, running: &Running, height: u64) {
        let deadline = self.context.current() + Duration::from_secs(600);
        while running.height() < height {
            let now = self.context.current();
            assert!(now < deadline, "stuck at height {}", running.height());
            self.context.sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether a validator's database is what some final block since `height` says.
    pub(crate) async fn check_state(&self, running: &Running, height: u64) {
        let root: B256 = running.databases.read().await.root().0.into();
        let newest = running.height() + 1;
        let found = (height..=newest).find(|height| self.world.state_root(*height) == Some(root));
        assert!(found.is_some(), "no block up to {newest} has this state");
    }

    /// Who has blocked whom, by number.
    pub(crate) async fn blocked(&self) -> Vec<(usize, usize)> {
        let number = |key| {
            self.world
                .keys
                .iter()
                .position(|other| *other == key)
                .unwrap()
        };
        let blocked = self.oracle.blocked().await.unwrap();
        blocked
            .into_iter()
            .map(|(by, whom)| (number(by), number(whom)))
            .collect()
    }
}

/// Prefix of what a validator stores.
pub(crate) fn prefix(validator: usize) -> String {
    format!("validator-{validator}")
}

/// Simulated time began long after the genesis file's.
pub(crate) fn config(seed: u64) -> commonware_runtime::deterministic::Config {
    commonware_runtime::deterministic::Config::new()
        .with_seed(seed)
        .with_start_time(UNIX_EPOCH + Duration::from_secs(1000))
        .with_timeout(Some(Duration::from_secs(3600)))
}
