//! The validator role: consensus on commonware's tokio runtime, JSON-RPC beside it.

use crate::{
    NodeError,
    chain_api::{ChainApi, IndexObserver, keep_certificates},
    config::ValidatorConfig,
    data_dir::DataDir,
    keys, network,
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
use futures::{StreamExt as _, stream::FuturesUnordered};
use og_chain::rules::Rules;
use og_consensus::{
    Channels, Config, NETWORK_CHANNELS, Pool, Schemes, Timing, Validator, max_message_bytes,
};
use og_crypto::SeatKey;
use og_rpc::Index;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tracing::{error, info};

const PEER_DOMAIN: &[u8] = b"_OG_PEERS_V1";
/// Messages queued inside the network.
const NETWORK_MAILBOX: usize = 1024;
/// How long the actors may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Threads for tasks; disk and database work have their own.
const WORKER_THREADS: usize = 2;
/// How far two validators' clocks may differ in a handshake.
const SYNCHRONY_BOUND: Duration = Duration::from_secs(5);
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
    let data = DataDir::open(&config.data_dir, rules.genesis_hash())?;
    let index = Index::open(&data.join("index.redb"))?;
    if index.head()?.is_none() {
        let genesis = rules.genesis_block(&og_state::empty_commitment::<Context>());
        index.append(&genesis, &[])?;
    }
    // Bind before consensus starts, so that a port in use is an error and not a silent node.
    let rpc = crate::bind("JSON-RPC", config.rpc_listen)?;
    drop(crate::bind("peers", config.p2p_listen)?);

    let runtime = RuntimeConfig::new()
        .with_worker_threads(WORKER_THREADS)
        .with_tcp_nodelay(Some(true))
        .with_storage_directory(data.join("chain"));
    let parts = Parts {
        rules,
        seat,
        schemes,
        peers,
        index: Arc::new(index),
    };
    Runner::new(runtime).start(|context| serve(context, config.clone(), parts, rpc))
}

/// What was read from disk and found to fit together.
struct Parts {
    rules: Arc<Rules>,
    seat: SeatKey,
    schemes: Schemes,
    peers: Map<PublicKey, Address>,
    index: Arc<Index>,
}

async fn serve(
    context: Context,
    config: ValidatorConfig,
    parts: Parts,
    rpc: std::net::TcpListener,
) -> Result<(), NodeError> {
    let validators = u32::try_from(parts.rules.validators().members().len()).unwrap_or(u32::MAX);
    let (network, oracle, channels) = connect(&context, &config, &parts, validators);
    let mut handles = vec![network];
    let pool = Pool::default();
    let observer = IndexObserver::new(Arc::clone(&parts.index));
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
            partition_prefix: "og".to_owned(),
        },
        channels,
    )
    .await;
    handles.extend(validator.handles);
    let (index, marshal) = (Arc::clone(&parts.index), validator.marshal);
    handles.push(
        context
            .child("certificates")
            .spawn(move |_| keep_certificates(index, marshal, heights)),
    );
    let api = ChainApi {
        rules: parts.rules,
        index: parts.index,
        pool,
        intake: validator.intake,
        databases: validator.databases,
    };
    info!(validator = %parts.seat.id(), rpc = %config.rpc_listen, "validator is up");
    let listener = TcpListener::from_std(rpc).map_err(NodeError::Runtime)?;
    let rpc = context
        .child("rpc")
        .spawn(move |_| og_rpc::serve(listener, api, crate::stop_signal()));
    let failed = first_end(handles);
    let result = tokio::select! {
        () = crate::stop_signal() => {
            info!("stopping");
            Ok(())
        }
        ended = rpc => match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(NodeError::Rpc(error)),
            Err(error) => Err(NodeError::Actor(error.to_string())),
        },
        reason = failed => Err(NodeError::Actor(reason)),
    };
    // Whatever is half-written is recovered on the next start; this merely shortens that.
    let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
    result
}

/// Resolves when the first actor ends, which none should before the process does.
async fn first_end(handles: Vec<Handle<()>>) -> String {
    let mut handles: FuturesUnordered<_> = handles.into_iter().collect();
    match handles.next().await {
        Some(Err(error)) => {
            error!(%error, "an actor failed");
            error.to_string()
        }
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

type PeerSender = lookup::Sender<PublicKey, Context>;
type PeerReceiver = lookup::Receiver<PublicKey>;

/// Opens the network of validators and its channels.
fn connect(
    context: &Context,
    config: &ValidatorConfig,
    parts: &Parts,
    validators: u32,
) -> (
    Handle<()>,
    Oracle<PublicKey>,
    Channels<PeerSender, PeerReceiver>,
) {
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
    let [votes, certificates, resolver, blocks, backfill, gossip] =
        NETWORK_CHANNELS.map(|(channel, quota)| network.register(channel, quota));
    let channels = Channels {
        votes,
        certificates,
        resolver,
        blocks,
        backfill,
        gossip,
    };
    (network.start(), oracle, channels)
}
