//! The turns of a conversation: blocks of text, pictures, calls, and tools' answers.

use crate::{
    ApiError,
    fields::{Fields, elements},
    picture,
};
use og_types::language::{Content, Message, Part, ToolCall};
use serde_json::{Value, json};

/// The system's turn, if there is one, and all others.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let path = fields.path("system");
    let mut messages = vec![];
    if let Some(system) = fields.value("system") {
        messages.push(Message {
            content: texts(&path, system)?,
            ..Message::text("system", "")
        });
    }
    let turns = fields.list("messages")?;
    let turns = turns.ok_or_else(|| fields.missing("messages"))?;
    for (path, value) in turns {
        turn(Fields::at(&path, value)?, &mut messages)?;
    }
    match messages.last().map(|message| message.role.as_str()) {
        None | Some("system") => {
            Err(fields.invalid("messages", "must hold at least one turn of the user"))
        }
        Some("assistant") => {
            let reason =
                "must end with a turn of the user: an answer cannot be begun for the model";
            Err(ApiError::unsupported(fields.path("messages"), reason))
        }
        Some(_) => Ok(messages),
    }
}

fn turn(mut fields: Fields, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let path = fields.path("content");
    let content = fields.value("content");
    let content = content.ok_or_else(|| fields.missing("content"))?;
    match fields.required_text("role")?.as_str() {
        "user" => user(&path, content, messages)?,
        "assistant" => messages.push(assistant(&path, content)?),
        "system" => messages.push(Message {
            content: texts(&path, content)?,
            ..Message::text("system", "")
        }),
        _ => return Err(fields.invalid("role", "must be user, assistant or system")),
    }
    fields.finish()
}

/// A user's turn, before which tools may answer.
fn user(path: &str, content: Value, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let Value::Array(blocks) = content else {
        let content = texts(path, content)?;
        messages.push(Message {
            content,
            ..Message::text("user", "")
        });
        return Ok(());
    };
    let mut parts = vec![];
    let said = |parts: Vec<Part>, messages: &mut Vec<Message>| {
        if !parts.is_empty() {
            messages.push(Message {
                content: Content::Parts(parts),
                ..Message::text("user", "")
            });
        }
    };
    for (path, value) in elements(path, blocks) {
        let mut block = block(&path, value)?;
        match block.kind.as_str() {
            "text" | "image" => parts.push(block.part()?),
            "tool_result" => {
                said(std::mem::take(&mut parts), messages);
                messages.push(result(&mut block.fields)?);
            }
            _ => return Err(block.unsupported("text, image or tool_result")),
        }
        block.fields.finish()?;
    }
    said(parts, messages);
    Ok(())
}

/// What a tool answered.
fn result(fields: &mut Fields) -> Result<Message, ApiError> {
    let id = fields.required_text("tool_use_id")?;
    let path = fields.path("content");
    let mut content = match fields.value("content") {
        None => Content::Text(String::new()),
        Some(Value::Array(blocks)) => {
            let parts = elements(&path, blocks).into_iter().map(|(path, value)| {
                let mut block = block(&path, value)?;
                if !matches!(block.kind.as_str(), "text" | "image") {
                    return Err(block.unsupported("text or image"));
                }
                let part = block.part()?;
                block.fields.finish()?;
                Ok(part)
            });
            Content::Parts(parts.collect::<Result<_, _>>()?)
        }
        Some(text) => texts(&path, text)?,
    };
    if fields.flag("is_error")?.unwrap_or(false) {
        // There is no other word for it.
        content = failed(content);
    }
    Ok(Message {
        content,
        tool_call_id: Some(id),
        ..Message::text("tool", "")
    })
}

fn failed(content: Content) -> Content {
    const ERROR: &str = "Error: ";
    match content {
        Content::Text(text) => Content::Text(format!("{ERROR}{text}")),
        Content::Parts(mut parts) => {
            let text = ERROR.to_owned();
            parts.insert(0, Part::Text { text });
            Content::Parts(parts)
        }
    }
}

fn assistant(path: &str, content: Value) -> Result<Message, ApiError> {
    let mut message = Message::text("assistant", "");
    let Value::Array(blocks) = content else {
        message.content = texts(path, content)?;
        return Ok(message);
    };
    let mut parts = vec![];
    for (path, value) in elements(path, blocks) {
        let mut block = block(&path, value)?;
        match block.kind.as_str() {
            "text" => parts.push(block.part()?),
            "tool_use" => message.tool_calls.push(call(&mut block.fields)?),
            _ => return Err(block.unsupported("text or tool_use")),
        }
        block.fields.finish()?;
    }
    if !parts.is_empty() {
        message.content = Content::Parts(parts);
    }
    Ok(message)
}

fn call(fields: &mut Fields) -> Result<ToolCall, ApiError> {
    let input = fields.value("input");
    let input = input.ok_or_else(|| fields.missing("input"))?;
    if !input.is_object() {
        return Err(fields.invalid("input", "must be an object"));
    }
    let direct = [json!({"type": "direct"})];
    fields.fixed("caller", &direct, "is not supported: leave it out")?;
    Ok(ToolCall {
        id: fields.required_text("id")?,
        name: fields.required_text("name")?,
        arguments: input.to_string(),
    })
}

/// A text, or blocks of it.
fn texts(path: &str, content: Value) -> Result<Content, ApiError> {
    match content {
        Value::String(text) => Ok(Content::Text(text)),
        Value::Array(blocks) => {
            let parts = elements(path, blocks).into_iter().map(|(path, value)| {
                let mut block = block(&path, value)?;
                if block.kind != "text" {
                    return Err(block.unsupported("text"));
                }
                let part = block.part()?;
                block.fields.finish()?;
                Ok(part)
            });
            Ok(Content::Parts(parts.collect::<Result<_, _>>()?))
        }
        _ => Err(ApiError::invalid(
            path,
            "must be a string or a list of blocks",
        )),
    }
}

/// A block of a turn.
struct Block {
    kind: String,
    fields: Fields,
}

fn block(path: &str, value: Value) -> Result<Block, ApiError> {
    let mut fields = Fields::at(path, value)?;
    let kind = fields.required_text("type")?;
    // Where a cache may cut; changes no answer.
    fields.ignore(&["cache_control"]);
    Ok(Block { kind, fields })
}

impl Block {
    /// A text or a picture.
    fn part(&mut self) -> Result<Part, ApiError> {
        let fields = &mut self.fields;
        if self.kind == "text" {
            let cited = "is not supported: leave it out";
            fields.fixed("citations", &[json!([])], cited)?;
            return Ok(Part::Text {
                text: fields.required_text("text")?,
            });
        }
        fields.refuse("transformations", "is not supported: leave it out")?;
        let source = fields.object("source")?;
        let mut source = source.ok_or_else(|| fields.missing("source"))?;
        let url = match source.required_text("type")?.as_str() {
            "url" => source.required_text("url")?,
            "base64" => {
                let kind = source.required_text("media_type")?;
                format!("data:{kind};base64,{}", source.required_text("data")?)
            }
            _ => return Err(source.invalid("type", "must be url or base64")),
        };
        source.finish()?;
        picture::at(&fields.path("source"), url, None)
    }

    fn unsupported(&self, instead: &str) -> ApiError {
        let kind = &self.kind;
        let reason = format!("is {kind:?}, which is not supported here: send {instead}");
        ApiError::unsupported(self.fields.path("type"), reason)
    }
}
