//! An answer while its tokens come: what is said with each.

use super::calls::CallReader;
use crate::exact::{FinishReason, Probabilities};
use og_program::sample::Choice;
use og_text::Tokenizer;
use og_types::language::{Alternative, Finish, Logprob, Piece, Said};
use std::sync::Arc;

/// An answer so far.
#[derive(Debug)]
pub(super) struct Reading {
    tokenizer: Arc<Tokenizer>,
    /// Tokens that end an answer and are not said.
    ends: Vec<u32>,
    /// Finds calls, if tools are offered.
    calls: Option<CallReader>,
    said: Said,
}

impl Reading {
    pub(super) const fn new(
        tokenizer: Arc<Tokenizer>,
        ends: Vec<u32>,
        calls: Option<CallReader>,
    ) -> Self {
        Self {
            tokenizer,
            ends,
            calls,
            said: Said::empty(),
        }
    }

    /// What a token says.
    pub(super) fn token(
        &mut self,
        id: u32,
        text: &str,
        probabilities: Option<Probabilities>,
    ) -> Vec<Piece> {
        let mut pieces = vec![];
        self.text(text, &mut pieces);
        if let Some(probabilities) = probabilities.filter(|_| !self.ends.contains(&id)) {
            let chosen = Choice {
                token: id,
                logprob: probabilities.chosen,
            };
            pieces.push(Piece::Logprobs(vec![Logprob {
                chosen: self.alternative(chosen),
                top: probabilities
                    .likeliest
                    .into_iter()
                    .map(|choice| self.alternative(choice))
                    .collect(),
            }]));
        }
        self.note(&pieces);
        pieces
    }

    /// What the end of the text says.
    pub(super) fn end(&mut self, rest: &str, reason: FinishReason) -> Vec<Piece> {
        let mut pieces = vec![];
        self.text(rest, &mut pieces);
        if let Some(calls) = &mut self.calls {
            calls.finish(&mut pieces);
        }
        self.note(&pieces);
        let called = self.calls.as_ref().is_some_and(CallReader::has_called);
        self.said.finish = match reason {
            FinishReason::Length => Finish::Length,
            _ if called => Finish::ToolCalls,
            FinishReason::Stop(place) => {
                u8::try_from(place).map_or(Finish::Stop, Finish::StopString)
            }
            FinishReason::End | FinishReason::Grammar => Finish::Stop,
        };
        pieces
    }

    /// All that was said.
    pub(super) fn into_said(self) -> Said {
        self.said
    }

    fn text(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        match &mut self.calls {
            Some(calls) => calls.push(text, pieces),
            None if text.is_empty() => {}
            None => pieces.push(Piece::Text(text.to_owned())),
        }
    }

    fn note(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            // Arguments always follow their call.
            let _ = self.said.add(piece);
        }
    }

    fn alternative(&self, choice: Choice) -> Alternative {
        let bytes = self.tokenizer.token_bytes(choice.token);
        Alternative {
            bytes: bytes.unwrap_or_default().to_vec(),
            logprob: choice.logprob.into(),
        }
    }
}
