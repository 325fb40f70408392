//! State sync: the log of operations, fetched from peers and served to them.
//!
//! A node asks for stretches of the log (`docs/formats/state-sync.md`). The sync engine checks each
//! answer against the root that a finalized header commits to; here answers are only decoded within
//! bounds. Who sends what does not decode, or what the engine rejects, is blocked, and the next
//! peer is asked.

use crate::database::{Database, Databases, Operation, operation_codec};
use bytes::Bytes;
use commonware_codec::{Decode as _, Encode as _};
use commonware_cryptography::{ed25519::PublicKey, sha256::Digest};
use commonware_glue::stateful::db::AttachableResolver;
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_resolver::{
    Consumer, Delivery, Fetch, Outcome, Resolver as _,
    p2p::{self, Producer},
};
use commonware_runtime::{Clock, Handle, Metrics, Spawner};
use commonware_storage::{
    Context, mmr,
    qmdb::sync::{self, Feedback, Source, max_response_size, source},
};
use commonware_utils::{
    NZDuration, NZU64, NZUsize,
    channel::{mpsc, oneshot},
};
use og_chain::state::MAX_VALUE_BYTES;
use parking_lot::Mutex;
use rand_core::Rng;
use std::{
    cmp::Ordering,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{self, AtomicU64},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Operations in one answer: the largest stays below the largest block.
pub const MAX_OPERATIONS: NonZeroU64 = NZU64!(64);
/// Bytes of one encoded operation: a value, its key, the next key, and heads.
const MAX_OPERATION_BYTES: usize = MAX_VALUE_BYTES + 128;
/// Requests of peers that are answered at a time; more get no answer.
const MAX_SERVED_AT_ONCE: usize = 8;
/// Messages queued inside the resolver.
const MAILBOX: usize = 1024;
/// How long a peer may take to answer before another is asked.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a request that failed is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A stretch of the log that is asked for.
pub type Request = sync::Request<mmr::Family>;
/// What answers it.
pub type Response = sync::Response<mmr::Family, Operation, Digest>;

/// Bytes of the largest message of state sync.
pub fn max_payload_bytes() -> usize {
    let operations = usize::try_from(MAX_OPERATIONS.get()).unwrap_or(usize::MAX);
    let response = max_response_size::<mmr::Family, Digest>(operations, MAX_OPERATION_BYTES);
    p2p::max_message_size::<Request>(response)
}

/// With whom state is synced.
#[derive(Debug)]
pub struct PeerConfig<P, B> {
    /// This node's key.
    pub public_key: PublicKey,
    /// The peers.
    pub peers: P,
    /// Blocks peers that send what is not the state.
    pub blocker: B,
}

/// Peers as a source of state, and the database as theirs.
pub struct StatePeers<E: Context + Spawner> {
    resolver: p2p::Mailbox<Request, PublicKey, Subscriber>,
    database: Served<E>,
    next_id: Arc<AtomicU64>,
}

/// The database that peers are served from, once it is complete.
type Served<E> = Arc<Mutex<Option<Databases<E>>>>;

impl<E: Context + Spawner> Clone for StatePeers<E> {
    fn clone(&self) -> Self {
        Self {
            resolver: self.resolver.clone(),
            database: Arc::clone(&self.database),
            next_id: Arc::clone(&self.next_id),
        }
    }
}

impl<E: Context + Spawner> std::fmt::Debug for StatePeers<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatePeers").finish_non_exhaustive()
    }
}

impl<E: Context + Spawner + Clock + Metrics + Rng> StatePeers<E> {
    /// Starts to ask and to answer on `channel`; the handle ends when the runtime stops.
    pub fn start<P, B, S, R>(
        context: E,
        config: PeerConfig<P, B>,
        channel: (S, R),
    ) -> (Self, Handle<()>)
    where
        P: Provider<PublicKey = PublicKey>,
        B: Blocker<PublicKey = PublicKey>,
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        let database = Served::<E>::default();
        let exchange = Exchange {
            context: Arc::new(context.child("exchange")),
            database: Arc::clone(&database),
            serving: Arc::new(Semaphore::new(MAX_SERVED_AT_ONCE)),
        };
        let (engine, resolver) = p2p::Engine::new(
            context,
            p2p::Config {
                peer_provider: config.peers,
                blocker: config.blocker,
                consumer: exchange.clone(),
                producer: exchange,
                mailbox_size: NZUsize!(MAILBOX),
                me: Some(config.public_key),
                fetch_timeout: NZDuration!(FETCH_TIMEOUT),
                fetch_retry_delay: RETRY_DELAY,
                priority_requests: false,
                priority_responses: false,
            },
        );
        let peers = Self {
            resolver,
            database,
            next_id: Arc::default(),
        };
        (peers, engine.start(channel))
    }
}

/// The node stops before the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node stops before its peers have answered")]
pub struct Stopping;

impl<E: Context + Spawner> Source for StatePeers<E> {
    type Family = mmr::Family;
    type Digest = Digest;
    type Op = Operation;
    type Error = Stopping;

    async fn serve(&self, request: Request) -> source::Result<Self> {
        let (reply, mut answers) = mpsc::channel(1);
        let mut resolver = self.resolver.clone();
        // Requests that were given up stay in the resolver until somebody sweeps them.
        let _ = resolver.retain(|_, subscriber| !subscriber.reply.is_closed());
        let _ = resolver.fetch(Fetch {
            key: request,
            subscriber: Subscriber {
                id: self.next_id.fetch_add(1, atomic::Ordering::Relaxed),
                reply,
            },
            span: tracing::Span::none(),
        });
        let (response, verdict) = answers.recv().await.ok_or(Stopping)?;
        Ok((response, Some(Feedback::new(verdict, answers))))
    }
}

impl<E: Context + Spawner> AttachableResolver<Database<E>> for StatePeers<E> {
    async fn attach_database(&self, database: Databases<E>) {
        *self.database.lock() = Some(database);
        // The state is complete: nothing is wanted any more.
        let _ = self.resolver.clone().retain(|_, _| false);
    }
}

/// Who waits for an answer: it is given the answer and says whether it is right.
#[derive(Clone)]
struct Subscriber {
    id: u64,
    reply: mpsc::Sender<(Response, oneshot::Sender<bool>)>,
}

impl PartialEq for Subscriber {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Subscriber {}

impl PartialOrd for Subscriber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subscriber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

/// What the resolver calls: takes answers in and makes them.
struct Exchange<E: Context + Spawner> {
    context: Arc<E>,
    database: Served<E>,
    serving: Arc<Semaphore>,
}

impl<E: Context + Spawner> Clone for Exchange<E> {
    fn clone(&self) -> Self {
        Self {
            context: Arc::clone(&self.context),
            database: Arc::clone(&self.database),
            serving: Arc::clone(&self.serving),
        }
    }
}

impl<E: Context + Spawner> Consumer for Exchange<E> {
    type Key = Request;
    type Value = Bytes;
    type Subscriber = Subscriber;
    type Outcome = Outcome;

    fn deliver(
        &mut self,
        delivery: Delivery<Request, Subscriber>,
        value: Bytes,
    ) -> oneshot::Receiver<Outcome> {
        let (outcome, receiver) = oneshot::channel();
        let waiting: Vec<_> = delivery
            .subscribers
            .into_vec()
            .into_iter()
            .map(|(subscriber, _)| subscriber.reply)
            .filter(|reply| !reply.is_closed())
            .collect();
        if waiting.is_empty() {
            let _ = outcome.send(Outcome::Ignored);
            return receiver;
        }
        let Some(response) = decode_response(&delivery.key, value) else {
            let _ = outcome.send(Outcome::Invalid);
            return receiver;
        };
        let verdicts: Vec<_> = waiting
            .into_iter()
            .filter_map(|reply| {
                let (verdict, judged) = oneshot::channel();
                let sent = reply.try_send((response.clone(), verdict));
                sent.is_ok().then_some(judged)
            })
            .collect();
        self.context.child("verdict").spawn(move |_| async move {
            // All of them check against the same root, so the first verdict is everybody's. Where
            // none is given, dropping the sender says that the answer is not needed any more.
            let mut valid = None;
            for judged in verdicts {
                valid = valid.or(judged.await.ok());
            }
            if let Some(valid) = valid {
                let _ = outcome.send(Outcome::from(valid));
            }
        });
        receiver
    }
}

impl<E: Context + Spawner> Producer for Exchange<E> {
    type Key = Request;

    fn produce(&mut self, request: Request) -> oneshot::Receiver<Bytes> {
        // Dropping the sender tells the peer that it gets nothing from here.
        let (sender, receiver) = oneshot::channel();
        if request.max_ops() > MAX_OPERATIONS {
            return receiver;
        }
        let Some(database) = self.database.lock().clone() else {
            return receiver;
        };
        let Ok(permit) = Arc::clone(&self.serving).try_acquire_owned() else {
            return receiver;
        };
        self.context.child("serve").spawn(move |_| async move {
            if let Ok((response, _)) = database.serve(request).await {
                let _ = sender.send(response.encode());
            }
            drop(permit);
        });
        receiver
    }
}

/// A peer's answer, if it is of the form that was asked for.
pub fn decode_response(request: &Request, value: Bytes) -> Option<Response> {
    let operations = usize::try_from(request.max_ops().get()).ok()?;
    let response = Response::decode_cfg(value, &(operations, operation_codec())).ok()?;
    let same_form = matches!(
        (request, &response),
        (Request::Operations { .. }, Response::Operations { .. })
            | (Request::Boundary { .. }, Response::Boundary { .. })
    );
    same_form.then_some(response)
}
