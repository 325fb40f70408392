//! An answer in pieces.

use crate::{
    ApiError, Head, Usage,
    document::put,
    openai::{Style, frames::Frames, logprobs},
    sse::frame,
};
use og_types::language::{Finish, Piece, PieceError};
use serde_json::{Map, Value, json};

/// Writes the frames of one answer, which may have several choices.
#[derive(Debug)]
pub struct Stream {
    frames: Frames,
    choices: Vec<Choice>,
}

/// How far a choice is.
#[derive(Clone, Debug, Default)]
struct Choice {
    /// Whether it was said whose turn this is.
    begun: bool,
    /// Calls that have begun.
    calls: usize,
}

impl Stream {
    /// An answer with so many choices. `include_usage` is what the request asks; [`Style::OpenGradient`] has usage always.
    pub fn new(head: Head, style: Style, include_usage: bool, choices: usize) -> Self {
        Self {
            frames: Frames {
                head,
                object: "chat.completion.chunk",
                style,
                include_usage,
            },
            choices: vec![Choice::default(); choices],
        }
    }

    /// What came for one choice, as one frame; nothing for a choice that there is not.
    ///
    /// # Errors
    /// [`PieceError::NoCall`] on arguments before any call.
    pub fn pieces(&mut self, index: usize, pieces: &[Piece]) -> Result<String, PieceError> {
        let Some(choice) = self.choices.get_mut(index).filter(|_| !pieces.is_empty()) else {
            return Ok(String::new());
        };
        let mut delta = choice.role(self.frames.style);
        let mut text = None;
        let mut calls = vec![];
        let mut tokens = vec![];
        for piece in pieces {
            match piece {
                Piece::Text(more) => text.get_or_insert_with(String::new).push_str(more),
                Piece::Call { id, name } => {
                    calls.push(json!({
                        "index": choice.calls,
                        "id": id,
                        "type": "function",
                        "function": {"name": name, "arguments": ""},
                    }));
                    choice.calls += 1;
                }
                Piece::Arguments(more) => {
                    let call = choice.calls.checked_sub(1).ok_or(PieceError::NoCall)?;
                    calls.push(json!({"index": call, "function": {"arguments": more}}));
                }
                Piece::Logprobs(more) => tokens.extend(logprobs::list(more)),
            }
        }
        if let Some(text) = text {
            delta.insert("content".to_owned(), Value::String(text));
        }
        if !calls.is_empty() {
            delta.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        let mut choice = json!({"index": index, "delta": delta, "finish_reason": null});
        if !tokens.is_empty() {
            let tokens = json!({"content": tokens, "refusal": null});
            put(&mut choice, "logprobs", tokens);
        }
        Ok(self.frames.choices(vec![choice]))
    }

    /// The last frames: why each choice ended, usage, `extra` fields in the very last one, and the mark of the end.
    pub fn end(
        mut self,
        finishes: &[Finish],
        usage: Option<Usage>,
        extra: Map<String, Value>,
    ) -> String {
        let style = self.frames.style;
        let ends = self.choices.iter_mut().zip(finishes).enumerate();
        let ends = ends.map(|(index, (choice, finish))| {
            let delta = match style {
                Style::OpenAi => choice.role(style),
                Style::OpenGradient => Map::new(),
            };
            json!({"index": index, "delta": delta, "finish_reason": finish.as_str()})
        });
        self.frames.end(ends.collect(), usage, extra)
    }

    /// The frame that says that nothing more comes, and why.
    pub fn error(&self, error: &ApiError) -> String {
        match self.frames.style {
            Style::OpenAi => frame(&error.openai()),
            Style::OpenGradient => frame(&error.opengradient()),
        }
    }
}

impl Choice {
    /// Whose turn it is: said once, and in every frame to OpenGradient's clients, as theirs does.
    fn role(&mut self, style: Style) -> Map<String, Value> {
        let begun = std::mem::replace(&mut self.begun, true);
        let mut delta = Map::new();
        if !begun || style == Style::OpenGradient {
            delta.insert("role".to_owned(), json!("assistant"));
        }
        if !begun && style == Style::OpenAi {
            delta.insert("content".to_owned(), json!(""));
        }
        delta
    }
}
