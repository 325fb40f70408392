//! What all APIs say of tools alike.

use crate::{ApiError, fields::Fields};
use og_types::language::{Tool, ToolChoice};
use serde_json::json;

/// Longest name of a tool, in characters: Anthropic's bound; OpenAI's is half of it.
const MAX_NAME: usize = 128;

/// A tool's name, description and parameters, these under a name that differs between APIs.
pub(crate) fn describe(fields: &mut Fields, parameters: &str) -> Result<Tool, ApiError> {
    let name = fields.required_text("name")?;
    let sign = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-');
    if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(sign) {
        let reason = format!("must be 1 to {MAX_NAME} letters, digits, underscores or hyphens");
        return Err(fields.invalid("name", &reason));
    }
    let schema = fields.value(parameters);
    let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    if !schema.is_object() {
        return Err(fields.invalid(parameters, "must be an object: a JSON schema"));
    }
    Ok(Tool {
        name,
        description: fields.text("description")?.unwrap_or_default(),
        parameters: schema,
        strict: fields.flag("strict")?.unwrap_or(false),
    })
}

/// Adds the tool that stands at `path`.
pub(crate) fn add(tools: &mut Vec<Tool>, tool: Tool, path: &str) -> Result<(), ApiError> {
    if tools.iter().any(|other| other.name == tool.name) {
        let reason = format!("is the second tool of the name {:?}", tool.name);
        return Err(ApiError::invalid(path, reason));
    }
    tools.push(tool);
    Ok(())
}

/// A choice that is a word.
pub(crate) fn word(path: &str, choice: &str) -> Result<ToolChoice, ApiError> {
    match choice {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => {
            let reason = "must be none, auto, required or the name of a tool";
            Err(ApiError::invalid(path, reason))
        }
    }
}

/// What must be called has to be there.
pub(crate) fn check(path: &str, choice: &ToolChoice, tools: &[Tool]) -> Result<(), ApiError> {
    let there = |name: &String| tools.iter().any(|tool| tool.name == *name);
    match choice {
        ToolChoice::Tool(name) if !there(name) => {
            let reason = format!("names {name:?}, which is not among 'tools'");
            Err(ApiError::invalid(path, reason))
        }
        ToolChoice::Required if tools.is_empty() => {
            Err(ApiError::invalid(path, "needs 'tools', and there are none"))
        }
        _ => Ok(()),
    }
}
