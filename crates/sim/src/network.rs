//! One simulated network from start to end.

use crate::{
    checks::{Checker, Watch},
    workload::{Submission, Workload},
    world::World,
};
use commonware_cryptography::{Signer as _, ed25519::PublicKey};
use commonware_p2p::simulated::{self, Link, Network, Oracle};
use commonware_runtime::{
    Clock as _, Handle, Runner as _, Spawner as _, Supervisor as _, deterministic,
};
use commonware_utils::{NZUsize, Probability};
use og_consensus::{
    Channels, Config, Intake, NETWORK_CHANNELS, Pool, Schemes, Timing, Validator, max_message_bytes,
};
use og_state::Databases;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

type Context = deterministic::Context;

/// What happens in a simulation.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Validators, at least 4 so that one may crash.
    pub validators: usize,
    /// Height that every validator must reach.
    pub height: u64,
    /// Mean delay of a link; each link's own is drawn around it.
    pub delay: Duration,
    /// One message in this many is lost.
    pub loss_one_in: u32,
    /// Simulated time within which the height must be reached.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            validators: 4,
            height: 30,
            delay: Duration::from_millis(25),
            loss_one_in: 50,
            deadline: Duration::from_secs(600),
        }
    }
}

/// How a simulation ended; equal for equal seeds and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of the block at the height that was asked for.
    pub tip: og_types::BlockHash,
    /// Transactions finalized.
    pub transactions: usize,
    /// Records finalized.
    pub records: usize,
    /// Hash over everything that the runtime did.
    pub audit: String,
    /// Simulated time that passed.
    pub elapsed: Duration,
}

/// One validator, running or crashed.
struct Node {
    key: PublicKey,
    watch: Watch,
    running: Option<Running>,
    starts: usize,
}

struct Running {
    intake: Intake<Context>,
    databases: Databases<Context>,
    task: Handle<()>,
}

struct Simulation {
    context: Context,
    options: Options,
    world: Arc<World>,
    oracle: Oracle<PublicKey, Context>,
    checker: Checker,
    nodes: Vec<Node>,
}

/// Runs a network from `seed` until every validator has reached the height, and checks it all.
///
/// # Panics
/// If any check fails: two blocks final at one height, unequal state, an inadmissible record
/// finalized, or no progress before the deadline.
pub fn simulate(seed: u64, options: Options) -> Outcome {
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_timeout(Some(options.deadline * 2));
    deterministic::Runner::new(config).start(|mut context| async move {
        let began = context.current();
        let world = Arc::new(World::new(&mut context, options.validators, ms(began)));
        let mut simulation = Simulation::new(context.child("simulation"), options, world).await;
        simulation.run().await;
        simulation.check_states().await;
        let (tip, transactions, records) = simulation.checker.summary(options.height);
        Outcome {
            tip: tip.expect("the height was reached"),
            transactions,
            records,
            audit: context.auditor().state(),
            elapsed: context
                .current()
                .duration_since(began)
                .expect("simulated time does not go back"),
        }
    })
}

impl Simulation {
    async fn new(mut context: Context, options: Options, world: Arc<World>) -> Self {
        let keys: Vec<_> = world
            .seats
            .iter()
            .map(|seat| seat.key.0.public_key())
            .collect();
        let (network, oracle) = Network::new_with_peers(
            context.child("network"),
            simulated::Config {
                max_size: max_message_bytes(options.validators as u32),
                max_peers_per_set: NZUsize!(options.validators),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(1),
            },
            keys.clone(),
        )
        .await;
        network.start();
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                let link = link(&mut context, &options);
                oracle
                    .add_link(from.clone(), to.clone(), link)
                    .await
                    .expect("the link is new");
            }
        }
        let checker = Checker::new(Arc::clone(&world));
        let nodes = keys
            .into_iter()
            .enumerate()
            .map(|(index, key)| Node {
                key,
                watch: checker.watch(index),
                running: None,
                starts: 0,
            })
            .collect();
        Self {
            context,
            options,
            world,
            oracle,
            checker,
            nodes,
        }
    }

    /// Starts everybody, submits work, crashes one validator at a third of the way and restarts it
    /// at two thirds.
    async fn run(&mut self) {
        for index in 0..self.nodes.len() {
            self.start(index).await;
        }
        let victim = self.draw(self.nodes.len());
        let deadline = self.context.current() + self.options.deadline;
        let (crash, restart) = (self.options.height / 3, self.options.height * 2 / 3);
        let mut workload = Workload::new(&self.world);
        let mut crashed = false;
        while self.lowest() < self.options.height {
            assert!(
                self.context.current() < deadline,
                "no progress: heights {:?}",
                self.nodes
                    .iter()
                    .map(|node| node.watch.height())
                    .collect::<Vec<_>>()
            );
            self.context.sleep(Duration::from_millis(100)).await;
            self.submit(&mut workload).await;
            let highest = self.highest();
            if !crashed && highest >= crash {
                crashed = true;
                self.crash(victim);
            }
            if crashed && self.nodes[victim].running.is_none() && highest >= restart {
                self.start(victim).await;
            }
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        use rand_core::Rng as _;
        self.context.next_u32() as usize % below
    }

    fn lowest(&self) -> u64 {
        self.nodes
            .iter()
            .map(|node| node.watch.height())
            .min()
            .unwrap_or(0)
    }

    fn highest(&self) -> u64 {
        self.nodes
            .iter()
            .map(|node| node.watch.height())
            .max()
            .unwrap_or(0)
    }

    /// Hands one submission to a validator that is up. What is bad must be refused.
    async fn submit(&mut self, workload: &mut Workload) {
        let index = self.draw(self.nodes.len());
        let Some(running) = &self.nodes[index].running else {
            return;
        };
        let intake = running.intake.clone();
        // Before the first block there are no accounts.
        if self.nodes[index].watch.height() == 0 {
            return;
        }
        let now = ms(self.context.current());
        let (submission, good) = workload.next(&self.world, &mut self.context, now);
        let result = match submission.clone() {
            Submission::Transaction(raw) => intake.submit_transaction(raw).await.map(drop),
            Submission::Record(record) => intake.submit_record(*record).await,
        };
        if good {
            result.unwrap_or_else(|error| panic!("refused {submission:?}: {error}"));
        } else {
            assert!(result.is_err(), "not refused: {submission:?}");
        }
    }

    async fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.starts += 1;
        let control = self.oracle.control(node.key.clone());
        let mut ends = Vec::new();
        for (channel, quota) in NETWORK_CHANNELS {
            ends.push(
                control
                    .register(channel, quota)
                    .await
                    .expect("a channel registers"),
            );
        }
        let mut ends = ends.into_iter();
        let mut next = || ends.next().expect("there are six channels");
        let channels = Channels {
            votes: next(),
            certificates: next(),
            resolver: next(),
            blocks: next(),
            backfill: next(),
            gossip: next(),
        };
        let config = Config {
            rules: Arc::clone(&self.world.rules),
            seat: node.key.clone(),
            schemes: Schemes::signer(&self.world.rules, &self.world.seats[index].consensus)
                .expect("the key has a seat"),
            peers: self.oracle.manager(),
            blocker: control,
            pool: Pool::default(),
            observer: node.watch.clone(),
            timing: Timing {
                empty_block_interval: Duration::from_millis(500),
                leader: Duration::from_millis(1500),
                certification: Duration::from_secs(3),
                retry: Duration::from_millis(1500),
            },
            partition_prefix: format!("validator-{index}"),
        };
        let context = self
            .context
            .child("validator")
            .with_attribute("index", index)
            .with_attribute("start", node.starts);
        let (sender, receiver) = futures::channel::oneshot::channel();
        // The validator lives in a task of its own: ending that ends all its actors.
        let task = context.spawn(move |context| async move {
            let validator = Validator::start(context, config, channels).await;
            let _ = sender.send((validator.intake, validator.databases));
            for handle in validator.handles {
                handle.await.expect("no actor fails");
            }
        });
        let (intake, databases) = receiver.await.expect("the validator starts");
        self.nodes[index].running = Some(Running {
            intake,
            databases,
            task,
        });
    }

    fn crash(&mut self, index: usize) {
        if let Some(running) = self.nodes[index].running.take() {
            running.task.abort();
        }
    }

    /// The database of every validator has the root that the chain says it should have.
    async fn check_states(&self) {
        for node in &self.nodes {
            let Some(running) = &node.running else {
                continue;
            };
            let root = running.databases.read().await.root();
            // The database may be one block ahead of what the watch has seen.
            let height = node.watch.height();
            let expected = [height, height + 1].map(|height| self.checker.state_root(height));
            assert!(
                expected.contains(&Some(root.0.into())),
                "another state at height {height}"
            );
        }
    }
}

/// A link with a delay between half and one and a half of the mean.
fn link(context: &mut Context, options: &Options) -> Link {
    use rand_core::Rng as _;
    let mean = options.delay.as_micros() as u64;
    let latency = Duration::from_micros(mean / 2 + context.next_u64() % mean.max(1));
    Link {
        latency,
        jitter: latency / 5,
        success_rate: Probability::new(
            u64::from(options.loss_one_in) - 1,
            options.loss_one_in.into(),
        )
        .expect("fewer are lost than sent"),
    }
}

fn ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
