//! An answer in pieces.

use super::{Counts, finish};
use crate::{
    openai::logprobs::Tokens,
    sse::Reader,
    upstream::{AnswerError, Ended, Report, count, failure, model, with_calls},
};
use og_types::language::{Finish, Piece};
use serde::Deserialize;
use serde_json::Value;

/// Reads the stream of a chat or completion.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Stream {
    reader: Reader,
    calls: usize,
    /// The service's number and name of the call that has begun.
    call: Option<(u64, String)>,
    finish: Option<Finish>,
    refused: bool,
    report: Report,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    model: Option<String>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Delta>,
    text: Option<String>,
    logprobs: Option<Tokens>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    index: u64,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

impl Stream {
    /// Takes bytes as they come, and gives what was said.
    pub(in crate::upstream) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, AnswerError> {
        let mut pieces = vec![];
        for event in self.reader.push(bytes)? {
            if event.data != b"[DONE]" {
                self.chunk(&event.data, &mut pieces)?;
            }
        }
        Ok(pieces)
    }

    /// The stream is over.
    pub(in crate::upstream) fn end(self) -> Result<Ended, AnswerError> {
        let finish = self.finish.ok_or(AnswerError::Cut)?;
        Ok(Ended {
            finish: if self.refused {
                Finish::ContentFilter
            } else {
                with_calls(finish, self.calls)
            },
            report: self.report,
        })
    }

    fn chunk(&mut self, data: &[u8], pieces: &mut Vec<Piece>) -> Result<(), AnswerError> {
        let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
        let document: Value = serde_json::from_slice(data).map_err(form)?;
        if let Some(failure) = failure(&document) {
            return Err(AnswerError::Failed(failure));
        }
        let chunk: Chunk = serde_json::from_value(document).map_err(form)?;
        if self.report.model.is_empty() {
            self.report.model = model(chunk.model);
        }
        if let Some(usage) = chunk.usage {
            self.report.prompt_tokens = count(usage.prompt_tokens);
            self.report.tokens = count(usage.completion_tokens);
        }
        // One answer is asked for.
        let choices = chunk.choices.into_iter();
        for choice in choices.filter(|choice| choice.index == 0) {
            self.choice(choice, pieces)?;
        }
        Ok(())
    }

    fn choice(&mut self, choice: Choice, pieces: &mut Vec<Piece>) -> Result<(), AnswerError> {
        let delta = choice.delta.unwrap_or_default();
        let refusal = delta.refusal.filter(|text| !text.is_empty());
        self.refused |= refusal.is_some();
        let texts = [delta.content, choice.text, refusal].into_iter().flatten();
        pieces.extend(texts.filter(|text| !text.is_empty()).map(Piece::Text));
        for call in delta.tool_calls.unwrap_or_default() {
            self.call(call, pieces)?;
        }
        let tokens = choice.logprobs.map(Tokens::read).unwrap_or_default();
        if !tokens.is_empty() {
            pieces.push(Piece::Logprobs(tokens));
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(finish(&reason)?);
        }
        Ok(())
    }

    /// A call begins, or goes on. Some services number all calls 0, some repeat names, some give no ids.
    fn call(&mut self, call: Call, pieces: &mut Vec<Piece>) -> Result<(), AnswerError> {
        let function = call.function.unwrap_or_default();
        let id = call.id.filter(|id| !id.is_empty());
        let begins = match (&self.call, &id) {
            (None, _) => true,
            (Some((_, name)), Some(id)) => name != id,
            (Some((index, _)), None) => *index < call.index,
        };
        if begins {
            let id = id.unwrap_or_else(|| format!("call_{}", self.calls));
            let name = function.name.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| AnswerError::Form("a call has no name".to_owned()))?;
            self.call = Some((call.index, id.clone()));
            self.calls += 1;
            pieces.push(Piece::Call { id, name });
        } else if self
            .call
            .as_ref()
            .is_some_and(|(index, _)| *index != call.index)
        {
            let reason = "a call goes on after the next one began";
            return Err(AnswerError::Form(reason.to_owned()));
        }
        if let Some(more) = function.arguments.filter(|more| !more.is_empty()) {
            pieces.push(Piece::Arguments(more));
        }
        Ok(())
    }
}
