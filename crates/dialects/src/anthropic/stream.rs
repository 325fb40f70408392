//! An answer in pieces: blocks, one after another, that begin, grow and end.

use super::{stopped, usage};
use crate::{ApiError, Head, Usage, document::extend, sse};
use og_types::language::{Finish, Piece, PieceError};
use serde_json::{Map, Value, json};

/// Writes the events of one answer.
#[derive(Debug)]
pub struct Stream {
    head: Head,
    /// The question's stop strings.
    stops: Vec<String>,
    begun: bool,
    /// Blocks that have begun.
    blocks: usize,
    open: Option<Kind>,
}

/// What the open block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Call,
}

impl Stream {
    /// An answer to a question with these stop strings.
    pub const fn new(head: Head, stops: Vec<String>) -> Self {
        Self {
            head,
            stops,
            begun: false,
            blocks: 0,
            open: None,
        }
    }

    /// What came. How probable tokens were cannot be asked here, and is not said.
    ///
    /// # Errors
    /// [`PieceError::NoCall`] on arguments where no call is open.
    pub fn pieces(&mut self, pieces: &[Piece]) -> Result<String, PieceError> {
        let mut frames = self.begin();
        for piece in pieces {
            match piece {
                Piece::Text(text) if text.is_empty() => {}
                Piece::Text(text) => {
                    if self.open != Some(Kind::Text) {
                        frames += &self.open(Kind::Text, &json!({"type": "text", "text": ""}));
                    }
                    frames += &self.delta(&json!({"type": "text_delta", "text": text}));
                }
                Piece::Call { id, name } => {
                    let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                    frames += &self.open(Kind::Call, &block);
                }
                Piece::Arguments(_) if self.open != Some(Kind::Call) => {
                    return Err(PieceError::NoCall);
                }
                Piece::Arguments(more) => {
                    let delta = json!({"type": "input_json_delta", "partial_json": more});
                    frames += &self.delta(&delta);
                }
                Piece::Logprobs(_) => {}
            }
        }
        Ok(frames)
    }

    /// The last events: why the answer ended, with usage and `extra` fields, and the mark of the end.
    pub fn end(mut self, finish: Finish, used: Option<Usage>, extra: Map<String, Value>) -> String {
        let mut frames = self.begin();
        frames += &self.close();
        let (reason, sequence) = stopped(finish, &self.stops);
        let mut delta = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage(used),
        });
        extend(&mut delta, extra);
        frames += &sse::event(&delta);
        frames + &sse::event(&json!({"type": "message_stop"}))
    }

    /// The event that says that nothing more comes, and why.
    pub fn error(&self, error: &ApiError) -> String {
        sse::event(&error.anthropic())
    }

    /// The event that stands before all others.
    fn begin(&mut self) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return String::new();
        }
        // How many tokens the prompt has is said at the end.
        let message = json!({
            "id": self.head.id,
            "type": "message",
            "role": "assistant",
            "model": self.head.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage(None),
        });
        sse::event(&json!({"type": "message_start", "message": message}))
    }

    fn open(&mut self, kind: Kind, block: &Value) -> String {
        let closed = self.close();
        self.open = Some(kind);
        self.blocks += 1;
        let start =
            json!({"type": "content_block_start", "index": self.index(), "content_block": block});
        closed + &sse::event(&start)
    }

    fn delta(&self, delta: &Value) -> String {
        sse::event(&json!({"type": "content_block_delta", "index": self.index(), "delta": delta}))
    }

    fn close(&mut self) -> String {
        match self.open.take() {
            Some(_) => sse::event(&json!({"type": "content_block_stop", "index": self.index()})),
            None => String::new(),
        }
    }

    /// The last block that began.
    const fn index(&self) -> usize {
        self.blocks.saturating_sub(1)
    }
}
