//! An answer, at once or in pieces: the same documents.

use crate::{
    fraction,
    sse::Reader,
    upstream::{
        AnswerError, Answered, Ended, Report, count, failure, model, unknown_end, with_calls,
    },
};
use og_types::language::{Alternative, Finish, Logprob, Piece, Said};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Reads the documents of an answer.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Stream {
    reader: Reader,
    calls: usize,
    finish: Option<Finish>,
    report: Report,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Counts>,
    model_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: u64,
    content: Option<Content>,
    finish_reason: Option<String>,
    logprobs_result: Option<Tokens>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    thought: bool,
    text: Option<String>,
    function_call: Option<Call>,
    inline_data: Option<Value>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    #[serde(default)]
    chosen_candidates: Vec<Token>,
    #[serde(default)]
    top_candidates: Vec<Top>,
}

#[derive(Deserialize)]
struct Top {
    #[serde(default)]
    candidates: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    log_probability: f64,
}

/// Reads a whole answer.
pub(in crate::upstream) fn read(body: &[u8]) -> Result<Answered, AnswerError> {
    let mut stream = Stream::default();
    let mut pieces = vec![];
    stream.document(body, &mut pieces)?;
    let Ended { finish, report } = stream.end()?;
    let mut said = Said::empty();
    for piece in &pieces {
        let form = |error: og_types::language::PieceError| AnswerError::Form(error.to_string());
        said.add(piece).map_err(form)?;
    }
    said.finish = finish;
    Ok(Answered { said, report })
}

impl Stream {
    /// Takes bytes as they come, and gives what was said.
    pub(in crate::upstream) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, AnswerError> {
        let mut pieces = vec![];
        for event in self.reader.push(bytes)? {
            self.document(&event.data, &mut pieces)?;
        }
        Ok(pieces)
    }

    /// The stream is over.
    pub(in crate::upstream) fn end(self) -> Result<Ended, AnswerError> {
        let finish = self.finish.ok_or(AnswerError::Cut)?;
        Ok(Ended {
            finish: with_calls(finish, self.calls),
            report: self.report,
        })
    }

    fn document(&mut self, data: &[u8], pieces: &mut Vec<Piece>) -> Result<(), AnswerError> {
        let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
        let document: Value = serde_json::from_slice(data).map_err(form)?;
        if let Some(failure) = failure(&document) {
            return Err(AnswerError::Failed(failure));
        }
        let document: Document = serde_json::from_value(document).map_err(form)?;
        if document.model_version.is_some() {
            self.report.model = model(document.model_version);
        }
        if let Some(counts) = document.usage_metadata {
            self.report.prompt_tokens = count(counts.prompt_token_count);
            let thoughts = counts.thoughts_token_count.unwrap_or_default();
            let all = counts
                .candidates_token_count
                .map(|said| said.saturating_add(thoughts));
            self.report.tokens = count(all);
        }
        let feedback = document.prompt_feedback;
        if feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.finish = Some(Finish::ContentFilter);
        }
        // One answer is asked for.
        let candidates = document.candidates.into_iter();
        for candidate in candidates.filter(|candidate| candidate.index == 0) {
            self.candidate(candidate, pieces)?;
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        candidate: Candidate,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), AnswerError> {
        let parts = candidate
            .content
            .into_iter()
            .flat_map(|content| content.parts);
        for part in parts.filter(|part| !part.thought) {
            if part.inline_data.is_some() {
                let reason = "it holds something else than text and calls";
                return Err(AnswerError::Form(reason.to_owned()));
            }
            pieces.extend(part.text.filter(|text| !text.is_empty()).map(Piece::Text));
            if let Some(Call { id, name, args }) = part.function_call {
                let id = id.unwrap_or_else(|| format!("call_{}", self.calls));
                self.calls += 1;
                pieces.push(Piece::Call { id, name });
                pieces.push(Piece::Arguments(Value::Object(args).to_string()));
            }
        }
        let tokens = candidate.logprobs_result.map(logprobs).unwrap_or_default();
        if !tokens.is_empty() {
            pieces.push(Piece::Logprobs(tokens));
        }
        if let Some(reason) = candidate.finish_reason {
            self.finish = Some(finish(&reason)?);
        }
        Ok(())
    }
}

fn logprobs(tokens: Tokens) -> Vec<Logprob> {
    let alternative = |token: Token| Alternative {
        bytes: token.token.into_bytes(),
        logprob: fraction::read(token.log_probability),
    };
    let mut tops = tokens.top_candidates.into_iter();
    let read = |token| {
        let top = tops.next().map(|top| top.candidates).unwrap_or_default();
        Logprob {
            chosen: alternative(token),
            top: top.into_iter().map(alternative).collect(),
        }
    };
    tokens.chosen_candidates.into_iter().map(read).collect()
}

/// Why an answer ended.
fn finish(reason: &str) -> Result<Finish, AnswerError> {
    match reason {
        "STOP" => Ok(Finish::Stop),
        "MAX_TOKENS" => Ok(Finish::Length),
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "MODEL_ARMOR" => Ok(Finish::ContentFilter),
        other => Err(unknown_end(other)),
    }
}

#[cfg(test)]
mod tests;
