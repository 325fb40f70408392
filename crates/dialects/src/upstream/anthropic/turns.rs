//! Turns as Anthropic has them: what the system says stands apart, tools answer in the user's name.

use crate::{document::put, picture};
use og_types::{
    Refusal,
    language::{Content, Message, Part, ToolCall},
};
use serde_json::{Value, json};

/// What the system says, and the other turns.
pub(super) fn turns(messages: &[Message]) -> Result<(Option<Value>, Vec<Value>), Refusal> {
    let mut system = None;
    let mut turns = vec![];
    // Answers to calls of one turn go together into one.
    let mut results = vec![];
    for (index, message) in messages.iter().enumerate() {
        let path = format!("prompt[{index}]");
        if message.name.is_some() {
            let reason = "is nothing that this model's service knows: leave it out";
            return Err(Refusal::of(format!("{path}.name"), reason));
        }
        if message.role == "tool" {
            results.push(result(&path, message)?);
            continue;
        }
        flush(&mut results, &mut turns);
        match message.role.as_str() {
            "system" if turns.is_empty() => {
                let more = content(&path, &message.content)?;
                system = Some(match system.take() {
                    None => more,
                    Some(said) => Value::Array([blocks(said), blocks(more)].concat()),
                });
            }
            "user" => {
                let content = content(&path, &message.content)?;
                turns.push(json!({"role": "user", "content": content}));
            }
            "assistant" => turns.push(assistant(&path, message)?),
            role => {
                let reason = format!(
                    "is {role:?}: this model's service takes turns of the system only before all others"
                );
                return Err(Refusal::of(format!("{path}.role"), reason));
            }
        }
    }
    flush(&mut results, &mut turns);
    Ok((system, turns))
}

fn flush(results: &mut Vec<Value>, turns: &mut Vec<Value>) {
    if !results.is_empty() {
        turns.push(json!({"role": "user", "content": std::mem::take(results)}));
    }
}

fn result(path: &str, message: &Message) -> Result<Value, Refusal> {
    let id = message.tool_call_id.as_ref();
    let id = id.ok_or_else(|| Refusal::of(format!("{path}.tool_call_id"), "is missing"))?;
    let content = content(path, &message.content)?;
    Ok(json!({"type": "tool_result", "tool_use_id": id, "content": content}))
}

fn assistant(path: &str, message: &Message) -> Result<Value, Refusal> {
    if message.tool_calls.is_empty() {
        let content = content(path, &message.content)?;
        return Ok(json!({"role": "assistant", "content": content}));
    }
    let mut blocks = blocks(content(path, &message.content)?);
    for (index, call) in message.tool_calls.iter().enumerate() {
        blocks.push(tool_use(&format!("{path}.tool_calls[{index}]"), call)?);
    }
    Ok(json!({"role": "assistant", "content": blocks}))
}

/// A turn's content as a list of blocks.
fn blocks(content: Value) -> Vec<Value> {
    match content {
        Value::Array(blocks) => blocks,
        // An empty block is refused.
        Value::String(text) if text.is_empty() => vec![],
        text => vec![json!({"type": "text", "text": text})],
    }
}

fn tool_use(path: &str, call: &ToolCall) -> Result<Value, Refusal> {
    let input = serde_json::from_str(&call.arguments).ok();
    let input = input.filter(Value::is_object).ok_or_else(|| {
        let path = format!("{path}.arguments");
        Refusal::of(path, "must be the text of a JSON object")
    })?;
    Ok(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}))
}

fn content(path: &str, content: &Content) -> Result<Value, Refusal> {
    match content {
        Content::Text(text) => Ok(json!(text)),
        Content::Parts(parts) => {
            let parts = parts.iter().enumerate();
            parts
                .map(|(index, each)| part(&format!("{path}.content[{index}]"), each))
                .collect()
        }
    }
}

fn part(path: &str, part: &Part) -> Result<Value, Refusal> {
    let (url, detail) = match part {
        Part::Text { text } => return Ok(json!({"type": "text", "text": text})),
        Part::Image { url, detail } => (url, detail),
    };
    if detail.as_ref().is_some_and(|detail| detail != "auto") {
        let reason = "is nothing that this model's service knows: send auto";
        return Err(Refusal::of(format!("{path}.detail"), reason));
    }
    let mut source = json!({"type": "url", "url": url});
    if let Some((kind, data)) = picture::held(url) {
        source = json!({"type": "base64", "media_type": kind});
        put(&mut source, "data", data);
    } else if url.starts_with("data:") {
        let reason = "must hold the picture in base64";
        return Err(Refusal::of(format!("{path}.url"), reason));
    }
    Ok(json!({"type": "image", "source": source}))
}
