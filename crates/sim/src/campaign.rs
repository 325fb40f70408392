//! Many seeds, over all cores: each either holds or fails, and none stops the others.

use crate::{Outcome, Plan, simulate};
use serde::Serialize;
use std::{
    any::Any,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// Failures that are kept; a campaign that finds more ends.
const MAX_FAILURES: usize = 16;

/// Which seeds are run, and on how many threads.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Threads; each runs one seed at a time.
    pub threads: usize,
}

/// A seed whose network did what must never happen.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub what: String,
    /// What had been planned to go wrong.
    pub plan: Plan,
}

/// What a campaign found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that failed, by seed.
    pub failures: Vec<Failure>,
    /// Final blocks of all seeds.
    pub blocks: u64,
    /// Final transactions of all seeds.
    pub transactions: u64,
    /// Final records of all seeds.
    pub records: u64,
    /// Times that a validator went on from fetched state.
    pub state_syncs: u64,
    /// Simulated seconds of all seeds.
    pub simulated_s: f64,
    /// Longest simulated time that a seed took to go on after everything had healed.
    pub slowest_healing_s: f64,
    /// Real seconds.
    pub real_s: f64,
}

impl Summary {
    /// Seeds run in a minute of real time.
    pub fn seeds_per_minute(&self) -> f64 {
        self.seeds as f64 * 60.0 / self.real_s
    }

    /// Simulated seconds in a second of real time.
    pub fn simulated_per_real(&self) -> f64 {
        self.simulated_s / self.real_s
    }

    fn add(&mut self, outcome: &Outcome) {
        self.blocks += outcome.height;
        self.transactions += outcome.transactions as u64;
        self.records += outcome.records as u64;
        self.state_syncs += outcome.state_syncs as u64;
        self.simulated_s += outcome.simulated_ms as f64 / 1000.0;
        let healing_s = outcome.healing_ms as f64 / 1000.0;
        self.slowest_healing_s = self.slowest_healing_s.max(healing_s);
    }
}

/// Runs the network of one seed.
///
/// # Errors
/// [`Failure`] if something happened that must never happen, a panic included.
pub fn run_seed(seed: u64) -> Result<Outcome, Box<Failure>> {
    let plan = Plan::draw(seed);
    let what = match catch_unwind(AssertUnwindSafe(|| simulate(&plan))) {
        Ok(Ok(outcome)) => return Ok(outcome),
        Ok(Err(violation)) => violation.to_string(),
        Err(panic) => format!("panic: {}", panic_message(panic.as_ref())),
    };
    Err(Box::new(Failure { seed, what, plan }))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

impl Campaign {
    /// Runs all seeds, and tells `done` of each.
    pub fn run(&self, done: impl Fn(&Result<Outcome, Box<Failure>>) + Sync) -> Summary {
        let began = Instant::now();
        let next = AtomicU64::new(self.seeds.start);
        let summary = Mutex::new(Summary::default());
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| self.work(&next, &summary, &done));
            }
        });
        let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.failures.sort_by_key(|failure| failure.seed);
        summary.real_s = began.elapsed().as_secs_f64();
        summary
    }

    fn work(
        &self,
        next: &AtomicU64,
        summary: &Mutex<Summary>,
        done: &(impl Fn(&Result<Outcome, Box<Failure>>) + Sync),
    ) {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            let result = run_seed(seed);
            done(&result);
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            summary.seeds += 1;
            match result {
                Ok(outcome) => summary.add(&outcome),
                Err(failure) => summary.failures.push(*failure),
            }
            if summary.failures.len() >= MAX_FAILURES {
                next.store(self.seeds.end, Ordering::Relaxed);
            }
        }
    }
}
