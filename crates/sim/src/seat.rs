//! One seat of a simulated network: starting what its role says, and ending it at any moment.

use crate::{
    adversary::{InvalidBlocks, Liar, Noise, contradict, forge, make_noise, nullify_and_finalize},
    checks::{Checker, Load, MAX_WAITING, Violation},
    outlet::{Letter, Lines, Tamper, Traffic},
    plan::{Plan, Role},
    validator::{self, Config, Local, Outlet, Receiver, Watch},
    world::World,
};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    Recipients,
    simulated::{Oracle, SplitTarget},
};
use commonware_runtime::{Handle, Spawner as _, Supervisor as _, deterministic::Context};
use futures::{channel::oneshot, future::select_all};
use og_chain::mempool::MempoolLimits;
use og_consensus::{
    Channels, Intake, NETWORK_CHANNELS, Pool, Schemes, Timing, Undecided, channels::VOTES,
    epochs::Marshal,
};
use og_state::Databases;
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How much the clocks of twins differ, in milliseconds.
const TWINS_APART_MS: i64 = 17;

/// The checker, and the first thing that it found wrong.
#[derive(Clone)]
pub(crate) struct Court(Arc<Mutex<(Checker, Option<Violation>)>>);

impl Court {
    pub(crate) fn new(checker: Checker) -> Self {
        Self(Arc::new(Mutex::new((checker, None))))
    }

    /// Asks the checker something.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&mut Checker) -> T) -> T {
        question(&mut self.0.lock().0)
    }

    /// Brings something before the checker.
    pub(crate) fn hear(&self, case: impl FnOnce(&mut Checker) -> Result<(), Violation>) {
        let mut court = self.0.lock();
        if let Err(violation) = case(&mut court.0) {
            court.1.get_or_insert(violation);
        }
    }

    /// The first violation.
    pub(crate) fn verdict(&self) -> Result<(), Violation> {
        self.0.lock().1.clone().map_or(Ok(()), Err)
    }
}

/// What all seats of a network share.
pub(crate) struct Ground {
    pub(crate) context: Context,
    pub(crate) plan: Arc<Plan>,
    pub(crate) world: Arc<World>,
    pub(crate) oracle: Oracle<PublicKey, Context>,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) court: Court,
    pub(crate) traffic: Arc<Traffic>,
}

/// A running validator, honest or not.
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) intake: Intake<Local>,
    pub(crate) databases: Databases<Local>,
    pub(crate) marshal: Marshal,
    pub(crate) oldest: u64,
    pool: Pool,
    undecided: Undecided,
}

impl Process {
    pub(crate) fn load(&self) -> Load {
        let (transactions, records) = self
            .pool
            .with(|pool| (pool.transaction_count(), pool.record_count()));
        Load {
            transactions,
            records,
            outgoing: self.intake.waiting_for_peers(),
            undecided: self.undecided.count(),
        }
    }
}

/// One seat that is up.
#[derive(Default)]
pub(crate) struct Seat {
    /// Validators with the seat's key: one, none, or two.
    pub(crate) processes: Vec<Process>,
    /// Those that are not up yet: a validator that knows nothing asks the others first.
    starting: Vec<oneshot::Receiver<Process>>,
    tasks: Vec<Handle<()>>,
}

impl Seat {
    /// Takes in the processes that have come up; says where they begin.
    pub(crate) fn arrive(&mut self) -> usize {
        let before = self.processes.len();
        let processes = &mut self.processes;
        self.starting
            .retain_mut(|starting| match starting.try_recv() {
                Ok(Some(process)) => {
                    processes.push(process);
                    false
                }
                Ok(None) => true,
                Err(_) => false,
            });
        before
    }

    /// Ends everything at once; what was not synced is lost.
    pub(crate) fn crash(self) {
        drop(self.processes);
        for task in self.tasks {
            task.abort();
        }
    }
}

impl Ground {
    /// Starts a seat with what its role says.
    pub(crate) async fn start(&self, seat: usize, start: usize) -> Seat {
        let role = self.plan.seats[seat].role;
        let seed = self.plan.seed ^ (seat as u64) << 32 ^ start as u64;
        let context = self
            .context
            .child("seat")
            .with_attribute("seat", seat)
            .with_attribute("start", start);
        if role == Role::Absent {
            return Seat::default();
        }
        let (lines, receivers) = self.connect(seat).await;
        let mut running = Seat::default();
        match role {
            Role::Conflicter | Role::Nuller => {
                let mut receivers = receivers;
                let votes = receivers.swap_remove(VOTES as usize);
                let scheme = self.scheme(seat);
                running.tasks.push(context.spawn(move |_| async move {
                    if role == Role::Conflicter {
                        contradict(votes, lines, scheme).await;
                    } else {
                        nullify_and_finalize(votes, lines, scheme).await;
                    }
                }));
            }
            Role::Twins => {
                self.twins(&mut running, context, seat, &lines, receivers)
                    .await;
            }
            _ => {
                let tamper = self.side_show(&mut running, &context, seat, seed, &lines);
                self.run(&mut running, context, seat, 0, &lines, receivers, tamper)
                    .await;
            }
        }
        running
    }

    /// What a seat that runs a validator's own code does beside it: on its own, and to the
    /// messages of that code.
    fn side_show(
        &self,
        running: &mut Seat,
        context: &Context,
        seat: usize,
        seed: u64,
        lines: &Lines,
    ) -> Option<Arc<dyn Tamper>> {
        let (world, lines) = (Arc::clone(&self.world), lines.clone());
        match self.plan.seats[seat].role {
            Role::InvalidBlocks => {
                let key = self.keys[seat].clone();
                let tamper = InvalidBlocks::new(world, key, self.scheme(seat), seed);
                Some(Arc::new(tamper))
            }
            Role::Liar => Some(Arc::new(Liar::new(seed))),
            Role::Forger => {
                let task = context.child("forger");
                let task = task.spawn(move |context| forge(context, world, lines));
                running.tasks.push(task);
                None
            }
            Role::Noise => {
                let noise = Arc::new(Noise::default());
                let memory = Arc::clone(&noise);
                let task = context.child("noise");
                let task = task.spawn(move |context| make_noise(context, world, memory, lines));
                running.tasks.push(task);
                Some(noise)
            }
            _ => None,
        }
    }

    fn scheme(&self, seat: usize) -> og_consensus::ConsensusScheme {
        use commonware_consensus::types::Epoch;
        use commonware_cryptography::certificate::Provider as _;
        let schemes = self.schemes(seat);
        let scheme = schemes.scheme(Epoch::zero());
        scheme.expect("every epoch has a scheme").as_ref().clone()
    }

    fn schemes(&self, seat: usize) -> Schemes {
        Schemes::signer(&self.world.rules, &self.world.seats[seat].consensus)
            .expect("the key has a seat")
    }

    async fn connect(&self, seat: usize) -> (Lines, Vec<Receiver>) {
        let control = self.oracle.control(self.keys[seat].clone());
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for (channel, quota) in NETWORK_CHANNELS {
            let registered = control.register(channel, quota).await;
            let (sender, receiver) = registered.expect("a channel registers");
            senders.push(sender);
            receivers.push(receiver);
        }
        let mut peers = self.keys.clone();
        peers.remove(seat);
        let lines = Lines {
            senders,
            peers: Arc::new(peers),
            traffic: Arc::clone(&self.traffic),
        };
        (lines, receivers)
    }

    /// For each twin the others that it knows: honest seats know one of them or both, twins of
    /// other seats both. All twins of a network cut it in the same way, for they work together.
    fn parts(&self) -> [BTreeSet<PublicKey>; 2] {
        let mut chance = ChaCha20Rng::seed_from_u64(self.plan.seed);
        let mut parts = [BTreeSet::new(), BTreeSet::new()];
        for (key, seat) in self.keys.iter().zip(&self.plan.seats) {
            let choice = chance.next_u32() % 5;
            let knows_both = seat.role == Role::Twins || choice == 2;
            if knows_both || choice < 2 {
                parts[0].insert(key.clone());
            }
            if knows_both || choice > 2 {
                parts[1].insert(key.clone());
            }
        }
        parts
    }

    /// Two validators with one key, each of which hears of and speaks to a part of the others.
    async fn twins(
        &self,
        running: &mut Seat,
        context: Context,
        seat: usize,
        lines: &Lines,
        receivers: Vec<Receiver>,
    ) {
        let parts = self.parts();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (channel, receiver) in receivers.into_iter().enumerate() {
            let [one, other] = parts.clone();
            let context = context.child("split").with_attribute("channel", channel);
            let (to_one, to_other) = receiver.split_with(context, move |(from, _)| {
                match (one.contains(from), other.contains(from)) {
                    (true, true) => SplitTarget::Both,
                    (true, false) => SplitTarget::Primary,
                    (false, true) => SplitTarget::Secondary,
                    (false, false) => SplitTarget::None,
                }
            });
            first.push(to_one);
            second.push(to_other);
        }
        for ((twin, part), receivers) in parts.into_iter().enumerate().zip([first, second]) {
            let context = context.child("twin").with_attribute("twin", twin);
            let only: Arc<dyn Tamper> = Arc::new(Only(part));
            self.run(running, context, seat, twin, lines, receivers, Some(only))
                .await;
        }
    }

    /// Starts a validator's own code, whose messages `tamper` may rewrite.
    #[expect(clippy::too_many_arguments, reason = "all of them differ by role")]
    async fn run(
        &self,
        running: &mut Seat,
        context: Context,
        seat: usize,
        twin: usize,
        lines: &Lines,
        receivers: Vec<Receiver>,
        tamper: Option<Arc<dyn Tamper>>,
    ) {
        let number = seat + twin * self.keys.len();
        self.court.ask(|checker| checker.started(number));
        let court = self.court.clone();
        let watch = Watch::new(move |block, effects| {
            court.hear(|checker| checker.finalized(number, block, effects.receipts.len()));
        });
        let pool = Pool::new(MempoolLimits {
            transactions: MAX_WAITING,
            records: MAX_WAITING,
            ..MempoolLimits::default()
        });
        let config = Config {
            rules: Arc::clone(&self.world.rules),
            seat: self.keys[seat].clone(),
            schemes: self.schemes(seat),
            peers: self.oracle.manager(),
            blocker: self.oracle.control(self.keys[seat].clone()),
            pool: pool.clone(),
            observer: watch,
            timing: Timing {
                empty_block_interval: Duration::from_millis(500),
                leader: Duration::from_millis(1500),
                certification: Duration::from_secs(3),
                retry: Duration::from_millis(1500),
            },
            history: self.plan.history(),
            partition_prefix: format!("validator-{number}"),
        };
        let channels = channels(lines, receivers, tamper.as_ref());
        // Twins look at their clocks at different moments, so that what they propose differs.
        let ahead_ms = self.plan.seats[seat].clock_ahead_ms + TWINS_APART_MS * twin as i64;
        let honest = self.plan.is_honest(seat);
        let court = self.court.clone();
        let (sender, receiver) = oneshot::channel();
        // The validator lives in a task of its own: ending that ends all its actors.
        let task = context.spawn(move |context| async move {
            let context = Local::new(context, ahead_ms);
            let validator = validator::start(context, config, channels).await;
            let handles = validator.handles;
            let _ = sender.send(Process {
                number,
                intake: validator.intake,
                databases: validator.databases,
                marshal: validator.marshal,
                oldest: validator.oldest,
                pool,
                undecided: validator.undecided,
            });
            select_all(handles).await.0.ok();
            if honest {
                court.hear(|_| Err(Violation::Stopped { process: number }));
            }
        });
        running.tasks.push(task);
        running.starting.push(receiver);
    }
}

fn channels(
    lines: &Lines,
    receivers: Vec<Receiver>,
    tamper: Option<&Arc<dyn Tamper>>,
) -> Channels<Outlet, Receiver> {
    let ends = NETWORK_CHANNELS
        .iter()
        .zip(receivers)
        .map(|((channel, _), receiver)| (lines.outlet(*channel, tamper.cloned()), receiver))
        .collect();
    validator::channels(ends)
}

/// Sends to some of the others only.
struct Only(BTreeSet<PublicKey>);

impl Tamper for Only {
    fn rewrite(&self, letter: Letter) -> Vec<Letter> {
        let wanted: Vec<_> = match letter.recipients {
            Recipients::All => self.0.iter().cloned().collect(),
            Recipients::Some(peers) => peers
                .into_iter()
                .filter(|peer| self.0.contains(peer))
                .collect(),
            Recipients::One(peer) => Some(peer)
                .filter(|peer| self.0.contains(peer))
                .into_iter()
                .collect(),
        };
        vec![Letter {
            recipients: Recipients::Some(wanted),
            ..letter
        }]
    }
}
