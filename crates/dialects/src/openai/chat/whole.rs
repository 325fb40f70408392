//! An answer at once.

use crate::{
    Head, Usage,
    document::{extend, put},
    openai::{Style, logprobs, settings},
};
use og_types::language::{Said, ToolCall};
use serde_json::{Map, Value, json};

/// The body of an answer: one choice for each of `said`, and `extra` fields at the end.
pub fn whole(
    head: &Head,
    style: Style,
    said: &[Said],
    usage: Option<Usage>,
    extra: Map<String, Value>,
) -> Value {
    let choices = said.iter().enumerate();
    let choices: Vec<_> = choices
        .map(|(index, said)| choice(style, index, said))
        .collect();
    let mut body = json!({
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    });
    if let Some(usage) = usage {
        put(&mut body, "usage", settings::usage(usage));
    }
    extend(&mut body, extra);
    body
}

fn choice(style: Style, index: usize, said: &Said) -> Value {
    let silent = said.text.is_empty() && !said.tool_calls.is_empty();
    let mut message = match style {
        Style::OpenAi => json!({
            "role": "assistant",
            "content": (!silent).then_some(&said.text),
            "refusal": null,
        }),
        Style::OpenGradient => json!({"role": "assistant", "content": said.text}),
    };
    if !said.tool_calls.is_empty() {
        let calls: Vec<_> = said.tool_calls.iter().map(tool_call).collect();
        put(&mut message, "tool_calls", calls);
    }
    let mut choice = json!({
        "index": index,
        "message": message,
        "finish_reason": said.finish.as_str(),
    });
    if !said.logprobs.is_empty() {
        put(&mut choice, "logprobs", logprobs::chat(&said.logprobs));
    } else if style == Style::OpenAi {
        put(&mut choice, "logprobs", Value::Null);
    }
    choice
}

fn tool_call(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    })
}
