//! What goes wrong in one simulation, all of it drawn from the seed.
//!
//! commonware-glue's `simulate::Plan` has schedules of crashes and links too, but it runs one
//! runtime from start to end, so it can neither take the whole network down and recover its torn
//! storage, nor give a validator another clock, other channels or no honest code at all. This plan
//! keeps its idea: all faults are data, decided before the run.

use og_consensus::{History, MIN_RETAIN_BLOCKS};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};

/// Fewest validators of a simulated network: one of them may be faulty.
pub const MIN_VALIDATORS: usize = 4;
/// Most validators of a drawn plan; three of them may be faulty.
pub const MAX_VALIDATORS: usize = 10;
/// Faults happen in this span of simulated time, in milliseconds; then everything heals.
const FAULTS_MS: std::ops::Range<u64> = 500..12_000;
/// A large error of a clock, in milliseconds: more than validators tolerate.
const WRONG_CLOCK_MS: std::ops::Range<u64> = 1_500..20_000;
/// A small error of a clock, in milliseconds.
const SMALL_SKEW_MS: u64 = 250;

/// Farther behind than this, validators that start fetch state, in plans in which they do.
const STATE_SYNC_BLOCKS: u64 = 2;

/// How a seat behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// By the rules.
    Honest,
    /// Never there.
    Absent,
    /// Two validators with one key, each speaking with a part of the others.
    Twins,
    /// Votes for what it hears and for something else in the same view.
    Conflicter,
    /// Votes to skip a view and to finalize it.
    Nuller,
    /// Proposes blocks that break a rule, each time another one.
    InvalidBlocks,
    /// Sends records and transactions to its peers that no block may hold.
    Forger,
    /// Sends garbage, messages as long as the network takes, and old messages on every channel.
    Noise,
    /// Answers with wrong blocks, certificates and state when peers ask for what they missed.
    Liar,
}

/// The roles of Byzantine seats.
pub const BYZANTINE: [Role; 8] = [
    Role::Absent,
    Role::Twins,
    Role::Conflicter,
    Role::Nuller,
    Role::InvalidBlocks,
    Role::Forger,
    Role::Noise,
    Role::Liar,
];

/// One validator of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeatPlan {
    /// How it behaves.
    pub role: Role,
    /// How far its clock is ahead of the network's, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// What happens at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A validator's process ends; what it did not sync is gone.
    Crash(usize),
    /// A crashed validator starts again.
    Restart(usize),
    /// Nothing passes between these seats and the others; this replaces an earlier partition.
    Partition(BTreeSet<usize>),
    /// Everything passes again.
    Heal,
    /// All machines lose power, and parts of unsynced writes are on their disks.
    PowerLoss,
}

/// How unsynced writes are torn when power is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tearing {
    /// None of them is on disk.
    Nothing,
    /// Of each write, its beginning up to some byte.
    Prefix,
    /// Of each write, any of its bytes.
    Subset,
}

/// What one simulation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The seed: of this plan, of all keys, and of every decision of the runtime.
    pub seed: u64,
    /// The validators.
    pub seats: Vec<SeatPlan>,
    /// Mean delay of links, in milliseconds; each link's own is drawn around it.
    pub delay_ms: u64,
    /// One message in this many is lost; none if 0.
    pub loss_one_in: u64,
    /// Whether a blocked peer is cut off, as in the real network, or may go on.
    pub blocked_are_cut_off: bool,
    /// What power losses do to storage.
    pub tearing: Tearing,
    /// Of a hundred unsynced bytes, how many survive a power loss.
    pub retained_percent: u64,
    /// What happens when, in milliseconds since the start, in order.
    pub events: Vec<(u64, Event)>,
    /// Blocks that must become final after the last event.
    pub blocks_after: u64,
    /// Milliseconds between two submissions of clients.
    pub submit_every_ms: u64,
    /// Whether validators that start a few blocks behind fetch state instead of blocks.
    pub fetches_state: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw(ChaCha20Rng::seed_from_u64(seed));
        let validators = draw.pick(&[4, 4, 4, 4, 5, 5, 6, 7, 7, MAX_VALIDATORS]);
        let seats = draw.seats(validators);
        Self {
            seed,
            delay_ms: draw.between(5..60),
            loss_one_in: draw.pick(&[20, 50, 50, 200, 1000]),
            blocked_are_cut_off: draw.one_in(2),
            tearing: draw.pick(&[Tearing::Nothing, Tearing::Prefix, Tearing::Subset]),
            retained_percent: draw.between(1..100),
            events: draw.events(&seats),
            seats,
            blocks_after: 8,
            submit_every_ms: draw.between(150..500),
            fetches_state: draw.one_in(2),
        }
    }

    /// A network of `validators` honest validators in which nothing goes wrong.
    pub fn calm(seed: u64, validators: usize, blocks: u64) -> Self {
        let honest = SeatPlan {
            role: Role::Honest,
            clock_ahead_ms: 0,
        };
        Self {
            seed,
            seats: vec![honest; validators],
            delay_ms: 25,
            loss_one_in: 0,
            blocked_are_cut_off: true,
            tearing: Tearing::Nothing,
            retained_percent: 0,
            events: Vec::new(),
            blocks_after: blocks,
            submit_every_ms: 250,
            fetches_state: false,
        }
    }

    /// Most Byzantine seats that the network stands, with liveness.
    pub const fn tolerated(validators: usize) -> usize {
        (validators - 1) / 3
    }

    /// Whether the seat follows the rules, be its clock wrong.
    pub fn is_honest(&self, seat: usize) -> bool {
        self.seats
            .get(seat)
            .is_some_and(|seat| seat.role == Role::Honest)
    }

    /// What its validators keep of the chain. What they lack they always find: none prunes blocks
    /// in the time of a simulation.
    pub(crate) fn history(&self) -> History {
        if !self.fetches_state {
            return History::default();
        }
        History {
            retain_blocks: Some(MIN_RETAIN_BLOCKS),
            state_sync_blocks: STATE_SYNC_BLOCKS,
            ..History::default()
        }
    }

    /// When everything has healed.
    pub fn calm_from(&self) -> Duration {
        Duration::from_millis(self.events.last().map_or(0, |(at_ms, _)| *at_ms))
    }
}

/// Chance, from the seed alone.
struct Draw(ChaCha20Rng);

impl Draw {
    fn between(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.0.next_u64() % (range.end - range.start)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.between(0..many) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0..choices.len() as u64) as usize]
    }

    /// Seats of which at most a tolerated number are faulty: Byzantine, or with a wrong clock,
    /// which makes a validator wait for blocks, or the others for its own.
    fn seats(&mut self, validators: usize) -> Vec<SeatPlan> {
        let mut seats: Vec<_> = (0..validators)
            .map(|_| SeatPlan {
                role: Role::Honest,
                clock_ahead_ms: self.signed(0..SMALL_SKEW_MS),
            })
            .collect();
        let faulty = self.between(0..Plan::tolerated(validators) as u64 + 1);
        for _ in 0..faulty {
            let seat = self.between(0..validators as u64) as usize;
            if self.one_in(6) {
                seats[seat].clock_ahead_ms = self.signed(WRONG_CLOCK_MS);
            } else {
                seats[seat].role = self.pick(&BYZANTINE);
            }
        }
        seats
    }

    fn signed(&mut self, range: std::ops::Range<u64>) -> i64 {
        let size = self.between(range) as i64;
        if self.one_in(2) { size } else { -size }
    }

    /// Crashes, partitions and power losses, every one of which is over at the end.
    fn events(&mut self, seats: &[SeatPlan]) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for _ in 0..self.between(0..4) {
            let seat = self.between(0..seats.len() as u64) as usize;
            let (from, until) = self.span();
            events.push((from, Event::Crash(seat)));
            events.push((until, Event::Restart(seat)));
        }
        for _ in 0..self.between(0..3) {
            let side = self.side(seats.len());
            let (from, until) = self.span();
            events.push((from, Event::Partition(side)));
            events.push((until, Event::Heal));
        }
        for _ in 0..self.between(0..3) {
            events.push((self.between(FAULTS_MS), Event::PowerLoss));
        }
        events.sort_by_key(|(at_ms, _)| *at_ms);
        events
    }

    fn span(&mut self) -> (u64, u64) {
        let from = self.between(FAULTS_MS);
        (from, self.between(from..FAULTS_MS.end) + 1)
    }

    fn side(&mut self, validators: usize) -> BTreeSet<usize> {
        (0..validators).filter(|_| self.one_in(2)).collect()
    }
}
