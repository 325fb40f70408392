//! One simplex engine per epoch, each on subchannels of its own.
//!
//! The epoch's last block starts the next one: its finality enters the new engine, with that
//! block as genesis, and then ends the old engine. A message of a later epoch than ours means
//! that we missed that block, so its sender is asked for it.
//!
//! A validator that starts votes in no view before the newest certificate of its peers: it has
//! nothing to add there, and if its disk was lost it does not know what it has said. After a state
//! sync the block before the epoch is not there either: then the engine starts from a certificate
//! within the epoch. Votes of epochs that are over are removed; those of an epoch that a restart
//! could enter again stay.

use crate::{block::ConsensusBlock, schemes::ConsensusScheme};
use commonware_actor::{
    Feedback,
    mailbox::{self, Policy},
};
use commonware_consensus::{
    CertifiableAutomaton, Epochable, Heightable as _, Relay, Reporter,
    marshal::{Update, core::Mailbox as MarshalMailbox, standard::Standard},
    simplex::{
        self, Plan,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
        types::{Activity, Context, Finalization},
    },
    types::{Epoch, Epocher as _, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, Keccak256, certificate::Provider as _, ed25519::PublicKey,
    keccak256::Digest,
};
use commonware_macros::select_loop;
use commonware_p2p::{
    Blocker, Channel, Message as PeerMessage, Receiver, Sender,
    utils::mux::{Builder as _, MuxHandle, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock, ContextCell, Error as RuntimeError, Handle, Metrics, Spawner, Storage,
    buffer::paged::CacheRef, spawn_cell,
};
use commonware_utils::{
    Acknowledgement as _, NZDuration, NZUsize, acknowledgement::Exact, channel::mpsc,
    vec::NonEmptyVec,
};
use rand_core::CryptoRng;
use std::{collections::VecDeque, time::Duration};
use tracing::{debug, error, info, warn};

/// Marshal's mailbox for our blocks.
pub type Marshal = MarshalMailbox<ConsensusScheme, Standard<ConsensusBlock>>;

/// Bytes buffered when the journal of votes is written or replayed.
const JOURNAL_BUFFER_BYTES: usize = 1 << 20;
/// Views behind the finalized tip whose votes are kept.
const VIEW_RETENTION: u64 = 64;
/// Messages queued inside an engine.
const ENGINE_MAILBOX: usize = 1024;

/// How long an engine waits before it gives up on a leader.
#[derive(Clone, Copy, Debug)]
pub struct EngineTiming {
    /// For a leader's proposal.
    pub leader: Duration,
    /// For a view to certify; longer than `leader`.
    pub certification: Duration,
    /// Between two nullify broadcasts of a view that is stuck.
    pub retry: Duration,
}

/// A finalized block, on its way to the [`Epochs`] actor.
#[derive(Debug)]
struct Finalized {
    block: Digested<ConsensusBlock>,
    acknowledgement: Exact,
}

impl Policy for Finalized {
    type Overflow = VecDeque<Self>;

    fn handle(overflow: &mut VecDeque<Self>, message: Self) {
        // Bounded by marshal, which waits for acknowledgements; a dropped one would stop it.
        overflow.push_back(message);
    }
}

/// Hands finalized blocks to the [`Epochs`] actor.
#[derive(Clone, Debug)]
pub struct EpochsMailbox(mailbox::Sender<Finalized>);

impl Reporter for EpochsMailbox {
    type Activity = Update<ConsensusBlock>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match activity {
            Update::Tip(..) => Feedback::Ok,
            Update::Block(block, acknowledgement) => self.0.enqueue(Finalized {
                block,
                acknowledgement,
            }),
        }
    }
}

/// What every epoch's engine is made of.
#[expect(
    missing_debug_implementations,
    reason = "commonware's mailboxes have none"
)]
pub struct Config<B, A> {
    /// Blocks peers that prove to be faulty.
    pub blocker: B,
    /// Signing schemes by epoch.
    pub schemes: crate::schemes::Schemes,
    /// Proposes, verifies, broadcasts and reports.
    pub automaton: A,
    /// Finalized blocks.
    pub marshal: Marshal,
    /// The newest certificate that the peers had when this node started.
    pub network_floor: Option<Finalization<ConsensusScheme, Digest>>,
    /// Heights of each epoch.
    pub epocher: FixedEpocher,
    /// Timeouts.
    pub timing: EngineTiming,
    /// Prefix of what is stored.
    pub partition_prefix: String,
    /// Cache of stored pages.
    pub page_cache: CacheRef,
}

/// Runs the engine of the current epoch.
pub struct Epochs<E, B, A>
where
    E: Spawner,
{
    context: ContextCell<E>,
    mailbox: mailbox::Receiver<Finalized>,
    config: Config<B, A>,
}

impl<E: Spawner, B, A> std::fmt::Debug for Epochs<E, B, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epochs").finish_non_exhaustive()
    }
}

/// The engine of one epoch; dropping it stops it.
struct ActiveEpoch {
    epoch: Epoch,
    handle: Handle<()>,
}

impl Drop for ActiveEpoch {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

type Backup = mpsc::Receiver<(Channel, PeerMessage<PublicKey>)>;

struct EpochChannels<S: Sender> {
    votes: MuxHandle<S>,
    votes_of_others: Backup,
    certificates: MuxHandle<S>,
    certificates_of_others: Backup,
    resolver: MuxHandle<S>,
}

impl<E, B, A> Epochs<E, B, A>
where
    E: Spawner + Metrics + CryptoRng + Clock + Storage,
    B: Blocker<PublicKey = PublicKey>,
    A: CertifiableAutomaton<Context = Context<Digest, PublicKey>, Digest = Digest>
        + Relay<Digest = Digest, PublicKey = PublicKey, Plan = Plan<PublicKey>>
        + Reporter<Activity = Activity<ConsensusScheme, Digest>>,
{
    /// An actor and the mailbox through which it learns of finalized blocks.
    pub fn new(context: E, config: Config<B, A>) -> (Self, EpochsMailbox) {
        let (sender, mailbox) = mailbox::new(context.child("mailbox"), NZUsize!(ENGINE_MAILBOX));
        let actor = Self {
            context: ContextCell::new(context),
            mailbox,
            config,
        };
        (actor, EpochsMailbox(sender))
    }

    /// Runs until the runtime stops or an engine fails.
    pub fn start<S, R>(
        mut self,
        votes: (S, R),
        certificates: (S, R),
        resolver: (S, R),
    ) -> Handle<()>
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        spawn_cell!(self.context, self.run(votes, certificates, resolver))
    }

    async fn run<S, R>(mut self, votes: (S, R), certificates: (S, R), resolver: (S, R))
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        let mut channels = self.multiplex(votes, certificates, resolver);
        // Marshal is not there yet: it has to fetch what lies between, or the state.
        let network = self.config.network_floor.as_ref().map(Epochable::epoch);
        let Some(epoch) = self.next_epoch().await.max(network) else {
            error!("no epoch contains the next height");
            return;
        };
        let Some(mut active) = self.enter(epoch, &mut channels).await else {
            return;
        };
        select_loop! {
            self.context,
            on_stopped => {
                debug!("stopping");
            },
            Some((theirs, (from, _))) = channels.votes_of_others.recv() else break => {
                self.catch_up(active.epoch, Epoch::new(theirs), from);
            },
            Some((theirs, (from, _))) = channels.certificates_of_others.recv() else break => {
                self.catch_up(active.epoch, Epoch::new(theirs), from);
            },
            result = &mut active.handle => {
                error!(epoch = %active.epoch, ?result, "the consensus engine stopped");
                break;
            },
            Some(finalized) = self.mailbox.recv() else break => {
                let last = self.config.epocher.last(active.epoch);
                if last == Some(finalized.block.height()) {
                    let Some(next) = self.enter(active.epoch.next(), &mut channels).await else {
                        break;
                    };
                    active = next;
                }
                finalized.acknowledgement.acknowledge();
            },
        }
    }

    fn multiplex<S, R>(
        &self,
        votes: (S, R),
        certificates: (S, R),
        resolver: (S, R),
    ) -> EpochChannels<S>
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        let (mux, votes, votes_of_others) =
            Muxer::builder(self.context.child("vote_mux"), votes.0, votes.1)
                .with_backup()
                .build();
        mux.start();
        let (mux, certificates, certificates_of_others) = Muxer::builder(
            self.context.child("certificate_mux"),
            certificates.0,
            certificates.1,
        )
        .with_backup()
        .build();
        mux.start();
        let (mux, resolver) =
            Muxer::new(self.context.child("resolver_mux"), resolver.0, resolver.1);
        mux.start();
        EpochChannels {
            votes,
            votes_of_others,
            certificates,
            certificates_of_others,
            resolver,
        }
    }

    /// Asks a peer that is in a later epoch for the certificate that ends ours.
    fn catch_up(&self, ours: Epoch, theirs: Epoch, from: PublicKey) {
        if theirs <= ours {
            return;
        }
        if let Some(last) = self.config.epocher.last(ours) {
            self.config
                .marshal
                .hint_finalized(last, NonEmptyVec::new(from));
        }
    }

    /// The epoch of the block after the last one that is executed for good.
    async fn next_epoch(&mut self) -> Option<Epoch> {
        let processed = self.config.marshal.get_processed().await;
        let next = processed.map_or(Height::zero(), |processed| processed.height().next());
        let info = self.config.epocher.containing(next)?;
        Some(info.epoch())
    }

    /// What an epoch starts from: the newest certificate of the peers if it is of this epoch, or the
    /// last block of the epoch before, or genesis. Where a state sync has skipped that block, the
    /// newest certificate of the epoch that is stored.
    async fn floor(&mut self, epoch: Epoch) -> Option<Floor<ConsensusScheme, Digest>> {
        let of_epoch = |floor: &Finalization<_, _>| floor.epoch() == epoch;
        if let Some(floor) = self.config.network_floor.clone().filter(of_epoch) {
            return Some(Floor::Finalized(floor));
        }
        let height = match epoch.previous() {
            Some(previous) => self.config.epocher.last(previous)?,
            None => Height::zero(),
        };
        if let Some(block) = self.config.marshal.get_block(height).await {
            return Some(Floor::Genesis(block.digest()));
        }
        let newest = self.newest_certificate(height).await;
        newest.filter(of_epoch).map(Floor::Finalized)
    }

    /// The newest certificate that is stored for a block above `height`.
    async fn newest_certificate(
        &mut self,
        height: Height,
    ) -> Option<Finalization<ConsensusScheme, Digest>> {
        let mut at = self.config.marshal.get_processed().await?.anchor();
        while at > height {
            let stored = self.config.marshal.get_finalization(at).await;
            if stored.is_some() {
                return stored;
            }
            at = at.previous()?;
        }
        None
    }

    /// Removes the votes of epochs that no restart enters again, newest first.
    async fn forget_votes(&mut self) {
        let Some(mut epoch) = self.next_epoch().await else {
            return;
        };
        while let Some(over) = epoch.previous() {
            epoch = over;
            let partition = self.votes_partition(over);
            match self.context.as_present().remove(&partition, None).await {
                Ok(()) => debug!(epoch = %over, "votes removed"),
                Err(RuntimeError::PartitionMissing(_)) => return,
                Err(error) => {
                    warn!(epoch = %over, %error, "old votes are not removed");
                    return;
                }
            }
        }
    }

    fn votes_partition(&self, epoch: Epoch) -> String {
        format!("{}-simplex-{epoch}", self.config.partition_prefix)
    }

    async fn enter<S>(
        &mut self,
        epoch: Epoch,
        channels: &mut EpochChannels<S>,
    ) -> Option<ActiveEpoch>
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let Some(floor) = self.floor(epoch).await else {
            error!(%epoch, "the block that the epoch starts from is not stored");
            return None;
        };
        let scheme = self.config.schemes.scheme(epoch)?;
        let engine = self.engine(epoch, floor, scheme.as_ref().clone());
        let votes = channels.votes.register(epoch.get()).await.ok()?;
        let certificates = channels.certificates.register(epoch.get()).await.ok()?;
        let resolver = channels.resolver.register(epoch.get()).await.ok()?;
        let handle = engine.start(votes, certificates, resolver);
        info!(%epoch, "entered epoch");
        self.forget_votes().await;
        Some(ActiveEpoch { epoch, handle })
    }

    fn engine(
        &self,
        epoch: Epoch,
        floor: Floor<ConsensusScheme, Digest>,
        scheme: ConsensusScheme,
    ) -> simplex::Engine<E, ConsensusScheme, RoundRobin<Keccak256>, B, Digest, A, A, A, Sequential>
    {
        let timing = self.config.timing;
        let context = self
            .context
            .child("simplex")
            .with_attribute("epoch", epoch.get());
        let automaton = &self.config.automaton;
        simplex::Engine::new(
            context,
            simplex::Config {
                scheme,
                elector: RoundRobin::default(),
                blocker: self.config.blocker.clone(),
                automaton: automaton.clone(),
                relay: automaton.clone(),
                reporter: automaton.clone(),
                track_historical_votes: false,
                strategy: Sequential,
                partition: self.votes_partition(epoch),
                mailbox_size: NZUsize!(ENGINE_MAILBOX),
                epoch,
                floor,
                replay_buffer: NZUsize!(JOURNAL_BUFFER_BYTES),
                write_buffer: NZUsize!(JOURNAL_BUFFER_BYTES),
                page_cache: self.config.page_cache.clone(),
                leader_timeout: timing.leader,
                certification_timeout: timing.certification,
                timeout_retry: timing.retry,
                view_retention: ViewDelta::new(VIEW_RETENTION),
                skip: SkipPolicy::Enabled {
                    timeout: timing.certification + timing.retry,
                    budget: SkipBudget::Participants,
                },
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                forward: ForwardPolicy::SilentLeader,
            },
        )
    }
}
