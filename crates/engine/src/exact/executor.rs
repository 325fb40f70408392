//! Executing a program over positions of several sequences at once.
//!
//! A row's result depends on nothing but the row and what it attends to, and all sums are exact. So how positions are
//! grouped into batches, how many threads there are and which kernels they use changes no bit.

use super::{
    cache::{BLOCK_POSITIONS, Cache, CacheError, SequenceId},
    commit::Commit,
    ready::Ready,
    steps::{AttendMemory, BatchRow, LinearMemory, Scope, SpatialMemory, Wave},
    values::{Buffer, ValueRef},
};
use og_kernels::{LinearError, elements::Angles, row::Wide, team::Team};
use og_program::{operation::Step, trace, value::Value};
use std::{ops::Range, sync::Arc};

/// Positions of one batch, at most.
pub const MAX_BATCH_POSITIONS: usize = 4096;

/// How an executor works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads, the caller's included.
    pub threads: usize,
    /// Bytes that keys and values of all sequences take together, at most.
    pub cache_bytes: usize,
    /// Whether what was computed of a text's beginning is kept for other texts that begin alike.
    pub keeps_prefixes: bool,
}

/// What a batch holds of one sequence: its next positions.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// The sequence.
    pub sequence: SequenceId,
    /// A token for each position; empty if the program takes none.
    pub tokens: &'a [u32],
    /// The program's inputs for each position; empty if it has none and takes tokens.
    pub inputs: &'a [Vec<Value>],
    /// Positions, counted within the span, whose outputs are asked for.
    pub wanted: Range<usize>,
    /// Whether the roots of its positions are noted, for [`Executor::run_root`].
    pub traced: bool,
}

impl Span<'_> {
    /// How many positions it has.
    pub fn positions(&self) -> usize {
        self.tokens.len().max(self.inputs.len())
    }
}

/// Sees every value that is computed.
pub trait Observer {
    /// The value of `step` at `position` of a sequence. Steps of the tail are computed only at wanted positions.
    fn value(&mut self, sequence: SequenceId, position: usize, step: Step, value: ValueRef<'_>);
}

/// Why a batch was not computed. Sequences are as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The cache has no room, or a sequence has ended.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Too many positions, or none.
    #[error("a batch of {0} positions: 1 to {MAX_BATCH_POSITIONS} can be computed at once")]
    Positions(usize),
    /// A sequence is longer than the program allows.
    #[error("the sequence would have {length} positions, and the model takes {most}")]
    TooLong {
        /// Positions that it would have.
        length: usize,
        /// Positions that the program takes.
        most: usize,
    },
    /// A token that the program does not know.
    #[error("token {token} is unknown: the model knows {vocabulary}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens that there are.
        vocabulary: u32,
    },
    /// Tokens, inputs or wanted positions do not fit the program or each other.
    #[error("{0}")]
    Shape(&'static str),
    /// A matrix does not fit its step: the program was not checked.
    #[error(transparent)]
    Linear(#[from] LinearError),
}

/// Memory that one executor uses again and again.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) buffers: Vec<Buffer>,
    /// For each member of the team.
    pub(super) wides: Vec<Wide>,
    pub(super) linear: LinearMemory,
    pub(super) attend: AttendMemory,
    pub(super) spatial: SpatialMemory,
    /// For each rotation, the angles of each row.
    pub(super) angles: Vec<Vec<Angles>>,
    /// For each step, how many elements were clamped so far.
    pub(super) clamped: Vec<u64>,
    pub(super) commit: Commit,
}

/// Executes a program. It owns its threads and what it keeps of sequences.
#[derive(Debug)]
pub struct Executor {
    ready: Arc<Ready>,
    team: Team,
    cache: Cache,
    state: State,
    /// Values of each output at all wanted positions of the last batch.
    outputs: Vec<Buffer>,
    /// For each wanted position, spans in order, where it lies in `outputs`.
    places: Vec<usize>,
}

impl Executor {
    /// An executor without sequences.
    pub fn new(ready: Arc<Ready>, settings: &Settings) -> Self {
        let team = Team::new(settings.threads);
        let plan = &ready.plan;
        let program = ready.program();
        // Only where tokens, and those before a position alone, determine what is kept of it.
        let prefixes = program.causal && program.vocabulary > 0 && program.inputs.is_empty();
        let keeps_prefixes = settings.keeps_prefixes && prefixes;
        let cache = Cache::new(plan.block_length, settings.cache_bytes, keeps_prefixes);
        let mut state = State::default();
        state
            .buffers
            .resize_with(plan.buffers.len(), Buffer::default);
        state.wides.resize_with(team.threads(), Wide::default);
        state
            .attend
            .scratch
            .resize_with(team.threads(), Default::default);
        state.commit = Commit::new(team.threads());
        state.clamped.resize(plan.steps.len(), 0);
        let mut outputs = vec![];
        outputs.resize_with(ready.program().outputs.len(), Buffer::default);
        Self {
            ready,
            team,
            cache,
            state,
            outputs,
            places: vec![],
        }
    }

    /// The model made ready that it executes.
    pub fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    /// A new sequence that will begin with `tokens`. Also gives how many of its positions need not be computed, because
    /// they are kept from an earlier sequence: always less than there are tokens. If `traced`, only those whose roots
    /// are known count.
    pub fn begin(&mut self, tokens: &[u32], traced: bool) -> (SequenceId, usize) {
        self.cache.begin(tokens, traced)
    }

    /// Ends a sequence. Its positions are kept while there is room, if the settings say so.
    pub fn end(&mut self, sequence: SequenceId) {
        self.cache.end(sequence);
    }

    /// Forgets all positions of a sequence from `length` on.
    ///
    /// # Errors
    /// [`CacheError::Ended`].
    pub fn truncate(&mut self, sequence: SequenceId, length: usize) -> Result<(), CacheError> {
        self.cache.truncate(sequence, length)
    }

    /// Offers the full blocks of a sequence to others that begin alike. Its positions so far must be final.
    pub fn share(&mut self, sequence: SequenceId) {
        self.cache.share(sequence);
    }

    /// Positions of a sequence.
    ///
    /// # Errors
    /// [`CacheError::Ended`].
    pub fn length(&self, sequence: SequenceId) -> Result<usize, CacheError> {
        self.cache.length(sequence)
    }

    /// Blocks of [`BLOCK_POSITIONS`] positions that there can be, and that sequences hold.
    pub fn blocks(&self) -> (usize, usize) {
        (self.cache.most_blocks(), self.cache.used_blocks())
    }

    /// The root of a sequence's run (`og_program::trace`); `None` if not all its positions were traced.
    pub fn run_root(&self, sequence: SequenceId) -> Option<trace::Hash> {
        self.cache.run_root(sequence)
    }

    /// For each step, how many elements were out of their type's range and clamped, so far.
    pub fn clamped(&self) -> &[u64] {
        &self.state.clamped
    }

    /// Computes the next positions of some sequences. The outputs at wanted positions are then given by
    /// [`Self::output`].
    ///
    /// # Errors
    /// [`ForwardError`]; sequences are as before.
    pub fn forward(
        &mut self,
        spans: &[Span<'_>],
        mut observer: Option<&mut dyn Observer>,
    ) -> Result<(), ForwardError> {
        self.check(spans)?;
        let starts = self.extend(spans)?;
        let longest = spans.iter().map(Span::positions).max().unwrap_or(0);
        let waves = if self.ready.plan.recurrent {
            longest
        } else {
            1
        };
        self.places.clear();
        let mut done = 0;
        // Wanted positions in the order in which waves compute them.
        let mut computed: Vec<(usize, usize)> = vec![];
        for wave in 0..waves {
            let (mut rows, mut wanted) = (vec![], vec![]);
            for (index, (span, start)) in spans.iter().zip(&starts).enumerate() {
                let offsets = if waves == 1 {
                    0..span.positions()
                } else {
                    wave.min(span.positions())..(wave + 1).min(span.positions())
                };
                for offset in offsets {
                    if span.wanted.contains(&offset) {
                        computed.push((index, offset));
                        wanted.push(rows.len());
                    }
                    rows.push(BatchRow {
                        sequence: span.sequence,
                        position: start + offset,
                        token: span.tokens.get(offset).copied().unwrap_or(0),
                        inputs: span.inputs.get(offset).map_or(&[], Vec::as_slice),
                        traced: span.traced,
                    });
                }
            }
            let result = self.wave(&rows, &wanted, observer.as_deref_mut());
            if let Err(error) = result {
                for (span, start) in spans.iter().zip(&starts) {
                    self.cache.truncate(span.sequence, *start)?;
                }
                return Err(error);
            }
            self.collect(wanted.len(), rows.len(), &wanted, done, waves == 1);
            done += wanted.len();
        }
        self.places.resize(computed.len(), 0);
        let mut order: Vec<usize> = (0..computed.len()).collect();
        order.sort_by_key(|place| computed[*place]);
        self.places.copy_from_slice(&order);
        Ok(())
    }

    /// How many positions of the last batch were wanted.
    pub fn outputs(&self) -> usize {
        self.places.len()
    }

    /// The program's output `output` at the wanted position `index` of the last batch, spans in order. `None` if there is no such
    /// output or position.
    pub fn output(&self, output: usize, index: usize) -> Option<ValueRef<'_>> {
        let place = *self.places.get(index)?;
        Some(ValueRef::of(
            self.ready.output_type(output)?,
            self.outputs.get(output)?,
            place,
        ))
    }

    fn check(&self, spans: &[Span<'_>]) -> Result<(), ForwardError> {
        let program = self.ready.program();
        let all: usize = spans.iter().map(Span::positions).sum();
        if all == 0 || all > MAX_BATCH_POSITIONS {
            return Err(ForwardError::Positions(all));
        }
        for (index, span) in spans.iter().enumerate() {
            let start = self.cache.length(span.sequence)?;
            let (length, most) = (start + span.positions(), program.positions as usize);
            if length > most {
                return Err(ForwardError::TooLong { length, most });
            }
            let vocabulary = program.vocabulary;
            if let Some(token) = span.tokens.iter().find(|token| **token >= vocabulary) {
                return Err(ForwardError::Token {
                    token: *token,
                    vocabulary,
                });
            }
            let twice = spans[..index]
                .iter()
                .any(|other| other.sequence == span.sequence);
            let tokens = span.tokens.len() == if vocabulary > 0 { span.positions() } else { 0 };
            let inputs = if program.inputs.is_empty() {
                0
            } else {
                span.positions()
            };
            let problems = [
                (twice, "a sequence is twice in the batch"),
                (
                    span.positions() == 0,
                    "a sequence without positions is in the batch",
                ),
                (
                    !tokens,
                    "there must be a token for each position, and none if the model takes none",
                ),
                (
                    span.inputs.len() < inputs,
                    "there must be inputs for each position",
                ),
                (
                    span.wanted.end > span.positions(),
                    "a position is wanted that is not computed",
                ),
                (
                    start > 0 && !program.causal,
                    "a model that is not causal computes all positions at once",
                ),
            ];
            if let Some((_, problem)) = problems.iter().find(|(wrong, _)| *wrong) {
                return Err(ForwardError::Shape(problem));
            }
            for inputs in span.inputs {
                self.check_inputs(inputs)?;
            }
        }
        Ok(())
    }

    /// Whether values are those of the program's inputs.
    fn check_inputs(&self, inputs: &[Value]) -> Result<(), ForwardError> {
        let program = self.ready.program();
        if inputs.len() < program.inputs.len() {
            return Err(ForwardError::Shape("there must be a value for each input"));
        }
        for definition in &program.steps {
            let og_program::operation::Operation::Input(input) = definition.operation else {
                continue;
            };
            let fits = inputs[input as usize].fits(&definition.output);
            if !fits {
                return Err(ForwardError::Shape(
                    "an input has another shape, exponent or range than the model takes",
                ));
            }
        }
        Ok(())
    }

    /// Makes room for all positions and gives where each span begins.
    fn extend(&mut self, spans: &[Span<'_>]) -> Result<Vec<usize>, ForwardError> {
        let mut starts = vec![];
        for span in spans {
            let start = self.cache.length(span.sequence)?;
            if let Err(error) = self
                .cache
                .extend(span.sequence, span.positions(), span.tokens)
            {
                for (span, start) in spans.iter().zip(&starts) {
                    self.cache.truncate(span.sequence, *start)?;
                }
                return Err(error.into());
            }
            starts.push(start);
        }
        Ok(starts)
    }

    /// Computes all steps at some positions.
    fn wave(
        &mut self,
        rows: &[BatchRow<'_>],
        wanted: &[usize],
        mut observer: Option<&mut (dyn Observer + '_)>,
    ) -> Result<(), ForwardError> {
        let ready = self.ready.clone();
        let scope = Scope {
            ready: &ready,
            rows,
            wanted,
        };
        self.state.linear.forget();
        self.state.commit.begin(scope);
        let mut wave = Wave {
            scope,
            team: &mut self.team,
            cache: &mut self.cache,
            state: &mut self.state,
        };
        wave.turn();
        for step in 0..ready.plan.steps.len() {
            wave.step(step)?;
            wave.commit(step);
            if let Some(observer) = observer.as_deref_mut() {
                wave.show(step, observer);
            }
        }
        self.state
            .commit
            .end(scope, &mut self.team, &mut self.cache);
        Ok(())
    }

    /// Takes the outputs of a wave, whose `wanted` rows come after the `done` ones of earlier waves.
    fn collect(&mut self, wanted: usize, rows: usize, indices: &[usize], done: usize, only: bool) {
        if wanted == 0 {
            return;
        }
        let program = self.ready.model.program();
        for (index, output) in program.outputs.iter().enumerate() {
            let planned = &self.ready.plan.steps[output.step as usize];
            let of = &program.steps[output.step as usize].output;
            let whole = planned.tail || wanted == rows;
            let named = program
                .outputs
                .iter()
                .filter(|other| other.step == output.step)
                .count();
            let (from, to) = (
                &mut self.state.buffers[planned.buffer],
                &mut self.outputs[index],
            );
            if only && whole && named == 1 {
                std::mem::swap(from, to);
            } else if whole {
                let all: Vec<usize> = (0..wanted).collect();
                to.gather(from, of, &all, done);
            } else {
                to.gather(from, of, indices, done);
            }
        }
    }

    /// Positions of a block of the cache.
    pub const fn block_positions() -> usize {
        BLOCK_POSITIONS
    }
}
