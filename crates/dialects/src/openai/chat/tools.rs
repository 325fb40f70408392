//! Tools that an answer may call, and whether it must.

use crate::{ApiError, fields::Fields};
use og_types::language::{Question, Tool, ToolChoice};
use serde_json::{Value, json};

/// Longest name of a tool, in characters.
const MAX_NAME: usize = 64;

/// Tools, which of them, and whether several.
pub(super) fn read(fields: &mut Fields, question: &mut Question) -> Result<(), ApiError> {
    for (path, value) in fields.list("tools")?.unwrap_or_default() {
        let mut tool = Fields::at(&path, value)?;
        let kind = tool.required_text("type")?;
        if kind != "function" {
            let reason = "must be function: other tools are not supported";
            return Err(ApiError::unsupported(tool.path("type"), reason));
        }
        let function = tool.object("function")?;
        let mut function = function.ok_or_else(|| tool.missing("function"))?;
        let described = describe(&mut function, "parameters")?;
        function.finish()?;
        tool.finish()?;
        add(&mut question.tools, described, &path)?;
    }
    let path = fields.path("tool_choice");
    if let Some(choice) = fields.value("tool_choice") {
        question.tool_choice = self::choice(&path, choice)?;
        check(&path, &question.tool_choice, &question.tools)?;
    }
    let parallel = fields.flag("parallel_tool_calls")?;
    question.parallel_tool_calls = parallel.unwrap_or(true);
    Ok(())
}

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

fn choice(path: &str, choice: Value) -> Result<ToolChoice, ApiError> {
    if let Value::String(word) = &choice {
        return word_choice(path, word);
    }
    let mut fields = Fields::at(path, choice)?;
    let kind = fields.required_text("type")?;
    if kind != "function" {
        let reason = "must be function: to allow some tools, list no others";
        return Err(ApiError::unsupported(fields.path("type"), reason));
    }
    let function = fields.object("function")?;
    let mut function = function.ok_or_else(|| fields.missing("function"))?;
    let name = function.required_text("name")?;
    function.finish()?;
    fields.finish()?;
    Ok(ToolChoice::Tool(name))
}

/// A choice that is a word.
pub(in crate::openai) fn word_choice(path: &str, word: &str) -> Result<ToolChoice, ApiError> {
    match word {
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
