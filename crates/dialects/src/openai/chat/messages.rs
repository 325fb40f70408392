//! The turns of a conversation.

use crate::{
    ApiError,
    fields::{Fields, elements},
    picture,
};
use og_types::language::{Content, Message, Part, ToolCall};
use serde_json::{Value, json};

/// The turns, at least one.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let messages = fields.list("messages")?;
    let messages = messages.ok_or_else(|| fields.missing("messages"))?;
    if messages.is_empty() {
        return Err(fields.invalid("messages", "must hold at least one message"));
    }
    messages
        .into_iter()
        .map(|(path, value)| message(Fields::at(&path, value)?))
        .collect()
}

fn message(mut fields: Fields) -> Result<Message, ApiError> {
    let role = fields.required_text("role")?;
    let (speaker, mut content) = match role.as_str() {
        // Newer models' name for the same; templates know the older one.
        "system" | "developer" => ("system", content(&mut fields, &["text"])?),
        "user" => ("user", content(&mut fields, &["text", "image_url"])?),
        "assistant" => ("assistant", content(&mut fields, &["text", "refusal"])?),
        // A tool's answer, before there were ids of calls.
        "tool" | "function" => ("tool", content(&mut fields, &["text"])?),
        _ => {
            let roles = "must be system, developer, user, assistant, tool or function";
            return Err(fields.invalid("role", roles));
        }
    };
    let mut message = Message {
        role: speaker.to_owned(),
        content: Content::Text(String::new()),
        name: fields.text("name")?,
        tool_calls: vec![],
        tool_call_id: None,
    };
    match speaker {
        "assistant" => {
            message.tool_calls = tool_calls(&mut fields)?;
            if let Some(refusal) = fields.text("refusal")? {
                if content.is_some() {
                    let reason = "stands beside 'content': send one of them";
                    return Err(fields.invalid("refusal", reason));
                }
                // What it said when it refused is what it said.
                content = Some(Content::Text(refusal));
            }
            if content.is_none() && !message.tool_calls.is_empty() {
                content = Some(Content::Text(String::new()));
            }
            answered(&mut fields)?;
        }
        "tool" if role == "function" => {
            // The name of the tool is all that it says of the call.
            message
                .name
                .as_ref()
                .ok_or_else(|| fields.missing("name"))?;
        }
        "tool" => message.tool_call_id = Some(fields.required_text("tool_call_id")?),
        _ => {}
    }
    message.content = content.ok_or_else(|| fields.missing("content"))?;
    fields.finish()?;
    Ok(message)
}

/// Fields of an answer that clients send back as they got them.
fn answered(fields: &mut Fields) -> Result<(), ApiError> {
    let annotated = "is not supported: leave it out";
    fields.fixed("annotations", &[json!([])], annotated)?;
    fields.refuse("audio", "is not supported: turns are text")?;
    let old = "is not supported any more: send 'tool_calls'";
    fields.refuse("function_call", old)
}

/// What was said: a text, or a list of parts of these types.
fn content(fields: &mut Fields, types: &[&str]) -> Result<Option<Content>, ApiError> {
    match fields.value("content") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(Content::Text(text))),
        Some(Value::Array(parts)) => {
            let parts = elements(&fields.path("content"), parts).into_iter();
            let parts = parts.map(|(path, value)| part(Fields::at(&path, value)?, types));
            Ok(Some(Content::Parts(parts.collect::<Result<_, _>>()?)))
        }
        Some(_) => Err(fields.invalid("content", "must be a string or a list of parts")),
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
        "image_url" => {
            let image = fields.object("image_url")?;
            let mut image = image.ok_or_else(|| fields.missing("image_url"))?;
            let url = image.required_text("url")?;
            let part = picture::at(&image.path("url"), url, picture::detail(&mut image)?)?;
            image.finish()?;
            part
        }
        kind => Part::Text {
            text: fields.required_text(kind)?,
        },
    };
    // Where a cache may cut; changes no answer.
    fields.ignore(&["prompt_cache_breakpoint"]);
    fields.finish()?;
    Ok(part)
}

/// What an assistant called.
fn tool_calls(fields: &mut Fields) -> Result<Vec<ToolCall>, ApiError> {
    let calls = fields.list("tool_calls")?.unwrap_or_default();
    let call = |(path, value): (String, Value)| {
        let mut fields = Fields::at(&path, value)?;
        let kind = fields.required_text("type")?;
        if kind != "function" {
            let reason = "must be function: other calls are not supported";
            return Err(ApiError::unsupported(fields.path("type"), reason));
        }
        let function = fields.object("function")?;
        let mut function = function.ok_or_else(|| fields.missing("function"))?;
        let call = ToolCall {
            id: fields.required_text("id")?,
            name: function.required_text("name")?,
            arguments: function.required_text("arguments")?,
        };
        // Its place in the answer, which streams say.
        fields.ignore(&["index"]);
        function.finish()?;
        fields.finish()?;
        Ok(call)
    };
    calls.into_iter().map(call).collect()
}
