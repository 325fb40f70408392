//! Tools that an answer may call, and whether it must.

use crate::{
    ApiError,
    fields::Fields,
    tools::{add, check, describe, word},
};
use og_types::language::{Question, ToolChoice};
use serde_json::{Value, json};

/// Tools, which of them, and whether several.
pub(super) fn read(fields: &mut Fields, question: &mut Question) -> Result<(), ApiError> {
    for (path, value) in fields.list("tools")?.unwrap_or_default() {
        let mut tool = Fields::at(&path, value)?;
        if tool.required_text("type")? != "function" {
            let reason = "must be function: other tools are not supported";
            return Err(ApiError::unsupported(tool.path("type"), reason));
        }
        let described = describe(&mut tool, "parameters")?;
        let reason = "is not supported: leave it out";
        tool.fixed("allowed_callers", &[json!(["direct"])], reason)?;
        tool.fixed("async", &[json!(false)], reason)?;
        tool.fixed("defer_loading", &[json!(false)], reason)?;
        tool.refuse("output_schema", reason)?;
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
    if fields.required_text("type")? != "function" {
        let reason = "must be function: to allow some tools, list no others";
        return Err(ApiError::unsupported(fields.path("type"), reason));
    }
    let name = fields.required_text("name")?;
    fields.finish()?;
    Ok(ToolChoice::Tool(name))
}
