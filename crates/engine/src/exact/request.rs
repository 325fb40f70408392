//! What is asked of a generator, and what it answers.

use super::executor::ForwardError;
use og_program::{
    file::Pooling,
    sample::{Choice, Sampling},
    trace,
};
use og_text::{Grammar, GrammarError, StreamError};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::mpsc;

/// A text to be continued.
#[derive(Clone, Debug)]
pub struct Request {
    /// Tokens to continue, at least one.
    pub prompt: Vec<u32>,
    /// Tokens of the answer, at most.
    pub most_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that end the answer; such a token is the answer's last and has no text.
    pub ends: Vec<u32>,
    /// Strings that end the answer; they are not part of its text.
    pub stops: Vec<String>,
    /// What the answer must follow.
    pub grammar: Option<Grammar>,
    /// Whether each token's logarithm of probability is given, and those of so many others.
    pub logprobs: Option<usize>,
    /// Special tokens that stand in the text all the same, as the vocabulary spells them.
    pub shown: Vec<u32>,
    /// Whether the root of the run is given.
    pub traced: bool,
}

impl Request {
    /// A request for the likeliest continuation of a prompt.
    pub fn new(prompt: Vec<u32>, most_tokens: usize) -> Self {
        Self {
            prompt,
            most_tokens,
            sampling: Sampling::default(),
            ends: vec![],
            stops: vec![],
            grammar: None,
            logprobs: None,
            shown: vec![],
            traced: false,
        }
    }
}

/// Texts to be embedded, which are computed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// Their tokens, at least one each.
    pub prompts: Vec<Vec<u32>>,
    /// Which rows of the program's first output count.
    pub pooling: Pooling,
}

/// An embedding: `mantissas[i] · 2^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// Mantissas of 16 bits.
    pub mantissas: Vec<i16>,
    /// Exponent of all of them.
    pub exponent: i32,
    /// The root of the run.
    pub trace_root: trace::Hash,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, with one of the request's `ends`.
    End,
    /// The stop string of this index stood in it.
    Stop(usize),
    /// It has as many tokens as it may, or the model takes no more positions.
    Length,
    /// Its grammar ended.
    Grammar,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, how many were kept from an earlier request.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub answer_tokens: usize,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
    /// The root of the run, over all positions that were computed: the last token of the answer is not among them.
    pub trace_root: Option<trace::Hash>,
    /// Tokens of the answer.
    pub tokens: Vec<u32>,
    /// Its text; empty without a tokenizer.
    pub text: String,
    /// The end of the text, which no token's event held.
    pub rest: String,
}

/// How probable a token was, in units of 2^-16: [`og_program::sample::log_probability`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probabilities {
    /// The one that was chosen.
    pub chosen: i32,
    /// The likeliest, perhaps that among them.
    pub likeliest: Vec<Choice>,
}

/// What a request gives, in this order: tokens, then one of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next token of the answer.
    Token {
        /// Which.
        id: u32,
        /// Text that is complete with it; may be empty.
        text: String,
        /// See [`Request::logprobs`].
        probabilities: Option<Probabilities>,
    },
    /// The answer is complete.
    Finished(Finished),
    /// The embeddings that were asked for, in order.
    Embeddings(Vec<Embedding>),
    /// It cannot go on.
    Failed(GenerateError),
}

/// Why a request is refused or cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// As many requests wait as may.
    #[error("{waiting} requests wait already: try again in {retry_after_ms} ms")]
    Busy {
        /// How many wait.
        waiting: usize,
        /// When there may be room.
        retry_after_ms: u64,
    },
    /// The prompt is empty.
    #[error("the prompt has no tokens")]
    Empty,
    /// The prompt is longer than the model takes.
    #[error("the prompt has {length} tokens, and the model takes {most}: shorten it")]
    PromptTooLong {
        /// Tokens of the prompt.
        length: usize,
        /// Positions of the model.
        most: usize,
    },
    /// The request alone would need more of the cache than there is.
    #[error(
        "the request needs {needed} blocks of the cache, which has {most}: ask for fewer tokens"
    )]
    CacheTooSmall {
        /// Blocks that it needs.
        needed: usize,
        /// Blocks that there are.
        most: usize,
    },
    /// The program has no logits, or no row for each position.
    #[error("{0}")]
    Model(&'static str),
    /// Stop strings need a tokenizer, or are not allowed.
    #[error(transparent)]
    Stops(StreamFault),
    /// The grammar cannot be followed.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// No token is allowed.
    #[error("no token is allowed here")]
    NoToken,
    /// The model cannot be run on it.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The generator has ended.
    #[error("the generator has stopped")]
    Stopped,
}

/// What is wrong with stop strings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StreamFault(pub(crate) String);

impl From<StreamError> for GenerateError {
    fn from(error: StreamError) -> Self {
        Self::Stops(StreamFault(error.to_string()))
    }
}

/// An answer as it comes. Dropping it ends the request.
#[derive(Debug)]
pub struct Answer {
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) dropped: Arc<AtomicBool>,
}

impl Answer {
    /// The next event; blocks until there is one. `None` after the last.
    pub fn next_event(&mut self) -> Option<Event> {
        futures::executor::block_on(self.events.recv())
    }

    /// The next event, awaited. `None` after the last.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event, if there is one already: `Ok(None)` if not.
    ///
    /// # Errors
    /// [`GenerateError::Stopped`] after the last event.
    pub fn try_next_event(&mut self) -> Result<Option<Event>, GenerateError> {
        match self.events.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(GenerateError::Stopped),
        }
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// [`GenerateError`] if it cannot be completed.
    pub fn finish(mut self) -> Result<Finished, GenerateError> {
        loop {
            match self.next_event() {
                Some(Event::Token { .. }) => {}
                Some(Event::Finished(finished)) => return Ok(finished),
                Some(Event::Failed(error)) => return Err(error),
                Some(Event::Embeddings(_)) | None => return Err(GenerateError::Stopped),
            }
        }
    }

    /// The embeddings that were asked for, awaited.
    ///
    /// # Errors
    /// [`GenerateError`] if one cannot be computed.
    pub async fn embeddings(mut self) -> Result<Vec<Embedding>, GenerateError> {
        match self.event().await {
            Some(Event::Embeddings(embeddings)) => Ok(embeddings),
            Some(Event::Failed(error)) => Err(error),
            _ => Err(GenerateError::Stopped),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

/// Where events of a request go. Events are as many as tokens were asked for, so the channel needs no other bound.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) dropped: Arc<AtomicBool>,
}

impl Sink {
    /// A sink and the answer that it leads to.
    pub(crate) fn new() -> (Self, Answer) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let dropped = Arc::new(AtomicBool::new(false));
        let answer = Answer {
            events: receiver,
            dropped: dropped.clone(),
        };
        let sink = Self {
            events: sender,
            dropped,
        };
        (sink, answer)
    }

    pub(crate) fn send(&self, event: Event) {
        // Nobody listens any more: `is_open` says so at the next turn.
        let _ = self.events.send(event);
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.dropped.load(Ordering::Relaxed)
    }
}
