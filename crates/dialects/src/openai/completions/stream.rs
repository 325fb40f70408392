//! An answer in pieces.

use super::finish;
use crate::{
    ApiError, Head, Usage,
    openai::{Style, frames::Frames, logprobs},
    sse::frame,
};
use og_types::language::{Finish, Piece};
use serde_json::{Map, Value, json};

/// Writes the frames of one answer, which may have several choices.
#[derive(Debug)]
pub struct Stream {
    frames: Frames,
    /// Characters of each choice whose tokens' probabilities were said.
    offsets: Vec<usize>,
}

impl Stream {
    /// An answer with so many choices. `include_usage` is what the request asks.
    pub fn new(head: Head, include_usage: bool, choices: usize) -> Self {
        Self {
            frames: Frames {
                head,
                object: "text_completion",
                style: Style::OpenAi,
                include_usage,
            },
            offsets: vec![0; choices],
        }
    }

    /// What came for one choice, as one frame; nothing for a choice that there is not. There are no calls here.
    pub fn pieces(&mut self, index: usize, pieces: &[Piece]) -> String {
        let Some(offset) = self.offsets.get_mut(index).filter(|_| !pieces.is_empty()) else {
            return String::new();
        };
        let mut text = String::new();
        let mut tokens = vec![];
        for piece in pieces {
            match piece {
                Piece::Text(more) => text.push_str(more),
                Piece::Logprobs(more) => tokens.extend_from_slice(more),
                Piece::Call { .. } | Piece::Arguments(_) => {}
            }
        }
        let tokens = (!tokens.is_empty()).then(|| logprobs::legacy(&tokens, offset));
        let choice =
            json!({"text": text, "index": index, "finish_reason": null, "logprobs": tokens});
        self.frames.choices(vec![choice])
    }

    /// The last frames: why each choice ended, usage if asked for, `extra` fields in the very last one, and the mark of the end.
    pub fn end(
        self,
        finishes: &[Finish],
        usage: Option<Usage>,
        extra: Map<String, Value>,
    ) -> String {
        let ends = finishes.iter().take(self.offsets.len()).enumerate();
        let ends = ends.map(|(index, end)| {
            json!({"text": "", "index": index, "finish_reason": finish(*end), "logprobs": null})
        });
        self.frames.end(ends.collect(), usage, extra)
    }

    /// The frame that says that nothing more comes, and why.
    pub fn error(&self, error: &ApiError) -> String {
        frame(&error.openai())
    }
}
