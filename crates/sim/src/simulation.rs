//! One simulated network from start to end, through every fault of its plan.

use crate::{
    checks::{Checker, Violation},
    outlet::Traffic,
    plan::{Event, Plan, Role, Tearing},
    seat::{Court, Ground, Seat},
    workload::{Expected, Submission, Workload},
    world::{World, unix_ms},
};
use commonware_consensus::types::Height;
use commonware_cryptography::{Signer as _, ed25519::PublicKey};
use commonware_p2p::simulated::{self, Link, Network};
use commonware_runtime::{
    Clock as _, Supervisor as _,
    deterministic::{self, Context, FaultConfig, PartialWriteMode, WriteConfig},
};
use commonware_utils::{NZUsize, Probability};
use og_consensus::{NETWORK_CHANNELS, max_message_bytes};
use og_types::BlockHash;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// When simulated time starts, in seconds since 1970.
const EPOCH_S: u64 = 1_800_000_000;
/// Between two looks at the network, in simulated time.
const STEP: Duration = Duration::from_millis(100);
/// Within this simulated time after everything has healed, the network has gone on.
pub const PROGRESS_BOUND: Duration = Duration::from_secs(120);
/// Records that clients submit at once, now and then: more than a mempool takes.
const BURST: usize = 96;
/// One submission in this many is such a burst.
const BURST_ONE_IN: u32 = 24;

/// How a simulation ended; equal for equal plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Validators, honest or not.
    pub validators: usize,
    /// Hash of the highest final block.
    pub tip: BlockHash,
    /// Its height.
    pub height: u64,
    /// Transactions finalized.
    pub transactions: usize,
    /// Records finalized.
    pub records: usize,
    /// Hash over everything that the runtime did.
    pub audit: String,
    /// Simulated milliseconds that passed.
    pub simulated_ms: u64,
    /// Of these, after everything had healed.
    pub healing_ms: u64,
    /// Dishonest seats that an honest one has found out and blocked.
    pub found: Vec<usize>,
    /// Validators that went on from fetched state.
    pub state_syncs: usize,
    /// Messages and bytes that were sent, by channel.
    pub sent: [(u64, u64); NETWORK_CHANNELS.len()],
}

/// What goes on over power losses.
struct Journey {
    plan: Arc<Plan>,
    world: Arc<World>,
    court: Court,
    traffic: Arc<Traffic>,
    workload: Workload,
    links: Vec<Link>,
    began: SystemTime,
    next_event: usize,
    next_submission: SystemTime,
    down: BTreeSet<usize>,
    aside: BTreeSet<usize>,
    starts: usize,
    found: BTreeSet<usize>,
    /// Process and height of each state sync.
    synced: BTreeSet<(usize, u64)>,
    /// When everything had healed, and the height that all must reach then.
    goal: Option<(SystemTime, u64)>,
}

/// Why a stretch of a journey ended.
enum End {
    PowerLoss,
    Done,
}

/// Runs the network of a plan to its end.
///
/// # Errors
/// The first [`Violation`] of anything that must always hold.
///
/// # Panics
/// If any validator does: that is a violation as well.
pub fn simulate(plan: &Plan) -> Result<Outcome, Violation> {
    let began = UNIX_EPOCH + Duration::from_secs(EPOCH_S);
    let config = deterministic::Config::new()
        .with_seed(plan.seed)
        .with_start_time(began)
        .with_storage_fault_config(faults(plan))
        .with_timeout(Some(plan.calm_from() + PROGRESS_BOUND * 2));
    let mut journey = Journey::new(plan, began);
    let mut runner = deterministic::Runner::new(config);
    loop {
        let ((end, now), checkpoint) = runner.start_and_recover(async |context| {
            let now = context.child("clock");
            let end = Stretch::run(context, &mut journey).await;
            (end, now.current())
        });
        match end? {
            End::PowerLoss => runner = deterministic::Runner::from(checkpoint),
            End::Done => return Ok(journey.outcome(now, checkpoint.auditor().state())),
        }
    }
}

/// What a power loss leaves of writes that were not synced.
fn faults(plan: &Plan) -> FaultConfig {
    let mode = match plan.tearing {
        Tearing::Nothing => return FaultConfig::default(),
        Tearing::Prefix => PartialWriteMode::Prefix,
        Tearing::Subset => PartialWriteMode::Subset,
    };
    FaultConfig::default().write(WriteConfig {
        failure_rate: probability(0, 1),
        retention_rate: probability(plan.retained_percent, 100),
        mode,
    })
}

fn probability(part: u64, of: u64) -> Probability {
    Probability::new(part, of).expect("a part of a whole")
}

impl Journey {
    fn new(plan: &Plan, began: SystemTime) -> Self {
        let mut chance = ChaCha20Rng::seed_from_u64(!plan.seed);
        let validators = plan.seats.len();
        let world = Arc::new(World::new(&mut chance, validators, unix_ms(began)));
        let links = (0..validators * validators)
            .map(|_| link(&mut chance, plan))
            .collect();
        let absent = |seat: &usize| plan.seats[*seat].role == Role::Absent;
        Self {
            plan: Arc::new(plan.clone()),
            court: Court::new(Checker::new(
                Arc::clone(&world),
                plan.history().state_sync_blocks,
            )),
            world,
            traffic: Arc::default(),
            workload: Workload::default(),
            links,
            began,
            next_event: 0,
            next_submission: began,
            down: (0..validators).filter(absent).collect(),
            aside: BTreeSet::new(),
            starts: 0,
            found: BTreeSet::new(),
            synced: BTreeSet::new(),
            goal: None,
        }
    }

    /// The events that are due, in order; a power loss is the last of them.
    fn due(&mut self, now: SystemTime) -> Vec<Event> {
        let mut due = Vec::new();
        while let Some((at_ms, event)) = self.plan.events.get(self.next_event)
            && self.began + Duration::from_millis(*at_ms) <= now
        {
            self.next_event += 1;
            due.push(event.clone());
            if *event == Event::PowerLoss {
                break;
            }
        }
        due
    }

    fn outcome(&self, now: SystemTime, audit: String) -> Outcome {
        let (tip, transactions, records) = self.court.ask(|checker| checker.summary());
        let since = |time| now.duration_since(time).unwrap_or_default().as_millis() as u64;
        Outcome {
            seed: self.plan.seed,
            validators: self.plan.seats.len(),
            tip,
            height: self.court.ask(|checker| checker.highest()),
            transactions,
            records,
            audit,
            simulated_ms: since(self.began),
            healing_ms: self.goal.map_or(0, |(from, _)| since(from)),
            found: self.found.iter().copied().collect(),
            state_syncs: self.synced.len(),
            sent: self.traffic.by_channel(),
        }
    }
}

/// A link with a delay between half and one and a half of the mean.
fn link(chance: &mut ChaCha20Rng, plan: &Plan) -> Link {
    let mean_us = plan.delay_ms * 1000;
    let latency = Duration::from_micros(mean_us / 2 + chance.next_u64() % mean_us.max(1));
    Link {
        latency,
        jitter: latency / 5,
        success_rate: match plan.loss_one_in {
            0 => probability(1, 1),
            many => probability(many - 1, many),
        },
    }
}

/// The network between two power losses.
struct Stretch<'a> {
    journey: &'a mut Journey,
    ground: Ground,
    seats: Vec<Option<Seat>>,
    aside: BTreeSet<usize>,
}

impl<'a> Stretch<'a> {
    async fn run(context: Context, journey: &'a mut Journey) -> Result<End, Violation> {
        let mut stretch = Self::begin(context, journey).await;
        stretch.reconnect().await;
        for seat in 0..stretch.seats.len() {
            if !stretch.journey.down.contains(&seat) {
                stretch.start(seat).await;
            }
        }
        loop {
            let now = stretch.ground.context.current();
            for event in stretch.journey.due(now) {
                if event == Event::PowerLoss {
                    return Ok(End::PowerLoss);
                }
                stretch.apply(event).await;
            }
            stretch.arrive().await;
            stretch.submit().await;
            stretch.check().await;
            stretch.ground.court.verdict()?;
            if stretch.is_done(now)? {
                return Ok(End::Done);
            }
            stretch.ground.context.sleep(STEP).await;
        }
    }

    async fn begin(context: Context, journey: &'a mut Journey) -> Self {
        let keys: Vec<PublicKey> = journey
            .world
            .seats
            .iter()
            .map(|seat| seat.key.0.public_key())
            .collect();
        let validators = keys.len();
        let (network, oracle) = Network::new_with_peers(
            context.child("network"),
            simulated::Config {
                max_size: max_message_bytes(validators as u32),
                max_peers_per_set: NZUsize!(validators),
                disconnect_on_block: journey.plan.blocked_are_cut_off,
                tracked_peer_sets: NZUsize!(1),
            },
            keys.clone(),
        )
        .await;
        network.start();
        let ground = Ground {
            context,
            plan: Arc::clone(&journey.plan),
            world: Arc::clone(&journey.world),
            oracle,
            keys,
            court: journey.court.clone(),
            traffic: Arc::clone(&journey.traffic),
        };
        // All links exist at first; `reconnect` cuts those of a partition.
        for from in 0..validators {
            for to in 0..validators {
                ground.connect_link(journey, from, to).await;
            }
        }
        Self {
            seats: (0..validators).map(|_| None).collect(),
            aside: BTreeSet::new(),
            journey,
            ground,
        }
    }

    /// Makes the links those of the partition that the journey is in.
    async fn reconnect(&mut self) {
        let validators = self.seats.len();
        for from in 0..validators {
            for to in (0..validators).filter(|to| *to != from) {
                let was_cut = self.aside.contains(&from) != self.aside.contains(&to);
                let aside = &self.journey.aside;
                let is_cut = aside.contains(&from) != aside.contains(&to);
                if is_cut && !was_cut {
                    let keys = &self.ground.keys;
                    let removed = self
                        .ground
                        .oracle
                        .remove_link(keys[from].clone(), keys[to].clone());
                    removed.await.expect("the link exists");
                } else if was_cut && !is_cut {
                    self.ground.connect_link(self.journey, from, to).await;
                }
            }
        }
        self.aside = self.journey.aside.clone();
    }

    async fn apply(&mut self, event: Event) {
        match event {
            Event::Crash(seat) => {
                self.journey.down.insert(seat);
                if let Some(running) = self.seats[seat].take() {
                    running.crash();
                }
            }
            Event::Restart(seat) => {
                if self.journey.down.remove(&seat) {
                    self.start(seat).await;
                }
            }
            Event::Partition(side) => {
                self.journey.aside = side;
                self.reconnect().await;
            }
            Event::Heal => {
                self.journey.aside.clear();
                self.reconnect().await;
            }
            Event::PowerLoss => {}
        }
    }

    async fn start(&mut self, seat: usize) {
        self.journey.starts += 1;
        let running = self.ground.start(seat, self.journey.starts).await;
        self.seats[seat] = Some(running);
    }

    /// Takes in validators that have come up, and looks whether all that they had reported final
    /// is still there.
    async fn arrive(&mut self) {
        for running in self.seats.iter_mut().flatten() {
            let known = running.arrive();
            for process in &running.processes[known..] {
                let reported = self.ground.court.ask(|it| it.height(process.number));
                if process.oldest > 0 {
                    self.journey.synced.insert((process.number, process.oldest));
                }
                let oldest = process.oldest.max(1);
                for height in oldest..=reported {
                    let block = process.marshal.get_block(Height::new(height)).await;
                    let found = block.map(|block| block.inner().block().hash());
                    self.ground
                        .court
                        .hear(|checker| checker.kept(process.number, height, found));
                }
            }
        }
    }

    /// Hands submissions to an honest validator that is up. What is bad must be refused.
    async fn submit(&mut self) {
        let now = self.ground.context.current();
        if now < self.journey.next_submission {
            return;
        }
        let every = Duration::from_millis(self.journey.plan.submit_every_ms);
        self.journey.next_submission = now + every;
        let context = &mut self.ground.context;
        let seat = context.next_u32() as usize % self.seats.len();
        // Before the first block there are no accounts.
        let (nonces, is_begun) = self.ground.court.ask(|checker| {
            let is_begun = checker.height(seat) > 0;
            (checker.nonces().to_vec(), is_begun)
        });
        let process = self.seats[seat]
            .as_ref()
            .and_then(|it| it.processes.first());
        let Some(process) = process.filter(|_| is_begun && self.journey.plan.is_honest(seat))
        else {
            return;
        };
        let intake = process.intake.clone();
        let (world, workload) = (&self.journey.world, &mut self.journey.workload);
        if context.next_u32().is_multiple_of(BURST_ONE_IN) {
            for _ in 0..BURST {
                let record = workload.good_record(world, context, unix_ms(now));
                if let Submission::Record(record) = record {
                    let _ = intake.submit_records(&[*record]).await;
                }
            }
            return;
        }
        let (submission, expected) = workload.next(world, context, &nonces, unix_ms(now));
        let accepted = match submission.clone() {
            Submission::Transaction(raw) => intake.submit_transaction(raw).await.is_ok(),
            Submission::Record(record) => {
                let results = intake.submit_records(&[*record]).await;
                results.is_ok_and(|results| results.iter().all(Result::is_ok))
            }
        };
        if accepted && expected == Expected::Never {
            let what = format!("{submission:?}");
            self.ground
                .court
                .hear(|_| Err(Violation::Accepted { seat, what }));
        }
    }

    async fn check(&mut self) {
        let court = &self.ground.court;
        for process in self.seats.iter().flatten().flat_map(|it| &it.processes) {
            let root = process.databases.read().await.root();
            court.hear(|checker| checker.state(process.number, root.0.into()));
            court.hear(|_| Checker::load(process.number, &process.load()));
        }
        let blocked = self.ground.oracle.blocked().await.unwrap_or_default();
        let seat_of = |key| self.ground.keys.iter().position(|other| other == key);
        let pairs: Vec<_> = blocked
            .iter()
            .filter_map(|(by, peer)| Some((seat_of(by)?, seat_of(peer)?)))
            .collect();
        let honest: BTreeSet<_> = self.honest().collect();
        court.hear(|_| Checker::blocked(&pairs, &honest));
        let found = pairs.iter().filter(|(by, _)| honest.contains(by));
        self.journey.found.extend(found.map(|(_, peer)| *peer));
    }

    fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        let plan = &self.journey.plan;
        (0..self.seats.len()).filter(|seat| plan.is_honest(*seat))
    }

    /// Whether everything has healed and every honest validator has gone on from there.
    fn is_done(&mut self, now: SystemTime) -> Result<bool, Violation> {
        if self.journey.next_event < self.journey.plan.events.len() {
            return Ok(false);
        }
        let highest = self.ground.court.ask(|checker| checker.highest());
        let blocks = self.journey.plan.blocks_after;
        let (from, goal) = *self.journey.goal.get_or_insert((now, highest + blocks));
        let heights: Vec<_> = self
            .honest()
            .map(|seat| (seat, self.ground.court.ask(|it| it.height(seat))))
            .collect();
        if heights.iter().all(|(_, height)| *height >= goal) {
            return Ok(true);
        }
        if now > from + PROGRESS_BOUND {
            return Err(Violation::Stuck {
                heights,
                goal,
                within_s: PROGRESS_BOUND.as_secs(),
            });
        }
        Ok(false)
    }
}

impl Ground {
    async fn connect_link(&self, journey: &Journey, from: usize, to: usize) {
        if from == to {
            return;
        }
        let link = journey.links[from * self.keys.len() + to].clone();
        let (from, to) = (self.keys[from].clone(), self.keys[to].clone());
        let added = self.oracle.add_link(from, to, link).await;
        added.expect("the link is new");
    }
}
