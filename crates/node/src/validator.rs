//! The validator role: consensus on commonware's tokio runtime, JSON-RPC beside it on another.

use crate::{
    NodeError,
    chain_api::{ChainApi, IndexObserver, keep_certificates},
    config::ValidatorConfig,
    data_dir::DataDir,
    keys, network,
    operated::OperatedValidator,
};
use commonware_cryptography::{ChaCha20Poly1305, Signer as _, ed25519::PublicKey};
use commonware_p2p::{
    Address, AddressableManager as _,
    authenticated::lookup::{self, Network, Oracle},
};
use commonware_runtime::{
    Handle, Runner as _, Spawner as _, Supervisor as _,
    tokio::{Config as RuntimeConfig, Context, Runner},
};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZUsize, ordered::Map};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use og_chain::{Effects, rules::Rules};
use og_consensus::{
    Channels, Config, History, NETWORK_CHANNELS, Pool, Schemes, Timing, Validator,
    max_message_bytes,
};
use og_crypto::SeatKey;
use og_http::{Transport, operator};
use og_rpc::{
    Faucet, Index,
    index::{IndexError, Retention},
    server::connections,
};
use std::{net::TcpListener as StdListener, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
};
use tracing::{info, warn};

const PEER_DOMAIN: &[u8] = b"_OG_PEERS_V1";
/// Messages queued inside the network.
const NETWORK_MAILBOX: usize = 1024;
/// How long the actors may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// A validator is behind when its newest block is older than this many leader timeouts: with
/// less than a third of the validators down, a block comes sooner.
const STALE_LEADER_TIMEOUTS: u32 = 10;
/// Threads for tasks; disk and database work have their own.
const WORKER_THREADS: usize = 2;
/// Threads that serve JSON-RPC, apart from the others, so that consensus has its turn whatever
/// clients ask for.
const RPC_THREADS: usize = 2;
/// How far two validators' clocks may differ in a handshake.
const SYNCHRONY_BOUND: Duration = Duration::from_secs(5);
/// How long a peer may take to answer a dial; then it is dialled anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may be silent: three pings of the network's. After a cut that is longer,
/// peers meet on new connections. On an old one, TCP waits twice as long before each attempt, and
/// the network reads what has piled up no faster than pings may come, so votes would be late for
/// about as long as the cut was.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a handshake stays acceptable.
const MAX_HANDSHAKE_AGE: Duration = Duration::from_secs(10);

/// Runs a validator until the process is told to stop.
///
/// # Errors
/// [`NodeError`] says what to do.
pub(crate) fn run(config: &ValidatorConfig) -> Result<(), NodeError> {
    let genesis = network::read_genesis(&config.genesis)?;
    let rules = Arc::new(Rules::new(genesis)?);
    let seat = keys::read_seat_key(&config.seat_key)?;
    if rules.validators().get(&seat.id()).is_none() {
        return Err(NodeError::NoSeat(seat.id()));
    }
    let consensus_key = keys::read_consensus_key(&config.consensus_key)?;
    let schemes = Schemes::signer(&rules, &consensus_key).map_err(|_| NodeError::NoVote)?;
    let peers = addresses(config, &seat, &rules)?;
    let owner = format!("validator {}", seat.id());
    let data = DataDir::open(&config.data_dir, rules.genesis_hash(), &owner)?;
    let index = open_index(data.join("index.redb"), &rules, retention(config))?;
    // Bind before consensus starts, so that a port in use is an error and not a silent node.
    let listeners = Listeners {
        rpc: crate::bind("JSON-RPC", config.rpc_listen)?,
        operators: crate::bind("operators", config.operator_listen)?,
    };
    drop(crate::bind("peers", config.p2p_listen)?);

    let runtime = RuntimeConfig::new()
        .with_worker_threads(WORKER_THREADS)
        .with_tcp_nodelay(Some(true))
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_write_timeout(SILENCE_TIMEOUT)
        .with_storage_directory(data.join("chain"));
    let rpc = rpc_runtime()?;
    let parts = Parts {
        rules,
        seat,
        schemes,
        peers,
        index: Arc::new(index),
        rpc: rpc.handle().clone(),
    };
    let ended =
        Runner::new(runtime).start(|context| serve(context, config.clone(), parts, listeners));
    // What clients have asked for need not be finished.
    rpc.shutdown_background();
    ended
}

fn rpc_runtime() -> Result<Runtime, NodeError> {
    runtime::Builder::new_multi_thread()
        .worker_threads(RPC_THREADS)
        .thread_name("rpc")
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)
}

/// What to do when the index cannot be used.
const INDEX_ADVICE: &str = "If the disk is full or cannot be written, make room or repair it. \
     If the file is damaged, restore the whole data directory from a backup";

/// The index of final blocks, which begins with block 0.
fn open_index(path: PathBuf, rules: &Rules, retention: Retention) -> Result<Index, NodeError> {
    crate::refuse_empty(&path, INDEX_ADVICE)?;
    let open = || {
        let index = Index::open(&path, retention)?;
        if index.head()?.is_none() {
            let genesis = rules.genesis_block(&og_state::empty_commitment::<Context>());
            index.append(&genesis, &Effects::default())?;
        }
        Ok(index)
    };
    open().map_err(|error: IndexError| crate::database_error(path.clone(), &error, INDEX_ADVICE))
}

/// What was read from disk and found to fit together.
struct Parts {
    rules: Arc<Rules>,
    seat: SeatKey,
    schemes: Schemes,
    peers: Map<PublicKey, Address>,
    index: Arc<Index>,
    /// Where JSON-RPC is served.
    rpc: runtime::Handle,
}

/// Where the node serves others than its peers.
struct Listeners {
    rpc: StdListener,
    operators: StdListener,
}

async fn serve(
    context: Context,
    config: ValidatorConfig,
    parts: Parts,
    listeners: Listeners,
) -> Result<(), NodeError> {
    let stop = crate::stop_signal().shared();
    let pool = Pool::default();
    let operated = operate(&context, &config, &parts, &pool);
    let listener = TcpListener::from_std(listeners.operators).map_err(NodeError::Runtime)?;
    let operators = operator::serve(listener, Arc::clone(&operated), stop.clone());
    context.child("operators").spawn(move |_| operators);

    let (network, oracle, channels) = connect(&context, &config, &parts);
    let mut handles = vec![network];
    let observer = IndexObserver::new(Arc::clone(&parts.index), operated.figures.clone());
    let heights = observer.heights();
    let validator = Validator::start(
        context.child("validator"),
        Config {
            rules: Arc::clone(&parts.rules),
            seat: parts.seat.0.public_key(),
            schemes: parts.schemes,
            peers: oracle.clone(),
            blocker: oracle,
            pool: pool.clone(),
            observer,
            timing: timing(&config),
            history: history(&config),
            partition_prefix: "og".to_owned(),
        },
        channels,
    );
    let validator = tokio::select! {
        validator = validator => validator,
        () = stop.clone() => return Ok(()),
    };
    handles.extend(validator.handles);
    let (index, marshal) = (Arc::clone(&parts.index), validator.marshal);
    let new_heights = heights.clone();
    handles.push(
        context
            .child("certificates")
            .spawn(move |_| keep_certificates(index, marshal, new_heights)),
    );
    let api = ChainApi {
        rules: parts.rules,
        index: parts.index,
        pool,
        intake: validator.intake,
        databases: validator.databases,
        figures: operated.figures.clone(),
        heights,
        submission_patience: Duration::from_millis(config.rpc_answer_when_final_ms),
    };
    let (access, faucet) = (config.access()?, faucet(&config)?);
    let app = og_rpc::app(api, access, faucet, &mut operated.registry.lock())?;
    let rpc = parts.rpc.spawn(async move {
        let listener = TcpListener::from_std(listeners.rpc)?;
        og_http::serve(listener, app, Transport::Http1, connections(), stop).await;
        Ok(())
    });
    info!(
        validator = %parts.seat.id(),
        rpc = %config.rpc_listen,
        operators = %config.operator_listen,
        "validator is up"
    );
    let result = tokio::select! {
        ended = rpc => match ended {
            Ok(served) => served.map_err(NodeError::Runtime),
            Err(error) => Err(NodeError::Actor(error.to_string())),
        },
        reason = first_end(handles) => Err(NodeError::Actor(reason)),
    };
    // Every actor ends between two of its steps. Whatever is half-written even so is recovered on
    // the next start; this merely shortens that.
    if context.stop(0, Some(STOP_TIMEOUT)).await.is_err() {
        warn!("some tasks did not end in time; the next start recovers what they left");
    }
    result
}

/// What gives tokens away, if it is configured.
fn faucet(config: &ValidatorConfig) -> Result<Option<Faucet>, NodeError> {
    let Some(faucet) = &config.faucet else {
        return Ok(None);
    };
    let signer = keys::read_account_key(&faucet.key)?;
    info!(account = %signer.address(), opg = faucet.opg, "a faucet gives tokens to whoever asks");
    Ok(Some(Faucet::new(signer, faucet.opg)))
}

/// What the operator sees from the first moment on, also while the state is being opened.
fn operate(
    context: &Context,
    config: &ValidatorConfig,
    parts: &Parts,
    pool: &Pool,
) -> Arc<OperatedValidator> {
    let operated = OperatedValidator::new(
        context.child("operated"),
        pool.clone(),
        parts.rules.validators().members().len(),
        Duration::from_millis(config.leader_timeout_ms) * STALE_LEADER_TIMEOUTS,
    );
    // If it cannot be read, the next block that becomes final says so.
    if let Ok(Some(head)) = parts.index.head() {
        operated.figures.set_head(&head);
    }
    let figures = operated.figures.clone();
    context
        .child("peers")
        .spawn(move |context| figures.count_peers(context));
    Arc::new(operated)
}

/// Resolves when the first actor ends, which none should before the process does.
async fn first_end(handles: Vec<Handle<()>>) -> String {
    let mut handles: FuturesUnordered<_> = handles.into_iter().collect();
    match handles.next().await {
        Some(Err(error)) => error.to_string(),
        _ => "an actor ended early; the log says why".to_owned(),
    }
}

fn timing(config: &ValidatorConfig) -> Timing {
    let leader = Duration::from_millis(config.leader_timeout_ms);
    Timing {
        empty_block_interval: Duration::from_millis(config.empty_block_interval_ms),
        leader,
        certification: leader * 3 / 2,
        retry: leader / 2,
    }
}

/// Every validator with its address; our own is where we listen.
fn addresses(
    config: &ValidatorConfig,
    seat: &SeatKey,
    rules: &Rules,
) -> Result<Map<PublicKey, Address>, NodeError> {
    let mut pairs = Vec::new();
    for (key, member) in rules
        .validators()
        .keys()
        .iter()
        .zip(rules.validators().members())
    {
        let address = if member.id == seat.id() {
            config.p2p_listen
        } else {
            config
                .peers
                .iter()
                .find(|peer| peer.id == member.id)
                .map(|peer| peer.address)
                .ok_or(NodeError::UnknownPeer(member.id))?
        };
        pairs.push((key.clone(), Address::from(address)));
    }
    Map::try_from(pairs).map_err(|_| NodeError::NoVote)
}

/// What the index keeps.
fn retention(config: &ValidatorConfig) -> Retention {
    let unless_archive = |retained| (!config.archive).then_some(retained);
    Retention {
        blocks: unless_archive(config.retain_blocks),
        states: unless_archive(config.retain_states),
    }
}

fn history(config: &ValidatorConfig) -> History {
    History {
        retain_blocks: (!config.archive).then_some(config.retain_blocks),
        state_sync_blocks: config.state_sync_blocks,
        ..History::default()
    }
}

type PeerSender = lookup::Sender<PublicKey, Context>;
type PeerReceiver = lookup::Receiver<PublicKey>;

/// Opens the network of validators and its channels.
fn connect(
    context: &Context,
    config: &ValidatorConfig,
    parts: &Parts,
) -> (
    Handle<()>,
    Oracle<PublicKey>,
    Channels<PeerSender, PeerReceiver>,
) {
    let validators = u32::try_from(parts.rules.validators().members().len()).unwrap_or(u32::MAX);
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: parts.seat.0.clone(),
            synchrony_bound: SYNCHRONY_BOUND,
            max_handshake_age: MAX_HANDSHAKE_AGE,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let namespace = [PEER_DOMAIN, parts.rules.genesis_hash().as_slice()].concat();
    // `local` allows several validators behind one address and quick reconnection; peers are
    // authenticated and on a list, so what it relaxes does not open the network to strangers.
    let (mut network, mut oracle) = Network::new(
        context.child("network"),
        lookup::Config::local(
            handshake,
            &namespace,
            config.p2p_listen,
            NZUsize!(parts.rules.validators().members().len()),
            max_message_bytes(validators),
            NZUsize!(NETWORK_MAILBOX),
        ),
    );
    oracle.track(0, parts.peers.clone());
    let channels =
        Channels::new(NETWORK_CHANNELS.map(|(channel, quota)| network.register(channel, quota)));
    (network.start(), oracle, channels)
}
