//! Seeing every answer's record through to its receipt, in the background and across restarts.
//!
//! Records travel in rounds: all that are due at a time are asked about at one validator together.

mod round;
mod traced;

use crate::{
    chain::Validator,
    config::{
        GATHERING_PER_RECORD, LONGEST_GATHERING, MAX_CONCURRENT_ROUNDS, MAX_PENDING, MAX_ROUND,
        POLL_PAUSE_FIRST, POLL_PAUSE_LONGEST, RESUBMIT_AFTER, ROUND_PAUSE,
    },
    operated::SettlementMetrics,
    store::{Outcome, Store, StoreError},
};
use og_http::DRAIN_TIMEOUT;
use og_types::RequestId;
use round::{Round, Word};
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Where handlers leave the request ids of answers that they have just stored.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<RequestId>);

impl Queue {
    /// Leaves a request id. The store admits no more pending answers than the queue has room for, so there is room for this one.
    pub(crate) fn push(&self, id: RequestId) {
        if self.0.try_send(id).is_err() {
            tracing::info!(request_id = %id, "its record settles at the gateway's next start");
        }
    }
}

/// Settles what is pending in the store and what arrives in its queue.
pub(crate) struct Settler {
    store: Arc<Store>,
    validators: Vec<Validator>,
    arrivals: mpsc::Receiver<RequestId>,
    metrics: SettlementMetrics,
    /// The records that no round is asking about.
    cases: BTreeMap<RequestId, Case>,
}

impl Settler {
    pub(crate) fn new(
        store: Arc<Store>,
        validators: Vec<Validator>,
        metrics: SettlementMetrics,
    ) -> (Self, Queue) {
        let (sender, arrivals) = mpsc::channel(MAX_PENDING);
        let settler = Self {
            store,
            validators,
            arrivals,
            metrics,
            cases: BTreeMap::new(),
        };
        (settler, Queue(sender))
    }

    /// Runs until `shutdown` completes. What is pending then stays in the store, which is not used any more once rounds that
    /// were begun have ended, or [`DRAIN_TIMEOUT`] is over.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let now = Instant::now();
        for id in self.store.pending_ids() {
            self.cases.insert(id, Case::new(true, now));
        }
        let mut rounds = JoinSet::new();
        let mut next = now;
        let mut ticks = interval(ROUND_PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = rounds.join_next() => match ended {
                    Ok(open) => self.cases.extend::<Vec<_>>(open),
                    Err(error) => tracing::error!(%error, "settling records broke off: report it; a restart resumes it"),
                },
                _ = ticks.tick() => {
                    self.take_arrivals();
                    if Instant::now() < next {
                        continue;
                    }
                    let mut asked = 0;
                    while rounds.len() < MAX_CONCURRENT_ROUNDS
                        && let Some(round) = self.next_round()
                    {
                        asked += round.cases.len();
                        rounds.spawn(round.run());
                    }
                    next = Instant::now() + gathering(asked);
                }
            }
        }
        let ended = async { while rounds.join_next().await.is_some() {} };
        if timeout(DRAIN_TIMEOUT, ended).await.is_err() {
            tracing::info!(
                "stopping: records that a validator was asked about settle at the next start"
            );
        }
    }

    /// Takes what handlers left. They wake nobody: two switches of threads for each answer, before its client has it, would be
    /// dear.
    fn take_arrivals(&mut self) {
        while let Ok(id) = self.arrivals.try_recv() {
            self.cases.insert(id, Case::new(false, Instant::now()));
        }
    }

    /// The cases that are due, as many as one round asks about, and all to ask the same validator. New ones go together, so that
    /// one block can take them.
    fn next_round(&mut self) -> Option<Round> {
        let now = Instant::now();
        let first = self.cases.values().find(|case| case.due <= now)?;
        let (turn, may_be_known) = (first.turn, first.may_be_known);
        let is_alike = |case: &Case| case.turn == turn && case.may_be_known == may_be_known;
        let due = self.cases.iter();
        let due = due.filter(|(_, case)| case.due <= now && is_alike(case));
        let ids: Vec<_> = due.map(|(id, _)| *id).take(MAX_ROUND).collect();
        let cases = ids
            .into_iter()
            .filter_map(|id| self.cases.remove_entry(&id));
        Some(Round {
            cases: cases.collect(),
            store: self.store.clone(),
            validator: self.validators.get(turn)?.clone(),
            validators: self.validators.len(),
            metrics: self.metrics.clone(),
        })
    }
}

/// How long records are gathered after so many were asked about. Each block costs the validators about the same, with one
/// record or with hundreds: so the more there are, the more go into one, and a single one does not wait.
fn gathering(asked: usize) -> Duration {
    let asked = u32::try_from(asked).unwrap_or(u32::MAX);
    GATHERING_PER_RECORD
        .saturating_mul(asked)
        .min(LONGEST_GATHERING)
}

/// One record on its way.
#[derive(Debug)]
struct Case {
    /// Whether a validator may have the record: it was handed to one, perhaps by an earlier process.
    may_be_known: bool,
    begun: Instant,
    /// When it is to be asked about next, and after that the pause until then.
    due: Instant,
    pause: Duration,
    /// Whom to ask next, by place in the configuration.
    turn: usize,
    /// When a validator last took the record.
    accepted_at: Option<Instant>,
    /// Validators that say that the record will never be final, and why.
    refusals: BTreeMap<usize, String>,
}

impl Case {
    fn new(may_be_known: bool, now: Instant) -> Self {
        Self {
            may_be_known,
            begun: now,
            due: now,
            pause: POLL_PAUSE_FIRST,
            turn: 0,
            accepted_at: None,
            refusals: BTreeMap::new(),
        }
    }

    fn needs_submission(&self) -> bool {
        let accepted = self.accepted_at;
        accepted.is_none_or(|at| at.elapsed() >= RESUBMIT_AFTER)
    }

    /// Takes a validator's word; the outcome, if that decides. One validator's word is enough for a proof, and of a refusal
    /// most must speak.
    fn hear(&mut self, word: Word, validators: usize) -> Option<Outcome> {
        let spoke = self.turn;
        self.turn = (spoke + 1) % validators.max(1);
        match word {
            Word::Final(receipt) => return Some(Outcome::Final(receipt)),
            Word::Never(reason) => {
                self.refusals.insert(spoke, reason.clone());
                // If there are others, they are asked at once: the client should not wait to be told.
                return (self.refusals.len() * 2 > validators).then_some(Outcome::Failed(reason));
            }
            Word::Taken => {
                self.refusals.remove(&spoke);
                self.accepted_at = Some(Instant::now());
            }
            Word::NotYet => {
                self.refusals.remove(&spoke);
            }
            Word::Silence => {}
        }
        self.due = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(POLL_PAUSE_LONGEST);
        None
    }
}

/// Runs a database operation where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(operation).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
