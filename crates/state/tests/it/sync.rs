//! State sync between nodes: from honest peers, from liars, and what is served.

use bytes::Bytes;
use commonware_codec::Encode as _;
use commonware_cryptography::{Signer as _, ed25519};
use commonware_glue::stateful::db::{
    AttachableResolver as _, DatabaseSet as _, Shared, StateSyncDb as _, SyncEngineConfig,
};
use commonware_p2p::{
    Recipients, Sender as _,
    simulated::{self, Link, Network, Oracle},
};
use commonware_runtime::{
    Clock as _, Quota, Runner as _, Spawner as _, Supervisor as _,
    deterministic::{Context, Runner},
};
use commonware_storage::{
    mmr::Location,
    qmdb::sync::{Request, Source as _},
};
use commonware_utils::{
    NZU32, NZU64, NZUsize,
    channel::{mpsc, ring},
    probability,
};
use og_chain::state::{Key, MAX_VALUE_BYTES, Value};
use og_sim::validator::{Line, Local, Outlet, Receiver};
use og_state::{
    Database, Databases, Draft, MAX_OPERATIONS, PeerConfig, StatePeers, database_config,
    max_payload_bytes, read_latest,
};
use std::time::Duration;

type Target = commonware_storage::qmdb::sync::Target<
    commonware_storage::mmr::Family,
    commonware_cryptography::sha256::Digest,
>;

const CHANNEL: u64 = 0;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Three connected nodes.
struct World {
    context: Context,
    keys: Vec<ed25519::PublicKey>,
    oracle: Oracle<ed25519::PublicKey, Context>,
}

impl World {
    async fn new(context: &Context) -> Self {
        let mut keys: Vec<_> = (0..3)
            .map(|seed| ed25519::PrivateKey::from_seed(seed).public_key())
            .collect();
        keys.sort();
        let (network, oracle) = Network::new_with_peers(
            context.child("network"),
            simulated::Config {
                max_size: max_payload_bytes() as u32,
                max_peers_per_set: NZUsize!(3),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(1),
            },
            keys.clone(),
        )
        .await;
        network.start();
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                let link = Link {
                    latency: Duration::from_millis(5),
                    jitter: Duration::ZERO,
                    success_rate: probability!(1.0),
                };
                oracle
                    .add_link(from.clone(), to.clone(), link)
                    .await
                    .unwrap();
            }
        }
        Self {
            context: context.child("world"),
            keys,
            oracle,
        }
    }

    async fn channel(&self, node: usize) -> (Line, Receiver) {
        let control = self.oracle.control(self.keys[node].clone());
        let quota = Quota::per_second(NZU32!(1000));
        control.register(CHANNEL, quota).await.unwrap()
    }

    async fn peers(&self, node: usize) -> StatePeers<Local> {
        let context = self.context.child("node").with_attribute("index", node);
        let (line, receiver) = self.channel(node).await;
        let (peers, _handle) = StatePeers::start(
            Local::new(context, 0),
            PeerConfig {
                public_key: self.keys[node].clone(),
                peers: self.oracle.manager(),
                blocker: self.oracle.control(self.keys[node].clone()),
            },
            (Outlet::new(CHANNEL, line), receiver),
        );
        peers
    }

    /// Fetches the state of `target` to a new database of the first node.
    async fn sync(
        &self,
        peers: &StatePeers<Local>,
        prefix: &str,
        target: Target,
    ) -> Database<Local> {
        let context = self.context.child("sync").with_attribute("of", prefix);
        let (_updates, receiver) = ring::channel(NZUsize!(1));
        let (_finish, _) = mpsc::channel::<()>(1);
        Database::sync_db(
            Local::new(context, 0),
            database_config::<Local>(prefix, 0),
            peers.clone(),
            target,
            receiver,
            None,
            None,
            SyncEngineConfig {
                fetch_batch_size: MAX_OPERATIONS,
                apply_batch_size: NZU64!(256),
                max_outstanding_requests: NZUsize!(4),
            },
        )
        .await
        .unwrap()
    }
}

fn key(number: u64) -> Key {
    Key(alloy_primitives::B256::left_padding_from(
        &number.to_be_bytes(),
    ))
}

/// A database in which `blocks` times some keys were written, with values of all sizes.
async fn database(context: &Context, prefix: &str, blocks: u64, salt: u8) -> Databases<Local> {
    let context = context.child("database").with_attribute("of", prefix);
    let config = database_config::<Local>(prefix, 0);
    let databases = Databases::<Local>::init(Local::new(context, 0), config, None).await;
    for block in 0..blocks {
        let mut writes: Vec<_> = (0..20)
            .map(|number| {
                let length = [0, 1, 33, 200][number as usize % 4];
                let value = Value::from(vec![salt ^ block as u8; length]);
                (key(block * 7 + number), Some(value))
            })
            .collect();
        if block == 1 {
            writes[0].1 = Some(Value::from(vec![salt; MAX_VALUE_BYTES]));
            writes[1].1 = None;
        }
        let batch = databases.new_batches().await;
        let draft = Draft::new(batch).await.unwrap();
        let merkleized = draft.merkleize(&writes).await.unwrap();
        databases.apply(merkleized).await;
        assert!(databases.finalize().await.durable().await);
    }
    databases
}

pub(crate) fn run<F, Fut>(test: F)
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = ()>,
{
    Runner::timed(TIMEOUT).start(test);
}

#[test]
fn a_new_node_gets_the_state_and_can_serve_it() {
    run(|context| async move {
        let world = World::new(&context).await;
        let source = database(&context, "source", 40, 0).await;
        let server = world.peers(1).await;
        let client = world.peers(0).await;
        let target = source.committed_targets().await;
        // Nobody has anything to serve yet: the request waits.
        let syncing = world.sync(&client, "copy", target);
        futures::pin_mut!(syncing);
        assert!(futures::poll!(syncing.as_mut()).is_pending());
        context.sleep(Duration::from_secs(2)).await;
        server.attach_database(source.clone()).await;
        let copy = syncing.await;
        assert_eq!(copy.root(), source.read().await.root());
        let copy: Databases<Local> = Shared::new("copy", copy);
        let keys: Vec<_> = (0..300).map(key).collect();
        let expected = read_latest(&source, &keys).await.unwrap();
        assert!(expected.iter().any(|value| {
            value
                .as_ref()
                .is_some_and(|value| value.len() == MAX_VALUE_BYTES)
        }));
        assert_eq!(read_latest(&copy, &keys).await.unwrap(), expected);
        assert!(world.oracle.blocked().await.unwrap().is_empty());

        client.attach_database(copy.clone()).await;
        drop(server);
        let third = world.peers(2).await;
        let again = world
            .sync(&third, "again", copy.committed_targets().await)
            .await;
        assert_eq!(again.root(), source.read().await.root());
    });
}

#[test]
fn a_peer_with_another_state_is_blocked_and_left() {
    run(|context| async move {
        let world = World::new(&context).await;
        let honest = database(&context, "honest", 40, 0).await;
        let lying = database(&context, "lying", 40, 1).await;
        let target = honest.committed_targets().await;
        assert_ne!(target.root, lying.committed_targets().await.root);
        let (good, bad) = (world.peers(1).await, world.peers(2).await);
        good.attach_database(honest.clone()).await;
        bad.attach_database(lying).await;
        let client = world.peers(0).await;
        let copy = world.sync(&client, "copy", target).await;
        assert_eq!(copy.root(), honest.read().await.root());
        let blocked = world.oracle.blocked().await.unwrap();
        assert_eq!(blocked, [(world.keys[0].clone(), world.keys[2].clone())]);
    });
}

/// Answers every request with `answer` of its id, until the runtime stops.
async fn answer(world: &World, node: usize, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
    use commonware_p2p::Receiver as _;
    let (mut sender, mut receiver) = world.channel(node).await;
    world.context.child("liar").spawn(move |_| async move {
        while let Ok((from, message)) = receiver.recv().await {
            let bytes: Bytes = message.into();
            let reply = [&bytes[..8], &answer(&bytes)].concat();
            sender.send(Recipients::One(from), reply, false);
        }
    });
}

/// Makes an answer of a request.
type Liar = fn(&[u8]) -> Vec<u8>;

#[test]
fn a_peer_that_answers_with_garbage_is_blocked_and_left() {
    // Responses (tag 1): none, noise, a list of too many operations, a value without end.
    let answers: [Liar; 4] = [
        |_| vec![1, 0],
        |request| [&[1, 64][..], &[request[8]; 64]].concat(),
        |_| [&[1, 9, 0, 1, 1, 0][..], &[0xff; 5]].concat(),
        |_| vec![1, 12, 0, 5, 0, 0, 1, 0xd5, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
    ];
    for garbage in answers {
        run(move |context| async move {
            let world = World::new(&context).await;
            let honest = database(&context, "honest", 10, 0).await;
            answer(&world, 2, garbage).await;
            let good = world.peers(1).await;
            good.attach_database(honest.clone()).await;
            let client = world.peers(0).await;
            let target = honest.committed_targets().await;
            let copy = world.sync(&client, "copy", target).await;
            assert_eq!(copy.root(), honest.read().await.root());
            let blocked = world.oracle.blocked().await.unwrap();
            assert_eq!(blocked, [(world.keys[0].clone(), world.keys[2].clone())]);
        });
    }
}

#[test]
fn more_operations_than_allowed_are_not_served() {
    run(|context| async move {
        let world = World::new(&context).await;
        let source = database(&context, "source", 20, 0).await;
        let (client, server) = (world.peers(0).await, world.peers(1).await);
        server.attach_database(source.clone()).await;
        let size = source.committed_targets().await.range.end();
        let ask = |max_ops| Request::Operations {
            size,
            start: Location::new(0),
            max_ops,
        };
        let (response, feedback) = client.serve(ask(MAX_OPERATIONS)).await.unwrap();
        assert!(response.encode().len() <= max_payload_bytes());
        feedback.unwrap().accept();
        let greedy = client.serve(ask(MAX_OPERATIONS.saturating_add(1)));
        futures::pin_mut!(greedy);
        let waited =
            futures::future::select(greedy, Box::pin(context.sleep(Duration::from_secs(20)))).await;
        assert!(matches!(waited, futures::future::Either::Right(_)));
    });
}

#[test]
fn an_older_database_is_brought_up_to_date() {
    run(|context| async move {
        let world = World::new(&context).await;
        drop(database(&context, "old", 10, 0).await);
        let newer = database(&context, "newer", 60, 0).await;
        let target = newer.committed_targets().await;
        let old_size = {
            let old = database(&context, "reference", 10, 0).await;
            old.committed_targets().await.range.end()
        };
        println!("operations: {:?}, of which here: {old_size}", target.range);
        let server = world.peers(1).await;
        server.attach_database(newer.clone()).await;
        let client = world.peers(0).await;
        let copy = world.sync(&client, "old", target).await;
        assert_eq!(copy.root(), newer.read().await.root());
    });
}

#[test]
fn the_vectors_are_what_is_sent() {
    run(|context| async move {
        let world = World::new(&context).await;
        let (size, start) = (Location::new(300), Location::new(3));
        let requests = [
            Request::Operations {
                size,
                start,
                max_ops: MAX_OPERATIONS,
            },
            Request::Boundary { size, start },
        ];
        let source = database(&context, "source", 1, 0).await;
        let (client, server) = (world.peers(0).await, world.peers(1).await);
        server.attach_database(source.clone()).await;
        let size = source.committed_targets().await.range.end();
        let mut lines: Vec<_> = requests
            .iter()
            .map(|request| hex(&request.encode()))
            .collect();
        for request in [
            Request::Operations {
                size,
                start,
                max_ops: NZU64!(2),
            },
            Request::Boundary { size, start },
        ] {
            let (response, feedback) = client.serve(request).await.unwrap();
            feedback.unwrap().accept();
            lines.push(hex(&response.encode()));
        }
        let vectors: Vec<_> = include_str!("vectors.hex").lines().collect();
        assert_eq!(lines, vectors);
    });
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}
