//! Turns and tools as OpenAI's API has them.

use crate::document::put;
use og_types::{
    Refusal,
    language::{Content, Message, Part, Tool, ToolCall, ToolChoice},
};
use serde_json::{Value, json};

/// The turns. A tool's answer must say which call it answers.
pub(super) fn messages(messages: &[Message]) -> Result<Vec<Value>, Refusal> {
    messages.iter().enumerate().map(message).collect()
}

fn message((index, message): (usize, &Message)) -> Result<Value, Refusal> {
    let mut turn = json!({"role": message.role});
    let silent = matches!(&message.content, Content::Text(text) if text.is_empty());
    if !silent || message.tool_calls.is_empty() {
        put(&mut turn, "content", content(&message.content));
    }
    if let Some(name) = &message.name {
        put(&mut turn, "name", name.as_str());
    }
    if !message.tool_calls.is_empty() {
        let calls: Vec<_> = message.tool_calls.iter().map(call).collect();
        put(&mut turn, "tool_calls", calls);
    }
    match &message.tool_call_id {
        Some(id) => put(&mut turn, "tool_call_id", id.as_str()),
        None if message.role == "tool" => {
            let path = format!("prompt[{index}].tool_call_id");
            return Err(Refusal::of(path, "is missing"));
        }
        None => {}
    }
    Ok(turn)
}

fn content(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!(text),
        Content::Parts(parts) => parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text { text } => json!({"type": "text", "text": text}),
        Part::Image { url, detail } => {
            let mut image = json!({"url": url});
            if let Some(detail) = detail {
                put(&mut image, "detail", detail.as_str());
            }
            json!({"type": "image_url", "image_url": image})
        }
    }
}

fn call(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    })
}

/// A tool.
pub(super) fn tool(tool: &Tool) -> Value {
    let mut function = json!({"name": tool.name});
    if !tool.description.is_empty() {
        put(&mut function, "description", tool.description.as_str());
    }
    put(&mut function, "parameters", tool.parameters.clone());
    if tool.strict {
        put(&mut function, "strict", true);
    }
    json!({"type": "function", "function": function})
}

/// Which tools may be called; nothing where it is as the model finds right.
pub(super) fn choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Tool(name) => Some(json!({"type": "function", "function": {"name": name}})),
    }
}
