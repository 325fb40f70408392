//! Tools that an answer may call, and whether it must.

use crate::{
    ApiError,
    fields::Fields,
    tools::{add, check, describe, word},
};
use og_types::language::{Question, ToolChoice};
use serde_json::Value;

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

fn choice(path: &str, choice: Value) -> Result<ToolChoice, ApiError> {
    if let Value::String(choice) = &choice {
        return word(path, choice);
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
