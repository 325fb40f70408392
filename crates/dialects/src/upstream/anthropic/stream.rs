//! An answer in pieces.

use super::{Counts, finish};
use crate::{
    sse::Reader,
    upstream::{AnswerError, Ended, Report, failure, model, with_calls},
};
use og_types::language::{Finish, Piece};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Reads the events of an answer.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Stream {
    reader: Reader,
    calls: usize,
    /// The number of the call that has begun, and what its arguments are if none follow.
    open: Option<(u64, String)>,
    finish: Option<Finish>,
    report: Report,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: End,
        usage: Option<Counts>,
    },
    /// Pings, the end, and whatever is added to the API.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Map<String, Value>,
    },
    Thinking,
    RedactedThinking,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    /// Thoughts, signatures, citations.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

impl Stream {
    /// Takes bytes as they come, and gives what was said.
    pub(in crate::upstream) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, AnswerError> {
        let mut pieces = vec![];
        for event in self.reader.push(bytes)? {
            let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
            let document: Value = serde_json::from_slice(&event.data).map_err(form)?;
            if let Some(failure) = failure(&document) {
                return Err(AnswerError::Failed(failure));
            }
            let event = serde_json::from_value(document).map_err(form)?;
            self.event(event, &mut pieces)?;
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

    fn event(&mut self, event: Event, pieces: &mut Vec<Piece>) -> Result<(), AnswerError> {
        match event {
            Event::MessageStart { message } => {
                self.report.model = model(message.model);
                self.count(message.usage);
            }
            Event::ContentBlockStart {
                index,
                content_block,
            } => self.begin(index, content_block, pieces),
            Event::ContentBlockDelta { index, delta } => self.delta(index, delta, pieces)?,
            Event::ContentBlockStop { index } => {
                let open = self.open.take_if(|(number, _)| *number == index);
                pieces.extend(
                    open.map(|(_, rest)| rest)
                        .filter(|rest| !rest.is_empty())
                        .map(Piece::Arguments),
                );
            }
            Event::MessageDelta { delta, usage } => {
                if let Some(reason) = delta.stop_reason {
                    self.finish = Some(finish(&reason)?);
                }
                self.count(usage);
            }
            Event::Other => {}
        }
        Ok(())
    }

    fn begin(&mut self, index: u64, block: Block, pieces: &mut Vec<Piece>) {
        match block {
            Block::Text { text } if !text.is_empty() => pieces.push(Piece::Text(text)),
            Block::ToolUse { id, name, input } => {
                self.calls += 1;
                self.open = Some((index, Value::Object(input).to_string()));
                pieces.push(Piece::Call { id, name });
            }
            Block::Text { .. } | Block::Thinking | Block::RedactedThinking => {}
        }
    }

    fn delta(
        &mut self,
        index: u64,
        delta: Delta,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), AnswerError> {
        match delta {
            Delta::Text { text } if !text.is_empty() => pieces.push(Piece::Text(text)),
            Delta::InputJson { partial_json } if !partial_json.is_empty() => {
                let open = self.open.as_mut().filter(|(number, _)| *number == index);
                let (_, rest) = open
                    .ok_or_else(|| AnswerError::Form("arguments came without a call".to_owned()))?;
                // They come after all.
                rest.clear();
                pieces.push(Piece::Arguments(partial_json));
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, usage: Option<Counts>) {
        if let Some(usage) = usage {
            usage.report(&mut self.report);
        }
    }
}
