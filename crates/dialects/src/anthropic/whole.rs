//! An answer at once.

use super::{stopped, usage};
use crate::{ApiError, Fault, Head, Usage, document::extend};
use og_types::language::{Finish, Said, ToolCall};
use serde_json::{Map, Value, json};

/// The body of an answer to a question with these stop strings, with `extra` fields at the end.
///
/// # Errors
/// [`ApiError`] if the model called a tool with arguments that are no JSON object, which this API cannot say.
pub fn whole(
    head: &Head,
    said: &Said,
    stops: &[String],
    used: Option<Usage>,
    extra: Map<String, Value>,
) -> Result<Value, ApiError> {
    let text = (!said.text.is_empty()).then(|| json!({"type": "text", "text": said.text}));
    let calls = said
        .tool_calls
        .iter()
        .map(|call| tool_use(call, said.finish));
    let content = text.into_iter().map(Ok).chain(calls);
    let (reason, sequence) = stopped(said.finish, stops);
    let mut body = json!({
        "id": head.id,
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content.collect::<Result<Vec<_>, _>>()?,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage(used),
    });
    extend(&mut body, extra);
    Ok(body)
}

/// How many tokens a question has.
pub fn count(tokens: u32) -> Value {
    json!({"input_tokens": tokens})
}

fn tool_use(call: &ToolCall, finish: Finish) -> Result<Value, ApiError> {
    let input = match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(input)) => input,
        // Cut off: that it was is what the reason says.
        _ if call.arguments.is_empty() || finish == Finish::Length => Map::new(),
        _ => {
            let message =
                "The model called a tool with arguments that are no JSON object: ask again.";
            return Err(ApiError::new(Fault::Upstream, message));
        }
    };
    Ok(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}))
}
