//! The items of an answer, and the answer around them.

use super::Echo;
use crate::{Head, Usage, document::extend};
use og_types::language::Finish;
use serde_json::{Map, Value, json};

/// An item of an answer.
#[derive(Debug)]
pub(super) enum Item {
    /// What was said.
    Message {
        id: String,
        text: String,
        logprobs: Vec<Value>,
    },
    /// A call.
    Call {
        id: String,
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Item {
    /// The item's name.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. } | Self::Call { id, .. } => id,
        }
    }

    /// How probable the tokens of a message were, so far.
    pub(super) const fn logprobs(&mut self) -> Option<&mut Vec<Value>> {
        match self {
            Self::Message { logprobs, .. } => Some(logprobs),
            Self::Call { .. } => None,
        }
    }

    /// The item, whose status is `in_progress`, `completed` or `incomplete`.
    pub(super) fn document(&self, status: &str) -> Value {
        match self {
            Self::Message { id, text, logprobs } => {
                // It has no parts before they are added.
                let parts = (status != "in_progress").then(|| part(text, logprobs));
                let parts: Vec<_> = parts.into_iter().collect();
                json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": parts})
            }
            Self::Call {
                id,
                call_id,
                name,
                arguments,
            } => json!({
                "type": "function_call",
                "id": id,
                "status": status,
                "call_id": call_id,
                "name": name,
                "arguments": arguments,
            }),
        }
    }
}

/// The one part of a message.
pub(super) fn part(text: &str, logprobs: &[Value]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
}

/// How far an answer is.
pub(super) enum Status<'a> {
    /// More may come.
    InProgress,
    /// It has ended, for this reason.
    Ended(Finish),
    /// It has failed: the error as a document.
    Failed(&'a Value),
}

impl Status<'_> {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Ended(Finish::Stop | Finish::StopString(_) | Finish::ToolCalls) => "completed",
            Self::Ended(Finish::Length | Finish::ContentFilter) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }
}

/// The answer.
pub(super) fn response(
    head: &Head,
    echo: &Echo,
    status: &Status<'_>,
    items: &[Item],
    usage: Option<Usage>,
) -> Value {
    let details = match status {
        Status::Ended(Finish::Length) => json!({"reason": "max_output_tokens"}),
        Status::Ended(Finish::ContentFilter) => json!({"reason": "content_filter"}),
        _ => Value::Null,
    };
    let error = match status {
        Status::Failed(error) => (*error).clone(),
        _ => Value::Null,
    };
    let last = items.len().saturating_sub(1);
    let output = items.iter().enumerate().map(|(index, item)| match status {
        // All but the last had ended.
        Status::Ended(_) if index < last => item.document("completed"),
        Status::Ended(_) => item.document(status.as_str()),
        _ => item.document("incomplete"),
    });
    let mut response = json!({
        "id": head.id,
        "object": "response",
        "created_at": head.created,
        "status": status.as_str(),
        "error": error,
        "incomplete_details": details,
        "model": head.model,
        "output": output.collect::<Vec<_>>(),
        "usage": usage.map(counts),
    });
    extend(&mut response, echo.fields());
    response
}

fn counts(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total(),
    })
}

/// The name of an item: its answer's, with a number.
pub(super) fn name(kind: &str, head: &Head, index: usize) -> String {
    let id = head.id.strip_prefix("resp_").unwrap_or(&head.id);
    format!("{kind}_{id}_{index}")
}

/// Fields that go beside those of the answer.
pub(super) fn with(mut response: Value, extra: Map<String, Value>) -> Value {
    extend(&mut response, extra);
    response
}
