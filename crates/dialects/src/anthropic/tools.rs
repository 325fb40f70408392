//! Tools that an answer may call, and whether it must.

use crate::{
    ApiError,
    fields::Fields,
    tools::{add, check, describe},
};
use og_types::language::{Question, ToolChoice};
use serde_json::json;

/// Tools, which of them, and whether several.
pub(super) fn read(fields: &mut Fields, question: &mut Question) -> Result<(), ApiError> {
    for (path, value) in fields.list("tools")?.unwrap_or_default() {
        let mut tool = Fields::at(&path, value)?;
        let own = "is not supported: only tools that the client runs are";
        tool.fixed("type", &[json!("custom")], own)?;
        let described = describe(&mut tool, "input_schema")?;
        // A hint to a cache, and how finely the stream is cut.
        tool.ignore(&["cache_control", "eager_input_streaming"]);
        let direct = "is not supported: send [\"direct\"]";
        tool.fixed("allowed_callers", &[json!(["direct"])], direct)?;
        let shown = "is not supported: all tools are shown, so send false";
        tool.fixed("defer_loading", &[json!(false)], shown)?;
        let examples = "is not supported: put them into the description";
        tool.fixed("input_examples", &[json!([])], examples)?;
        tool.finish()?;
        add(&mut question.tools, described, &path)?;
    }
    let path = fields.path("tool_choice");
    let Some(mut choice) = fields.object("tool_choice")? else {
        return Ok(());
    };
    question.tool_choice = match choice.required_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(choice.required_text("name")?),
        _ => return Err(choice.invalid("type", "must be auto, any, tool or none")),
    };
    let alone = choice.flag("disable_parallel_tool_use")?;
    question.parallel_tool_calls = !alone.unwrap_or(false);
    choice.finish()?;
    check(&path, &question.tool_choice, &question.tools)
}
