//! An answer at once.

use super::{Counts, finish};
use crate::upstream::{AnswerError, Answered, Report, failure, model, with_calls};
use og_types::language::{Said, ToolCall};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Body {
    content: Vec<Block>,
    model: Option<String>,
    stop_reason: Option<String>,
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
        input: Map<String, Value>,
    },
    Thinking,
    RedactedThinking,
}

/// Reads a whole answer.
pub(in crate::upstream) fn read(body: &[u8]) -> Result<Answered, AnswerError> {
    let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
    let document: Value = serde_json::from_slice(body).map_err(form)?;
    if let Some(failure) = failure(&document) {
        return Err(AnswerError::Failed(failure));
    }
    let body: Body = serde_json::from_value(document).map_err(form)?;
    let mut said = Said::empty();
    for block in body.content {
        match block {
            Block::Text { text } => said.text.push_str(&text),
            Block::ToolUse { id, name, input } => said.tool_calls.push(ToolCall {
                id,
                name,
                arguments: Value::Object(input).to_string(),
            }),
            Block::Thinking | Block::RedactedThinking => {}
        }
    }
    let finish = finish(body.stop_reason.as_deref().unwrap_or_default())?;
    said.finish = with_calls(finish, said.tool_calls.len());
    let mut report = Report {
        model: model(body.model),
        ..Report::default()
    };
    if let Some(usage) = body.usage {
        usage.report(&mut report);
    }
    Ok(Answered { said, report })
}
