//! Many requests at once on one executor: in each turn every answer grows by at least a token, and prompts by a chunk.
//!
//! Which requests share a batch depends on when they come; what they get does not.

use super::{
    cache::BLOCK_POSITIONS,
    embed::embed,
    executor::{Executor, MAX_BATCH_POSITIONS, Span},
    request::{EmbeddingRequest, Event, FinishReason, GenerateError, Request, Sink},
    running::Running,
};
use og_program::value::{Form, Type};
use og_text::{Stream, StreamStart, Tokenizer};
use std::{ops::Range, sync::Arc};

/// Tokens that are guessed ahead for one answer in one turn, at most.
const MOST_GUESSES: usize = 4;
/// Positions of a batch of answers up to which guessing pays: rows beyond cost as much as they save.
const GUESSING_ROWS: usize = 8;

/// How requests share an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerSettings {
    /// Requests that are answered at once, at most.
    pub most_running: usize,
    /// Positions of prompts that are computed in one turn, at most.
    pub chunk_positions: usize,
    /// Whether tokens are guessed ahead.
    pub guesses: bool,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            most_running: 16,
            chunk_positions: 256,
            guesses: true,
        }
    }
}

/// What is asked of a scheduler.
#[derive(Debug)]
pub(super) enum Task {
    Generate(Box<Request>, Sink),
    Embed(EmbeddingRequest, Sink),
}

impl Task {
    pub(super) fn sink(&self) -> &Sink {
        match self {
            Self::Generate(_, sink) | Self::Embed(_, sink) => sink,
        }
    }
}

/// Requests that are being answered.
#[derive(Debug)]
pub(super) struct Scheduler {
    executor: Executor,
    settings: SchedulerSettings,
    tokenizer: Option<Arc<Tokenizer>>,
    running: Vec<Running>,
    reserved: usize,
}

/// A request's part of a turn.
struct Turn {
    /// Index of the request.
    request: usize,
    tokens: Vec<u32>,
    wanted: Range<usize>,
    guesses: usize,
}

impl Scheduler {
    pub(super) fn new(
        executor: Executor,
        settings: SchedulerSettings,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Self {
        Self {
            executor,
            settings: SchedulerSettings {
                most_running: settings.most_running.clamp(1, MAX_BATCH_POSITIONS / 16),
                chunk_positions: settings.chunk_positions.clamp(1, MAX_BATCH_POSITIONS / 2),
                ..settings
            },
            tokenizer,
            running: vec![],
            reserved: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Blocks of the cache that a request may need: its text, guesses, and a copy of a shared block.
    fn needs(&self, positions: usize) -> usize {
        (positions + MOST_GUESSES).div_ceil(BLOCK_POSITIONS) + 1
    }

    /// Tokens that an answer may have: after its last token nothing is computed.
    fn most_tokens(&self, request: &Request) -> usize {
        let positions = self.executor.ready().program().positions as usize;
        request
            .most_tokens
            .min(positions + 1 - request.prompt.len().min(positions))
    }

    /// Takes a request if there is room for it, or gives it back.
    pub(super) fn admit(&mut self, task: Task) -> Option<Task> {
        if !task.sink().is_open() {
            return None;
        }
        match task {
            Task::Embed(request, sink) => {
                let most = self.settings.chunk_positions;
                let event = match embed(&mut self.executor, &request, most, &sink) {
                    Ok(embeddings) => Event::Embeddings(embeddings),
                    Err(GenerateError::Forward(super::ForwardError::Cache(_)))
                        if !self.is_idle() =>
                    {
                        return Some(Task::Embed(request, sink));
                    }
                    Err(error) => Event::Failed(error),
                };
                sink.send(event);
                None
            }
            Task::Generate(request, sink) => {
                let stream = match self.check(&request) {
                    Ok(stream) => stream,
                    Err(error) => {
                        sink.send(Event::Failed(error));
                        return None;
                    }
                };
                let most_tokens = self.most_tokens(&request);
                let reserved = self.needs(request.prompt.len() + most_tokens);
                let most = self.executor.blocks().0;
                if reserved > most {
                    let needed = reserved;
                    sink.send(Event::Failed(GenerateError::CacheTooSmall { needed, most }));
                    return None;
                }
                let full = self.running.len() >= self.settings.most_running;
                if full || self.reserved + reserved > most {
                    return Some(Task::Generate(request, sink));
                }
                self.reserved += reserved;
                let begun = self.executor.begin(&request.prompt, request.traced);
                let guesses = self.settings.guesses && !self.executor.ready().plan.recurrent;
                self.running.push(Running::new(
                    *request,
                    sink,
                    stream,
                    begun,
                    reserved,
                    most_tokens,
                    guesses,
                ));
                None
            }
        }
    }

    fn check(&self, request: &Request) -> Result<Option<Stream>, GenerateError> {
        let program = self.executor.ready().program();
        let (length, most) = (request.prompt.len(), program.positions as usize);
        if length == 0 {
            return Err(GenerateError::Empty);
        }
        if length > most {
            return Err(GenerateError::PromptTooLong { length, most });
        }
        let logits = self.executor.ready().output_type(0);
        let is_logits = |of: &Type| {
            matches!(&of.form, Form::Fixed { exponents, .. } if exponents.len() == 1)
                && of.elements() == program.vocabulary as usize
        };
        if !program.causal || !program.inputs.is_empty() || !logits.is_some_and(is_logits) {
            return Err(GenerateError::Model(
                "the model does not continue texts: its first output is not logits",
            ));
        }
        if request.most_tokens == 0 {
            return Err(GenerateError::Model("an answer of no tokens is asked for"));
        }
        let Some(tokenizer) = &self.tokenizer else {
            return if request.stops.is_empty() {
                Ok(None)
            } else {
                Err(GenerateError::Model(
                    "stop strings need a tokenizer, which the model has not",
                ))
            };
        };
        let stream = Stream::new(tokenizer.clone(), StreamStart::Continuation, &request.stops)?
            .showing(&request.shown);
        Ok(Some(stream))
    }

    /// One batch: every request that is being answered goes on.
    pub(super) fn turn(&mut self) {
        for index in (0..self.running.len()).rev() {
            if !self.running[index].sink.is_open() {
                self.remove(index);
            }
        }
        let turns = self.plan();
        if turns.is_empty() {
            return;
        }
        let spans: Vec<Span<'_>> = turns
            .iter()
            .map(|turn| Span {
                sequence: self.running[turn.request].sequence,
                tokens: &turn.tokens,
                inputs: &[],
                wanted: turn.wanted.clone(),
                traced: self.running[turn.request].request.traced,
            })
            .collect();
        if let Err(error) = self.executor.forward(&spans, None) {
            // No one request is to blame where nothing tells which.
            for index in turns.iter().map(|turn| turn.request).rev() {
                self.running[index]
                    .sink
                    .send(Event::Failed(error.clone().into()));
                self.remove(index);
            }
            return;
        }
        let mut row = 0;
        let mut ended = vec![];
        for turn in &turns {
            let result = self.take(turn, row);
            row += turn.wanted.len();
            match result {
                Ok(None) => {}
                Ok(Some(reason)) => {
                    let running = &mut self.running[turn.request];
                    let root = self
                        .executor
                        .run_root(running.sequence)
                        .filter(|_| running.request.traced);
                    running.finish(reason, root);
                    ended.push(turn.request);
                }
                Err(error) => {
                    self.running[turn.request].sink.send(Event::Failed(error));
                    ended.push(turn.request);
                }
            }
        }
        ended.sort_unstable();
        ended.into_iter().rev().for_each(|index| self.remove(index));
    }

    /// What each request computes in the next batch: answers first, then prompts in the order in which they came.
    fn plan(&self) -> Vec<Turn> {
        let answers = self
            .running
            .iter()
            .filter(|running| running.decodes())
            .count();
        let most_guesses =
            (GUESSING_ROWS.saturating_sub(answers) / answers.max(1)).min(MOST_GUESSES);
        let positions = self.executor.ready().program().positions as usize;
        let mut left = self.settings.chunk_positions;
        let mut turns = vec![];
        for (request, running) in self.running.iter().enumerate() {
            let known = &running.tokens[running.computed..];
            let count = if running.decodes() {
                1
            } else {
                known.len().min(left)
            };
            if count == 0 {
                continue;
            }
            let mut tokens = known[..count].to_vec();
            let (mut wanted, mut guesses) = (count..count, 0);
            if running.decodes() {
                let most = most_guesses
                    .min(running.tokens_left().saturating_sub(1))
                    .min(positions - running.tokens.len().min(positions));
                let guessed = running
                    .drafter
                    .as_ref()
                    .map_or(&[][..], |drafter| drafter.guess(most));
                tokens.extend_from_slice(guessed);
                guesses = guessed.len();
            } else {
                left -= count;
            }
            if count == known.len() {
                wanted = count - 1..tokens.len();
            }
            turns.push(Turn {
                request,
                tokens,
                wanted,
                guesses,
            });
        }
        turns
    }

    /// Takes what a batch gave one request: its wanted rows begin at `row`.
    fn take(&mut self, turn: &Turn, row: usize) -> Result<Option<FinishReason>, GenerateError> {
        let running = &mut self.running[turn.request];
        let first_guess = turn.tokens.len() - turn.guesses;
        let mut right = 0;
        let mut reason = None;
        if turn.wanted.is_empty() {
            running.computed += turn.tokens.len();
        }
        for offset in 0..turn.wanted.len() {
            let logits = self
                .executor
                .output(0, row + offset)
                .ok_or(GenerateError::NoToken)?;
            reason = running.advance(logits)?;
            let guess = turn.tokens.get(first_guess + offset);
            if reason.is_some() || guess.is_none() || guess != running.tokens.last() {
                break;
            }
            right += 1;
        }
        if !turn.wanted.is_empty() {
            // The last token is chosen but not computed.
            running.computed = running.tokens.len() - 1;
            let truncated = self.executor.truncate(running.sequence, running.computed);
            truncated.map_err(super::ForwardError::from)?;
        }
        if let Some(drafter) = &mut running.drafter {
            drafter.note(turn.guesses, right);
        }
        self.executor.share(running.sequence);
        Ok(reason)
    }

    /// Ends a request; its blocks are free for others.
    fn remove(&mut self, index: usize) {
        let running = self.running.remove(index);
        self.reserved -= running.reserved;
        self.executor.end(running.sequence);
    }
}
