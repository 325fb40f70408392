//! What the conversation was so far.

use crate::{
    ApiError,
    fields::{Fields, elements},
    picture,
};
use og_types::language::{Content, Message, Part, ToolCall};
use serde_json::{Value, json};

/// The turns: instructions first, if there are any.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let instructions = fields.text("instructions")?;
    let system = instructions.map(|text| Message::text("system", &text));
    let mut messages = Vec::from_iter(system);
    let path = fields.path("input");
    match fields.value("input") {
        None => return Err(fields.missing("input")),
        Some(Value::String(text)) => messages.push(Message::text("user", &text)),
        Some(Value::Array(items)) if !items.is_empty() => {
            for (path, value) in elements(&path, items) {
                item(Fields::at(&path, value)?, &mut messages)?;
            }
        }
        Some(_) => {
            let reason = "must be a string, or a list of at least one item";
            return Err(fields.invalid("input", reason));
        }
    }
    Ok(messages)
}

fn item(mut fields: Fields, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let kind = fields.text("type")?;
    match kind.as_deref() {
        None | Some("message") => messages.push(message(&mut fields)?),
        Some("function_call") => call(&mut fields, messages)?,
        Some("function_call_output") => messages.push(output(&mut fields)?),
        Some("item_reference") => {
            let reason = "is item_reference, and answers are not kept: send the item itself";
            return Err(ApiError::unsupported(fields.path("type"), reason));
        }
        Some(kind) => {
            let reason = format!(
                "is {kind:?}, which is not supported: send message, function_call or function_call_output"
            );
            return Err(ApiError::unsupported(fields.path("type"), reason));
        }
    }
    // What an answer's items have, which clients send back as they got them.
    fields.ignore(&["id", "status", "phase"]);
    fields.finish()
}

fn message(fields: &mut Fields) -> Result<Message, ApiError> {
    let role = fields.required_text("role")?;
    let (role, types): (_, &[&str]) = match role.as_str() {
        "system" | "developer" => ("system", &["input_text"]),
        "user" => ("user", &["input_text", "input_image"]),
        "assistant" => ("assistant", &["output_text", "refusal", "input_text"]),
        _ => {
            let reason = "must be user, assistant, system or developer";
            return Err(fields.invalid("role", reason));
        }
    };
    Ok(Message {
        content: content(fields, "content", types)?,
        ..Message::text(role, "")
    })
}

/// A call belongs to the assistant's turn before it, or is one.
fn call(fields: &mut Fields, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let call = ToolCall {
        id: fields.required_text("call_id")?,
        name: fields.required_text("name")?,
        arguments: fields.required_text("arguments")?,
    };
    called(fields)?;
    match messages.last_mut() {
        Some(last) if last.role == "assistant" => last.tool_calls.push(call),
        _ => messages.push(Message {
            tool_calls: vec![call],
            ..Message::text("assistant", "")
        }),
    }
    Ok(())
}

fn output(fields: &mut Fields) -> Result<Message, ApiError> {
    called(fields)?;
    // Which tool it was stands in the call.
    fields.ignore(&["name"]);
    Ok(Message {
        content: content(fields, "output", &["input_text", "input_image"])?,
        tool_call_id: Some(fields.required_text("call_id")?),
        ..Message::text("tool", "")
    })
}

/// Who called, and how: directly, or not at all.
fn called(fields: &mut Fields) -> Result<(), ApiError> {
    let reason = "is not supported: leave it out";
    fields.fixed("async", &[json!(false)], reason)?;
    fields.fixed("caller", &[json!({"type": "direct"})], reason)?;
    fields.refuse("namespace", reason)
}

fn content(fields: &mut Fields, name: &str, types: &[&str]) -> Result<Content, ApiError> {
    match fields.value(name) {
        None => Err(fields.missing(name)),
        Some(Value::String(text)) => Ok(Content::Text(text)),
        Some(Value::Array(parts)) => {
            let parts = elements(&fields.path(name), parts).into_iter();
            let parts = parts.map(|(path, value)| part(Fields::at(&path, value)?, types));
            Ok(Content::Parts(parts.collect::<Result<_, _>>()?))
        }
        Some(_) => Err(fields.invalid(name, "must be a string or a list of parts")),
    }
}

fn part(mut fields: Fields, types: &[&str]) -> Result<Part, ApiError> {
    let kind = fields.required_text("type")?;
    if !types.contains(&kind.as_str()) {
        let types = types.join(" or ");
        let reason = format!("is {kind:?}, which is not supported here: send {types}");
        return Err(ApiError::unsupported(fields.path("type"), reason));
    }
    let part = match kind.as_str() {
        "input_image" => {
            fields.refuse("file_id", "is not supported: send 'image_url'")?;
            let url = fields.required_text("image_url")?;
            picture::at(
                &fields.path("image_url"),
                url,
                picture::detail(&mut fields)?,
            )?
        }
        "refusal" => Part::Text {
            text: fields.required_text("refusal")?,
        },
        _ => {
            // What an answer's texts have, which clients send back as they got them.
            fields.ignore(&["logprobs"]);
            let cited = "is not supported: leave it out";
            fields.fixed("annotations", &[json!([])], cited)?;
            Part::Text {
                text: fields.required_text("text")?,
            }
        }
    };
    // Where a cache may cut; changes no answer.
    fields.ignore(&["prompt_cache_breakpoint"]);
    fields.finish()?;
    Ok(part)
}
