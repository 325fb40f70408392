//! Turns as Google has them: what the system says stands apart, tools answer by name in the user's turn.

use crate::{document::put, picture};
use og_types::{
    Refusal,
    language::{Content, Message, Part, ToolCall},
};
use serde_json::{Value, json};

/// What stands for the thoughts before a call that nobody kept: `skip_thought_signature_validator`, in base64.
const NO_THOUGHTS: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// What the system says, and the other turns.
pub(super) fn turns(messages: &[Message]) -> Result<(Option<Value>, Vec<Value>), Refusal> {
    let mut system = vec![];
    let mut turns = vec![];
    // Answers to calls of one turn go together into one.
    let mut results = vec![];
    for (index, message) in messages.iter().enumerate() {
        let path = format!("prompt[{index}]");
        if message.role == "tool" {
            let before = messages.iter().take(index);
            results.push(result(&path, message, before)?);
            continue;
        }
        if message.name.is_some() {
            let reason = "is nothing that this model's service knows: leave it out";
            return Err(Refusal::of(format!("{path}.name"), reason));
        }
        flush(&mut results, &mut turns);
        let mut parts = parts(&path, &message.content)?;
        match message.role.as_str() {
            "system" if turns.is_empty() => system.append(&mut parts),
            "user" => turns.push(json!({"role": "user", "parts": parts})),
            "assistant" => {
                for (index, call) in message.tool_calls.iter().enumerate() {
                    let path = format!("{path}.tool_calls[{index}]");
                    parts.push(self::call(&path, call, index == 0)?);
                }
                turns.push(json!({"role": "model", "parts": parts}));
            }
            role => {
                let reason = format!(
                    "is {role:?}: this model's service takes turns of the system only before all others"
                );
                return Err(Refusal::of(format!("{path}.role"), reason));
            }
        }
    }
    flush(&mut results, &mut turns);
    let system = (!system.is_empty()).then(|| json!({"parts": system}));
    Ok((system, turns))
}

fn flush(results: &mut Vec<Value>, turns: &mut Vec<Value>) {
    if !results.is_empty() {
        turns.push(json!({"role": "user", "parts": std::mem::take(results)}));
    }
}

/// What a tool answered. Its name is in the call that it answers, or said with the answer.
fn result<'a>(
    path: &str,
    message: &'a Message,
    before: impl DoubleEndedIterator<Item = &'a Message>,
) -> Result<Value, Refusal> {
    let mut calls = before.rev().flat_map(|turn| &turn.tool_calls);
    let id = message.tool_call_id.as_ref();
    let called = id.and_then(|id| calls.find(|call| call.id == *id));
    let name = called.map(|call| &call.name).or(message.name.as_ref());
    let name = name.ok_or_else(|| {
        let reason = "must be the id of a call in a turn before";
        Refusal::of(format!("{path}.tool_call_id"), reason)
    })?;
    let text = message.content.as_text().ok_or_else(|| {
        let reason = "must be text for this model's service";
        Refusal::of(format!("{path}.content"), reason)
    })?;
    Ok(json!({"functionResponse": {"name": name, "response": {"output": text}}}))
}

fn call(path: &str, call: &ToolCall, first: bool) -> Result<Value, Refusal> {
    let arguments = serde_json::from_str(&call.arguments).ok();
    let arguments = arguments.filter(Value::is_object).ok_or_else(|| {
        let path = format!("{path}.arguments");
        Refusal::of(path, "must be the text of a JSON object")
    })?;
    let mut part = json!({"functionCall": {"name": call.name, "args": arguments}});
    if first {
        put(&mut part, "thoughtSignature", NO_THOUGHTS);
    }
    Ok(part)
}

fn parts(path: &str, content: &Content) -> Result<Vec<Value>, Refusal> {
    match content {
        // A part without anything is refused.
        Content::Text(text) if text.is_empty() => Ok(vec![]),
        Content::Text(text) => Ok(vec![json!({"text": text})]),
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
        Part::Text { text } => return Ok(json!({"text": text})),
        Part::Image { url, detail } => (url, detail),
    };
    if detail.as_ref().is_some_and(|detail| detail != "auto") {
        let reason = "is nothing that this model's service knows: send auto";
        return Err(Refusal::of(format!("{path}.detail"), reason));
    }
    let (kind, data) = picture::held(url).ok_or_else(|| {
        let reason = "must hold the picture for this model's service: data:image/png;base64,...";
        Refusal::of(format!("{path}.url"), reason)
    })?;
    Ok(json!({"inlineData": {"mimeType": kind, "data": data}}))
}
