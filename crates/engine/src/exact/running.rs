//! A request while it is being answered.

use super::{
    cache::SequenceId,
    draft::Drafter,
    request::{Event, FinishReason, Finished, GenerateError, Probabilities, Request, Sink, Usage},
    values::ValueRef,
};
use og_program::{
    sample::{Context, TokenMask, choose, likeliest, log_probability},
    trace::Hash,
};
use og_text::Stream;

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) sequence: SequenceId,
    pub(super) request: Request,
    pub(super) sink: Sink,
    /// Blocks of the cache that are set aside for it.
    pub(super) reserved: usize,
    /// The prompt and the answer so far.
    pub(super) tokens: Vec<u32>,
    /// How many of `tokens` are computed.
    pub(super) computed: usize,
    pub(super) drafter: Option<Drafter>,
    stream: Option<Stream>,
    text: String,
    /// Whether the stop string ended the text, and which.
    stopped: Option<usize>,
    cached: usize,
    /// Tokens of the answer, at most.
    most_tokens: usize,
}

impl Running {
    pub(super) fn new(
        request: Request,
        sink: Sink,
        stream: Option<Stream>,
        (sequence, cached): (SequenceId, usize),
        reserved: usize,
        most_tokens: usize,
        drafts: bool,
    ) -> Self {
        let tokens = request.prompt.clone();
        let drafter = drafts.then(|| {
            let mut drafter = Drafter::default();
            tokens.iter().for_each(|token| drafter.push(*token));
            drafter
        });
        Self {
            sequence,
            request,
            sink,
            reserved,
            tokens,
            computed: cached,
            drafter,
            stream,
            text: String::new(),
            stopped: None,
            cached,
            most_tokens,
        }
    }

    /// Whether nothing but the last token is to be computed.
    pub(super) fn decodes(&self) -> bool {
        self.computed + 1 == self.tokens.len()
    }

    fn answer(&self) -> &[u32] {
        self.tokens.get(self.request.prompt.len()..).unwrap_or(&[])
    }

    /// Tokens that the answer may still have.
    pub(super) fn tokens_left(&self) -> usize {
        self.most_tokens.saturating_sub(self.answer().len())
    }

    /// Chooses the next token from the logits of the last one and tells it. Gives why the answer has ended, if it has.
    pub(super) fn advance(
        &mut self,
        logits: ValueRef<'_>,
    ) -> Result<Option<FinishReason>, GenerateError> {
        let position = (self.tokens.len() - 1) as u64;
        let exponent = logits.exponents.first().copied().unwrap_or(0);
        let mask = self
            .request
            .grammar
            .as_mut()
            .map(|grammar| grammar.mask())
            .transpose()?;
        let allowed = mask.as_ref().map(|mask| TokenMask(&mask.words));
        let (mantissas, sampling) = (logits.mantissas, &self.request.sampling);
        let (prompt, answer) = self.tokens.split_at(self.request.prompt.len());
        let chosen = choose(
            mantissas,
            exponent,
            Context { prompt, answer },
            sampling,
            position,
            allowed,
        );
        let id = chosen.ok_or(GenerateError::NoToken)?;
        let probabilities = self.request.logprobs.map(|alternatives| Probabilities {
            chosen: log_probability(mantissas, exponent, id),
            likeliest: likeliest(mantissas, exponent, alternatives),
        });
        if let Some(grammar) = &mut self.request.grammar {
            grammar.accept(id)?;
        }
        self.tokens.push(id);
        if let Some(drafter) = &mut self.drafter {
            drafter.push(id);
        }
        let ended = self.request.ends.contains(&id);
        let mut text = String::new();
        if let Some(stream) = self.stream.as_mut().filter(|_| !ended) {
            let progress = stream.push(id);
            text = progress.text;
            self.stopped = progress.stopped;
        }
        self.text.push_str(&text);
        self.sink.send(Event::Token {
            id,
            text,
            probabilities,
        });
        Ok(if ended {
            Some(FinishReason::End)
        } else if let Some(stop) = self.stopped {
            Some(FinishReason::Stop(stop))
        } else if self
            .request
            .grammar
            .as_ref()
            .is_some_and(og_text::Grammar::is_finished)
        {
            Some(FinishReason::Grammar)
        } else {
            (self.tokens_left() == 0).then_some(FinishReason::Length)
        })
    }

    /// Tells that the answer is complete.
    pub(super) fn finish(&mut self, reason: FinishReason, trace_root: Option<Hash>) {
        let rest = self.stream.as_mut().map(|stream| stream.finish().text);
        let rest = rest.unwrap_or_default();
        self.text.push_str(&rest);
        let tokens = self.answer().to_vec();
        let usage = Usage {
            prompt_tokens: self.request.prompt.len(),
            cached_tokens: self.cached,
            answer_tokens: tokens.len(),
        };
        let text = std::mem::take(&mut self.text);
        self.sink.send(Event::Finished(Finished {
            reason,
            usage,
            trace_root,
            tokens,
            text,
            rest,
        }));
    }
}
