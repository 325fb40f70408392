//! What an answer must be, as a grammar: JSON, JSON of a schema, or calls of tools as the model writes them.

use super::calls::CallForm;
use crate::backend::RunError;
use og_text::{GrammarError, GrammarSource, Tokenizer, check_schema};
use og_types::{
    Refusal,
    language::{Format, Question, Tool, ToolChoice},
};
use serde_json::{Value, json};

/// The grammar that a question asks for; `None` if any text will do. `form` is how the model writes calls.
///
/// # Errors
/// [`RunError::Refused`] names the setting that cannot be honoured.
pub(super) fn constraint(
    question: &Question,
    form: Option<CallForm>,
    tokenizer: &Tokenizer,
) -> Result<Option<GrammarSource>, RunError> {
    let offered = offered(question);
    if question.format != Format::Text && !offered.is_empty() {
        return Err(refused(
            "format",
            "cannot stand beside tools that the answer may call: ask for one of the two",
        ));
    }
    let must: Vec<&Tool> = match &question.tool_choice {
        ToolChoice::Required => offered.iter().collect(),
        ToolChoice::Tool(name) => offered.iter().filter(|tool| tool.name == *name).collect(),
        ToolChoice::Auto | ToolChoice::None => vec![],
    };
    match (&question.format, form) {
        (Format::JsonObject, _) => {
            let object = json!({ "type": "object" });
            Ok(Some(GrammarSource::JsonSchema(spaced(object))))
        }
        (Format::JsonSchema(schema), _) => {
            Ok(Some(GrammarSource::JsonSchema(spaced(schema.clone()))))
        }
        (Format::Text, Some(form)) if !must.is_empty() => {
            let several = question.parallel_tool_calls
                && matches!(question.tool_choice, ToolChoice::Required);
            calls(form, &must, several, tokenizer).map(Some)
        }
        (Format::Text, _) => Ok(None),
    }
}

/// The tools that an answer may call.
pub(super) fn offered(question: &Question) -> &[Tool] {
    match question.tool_choice {
        ToolChoice::None => &[],
        _ => &question.tools,
    }
}

/// A refusal of a setting: `reason` goes on after its name.
pub(super) fn refused(setting: &str, reason: impl std::fmt::Display) -> RunError {
    RunError::Refused(Refusal::of(setting, reason.to_string()))
}

/// Why a schema is refused.
pub(super) fn cannot(error: &GrammarError) -> String {
    format!("cannot be kept to: {error}")
}

/// One call, or one and more, of some tools.
fn calls(
    form: CallForm,
    tools: &[&Tool],
    several: bool,
    tokenizer: &Tokenizer,
) -> Result<GrammarSource, RunError> {
    let (open, close) = form.marks();
    let (open, close) = (
        mark(open, tokenizer),
        close.map(|close| mark(close, tokenizer)),
    );
    let more = |between: &str| {
        let repeated = format!(" ({} one)*", literal(between));
        if several { repeated } else { String::new() }
    };
    let start = match form {
        CallForm::Tagged => format!("one{}", more("\n")),
        CallForm::Listed => format!("{open} \"[\" one{} \"]\"", more(", ")),
        CallForm::Bare => format!("one{}", more("; ")),
    };
    let one = match close {
        Some(close) => format!("{open} \"\\n\" call \"\\n\" {close}"),
        None => "call".to_owned(),
    };
    let names: Vec<String> = (0..tools.len())
        .map(|tool| format!("call_{tool}"))
        .collect();
    let mut grammar = format!("start: {start}\none: {one}\ncall: {}\n", names.join(" | "));
    for (tool, name) in tools.iter().zip(names) {
        let head = format!(
            "{{\"name\": {}, \"{}\": ",
            json!(tool.name),
            form.arguments()
        );
        let schema =
            arguments(&tool.parameters).map_err(|error| refused("tools", cannot(&error)))?;
        let head = literal(&head);
        grammar += &format!("{name}: {head} {name}_arguments \"}}\"\n");
        grammar += &format!("{name}_arguments: %json {schema}\n");
    }
    Ok(GrammarSource::Lark(grammar))
}

/// The schema of a tool's arguments, which are an object.
fn arguments(parameters: &Value) -> Result<Value, GrammarError> {
    check_schema(parameters)?;
    let mut schema = match parameters {
        Value::Object(schema) => schema.clone(),
        _ => serde_json::Map::new(),
    };
    schema.entry("type").or_insert_with(|| json!("object"));
    Ok(spaced(Value::Object(schema)))
}

/// A schema whose documents are written as Python's `json.dumps` does: what models learnt. Where white space is free,
/// small models write nothing else.
fn spaced(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        let spaces = json!({
            "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
        });
        schema.insert("x-guidance".to_owned(), spaces);
    }
    schema
}

/// A text in the grammar.
fn literal(text: &str) -> String {
    json!(text).to_string()
}

/// A mark in the grammar: the special token of this name, or its characters.
fn mark(mark: &str, tokenizer: &Tokenizer) -> String {
    match tokenizer.id(mark) {
        Some(id) if tokenizer.is_special(id) => format!("<[{id}]>"),
        _ => literal(mark),
    }
}
