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
    let called: Vec<&Tool> = match &question.tool_choice {
        ToolChoice::Required => offered.iter().collect(),
        ToolChoice::Tool(name) => offered.iter().filter(|tool| tool.name == *name).collect(),
        // Where no tool is strict, the model writes as it learnt.
        ToolChoice::Auto if offered.iter().any(|tool| tool.strict) => offered.iter().collect(),
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
        (Format::Text, Some(form)) if !called.is_empty() => {
            let wanted = Wanted {
                text: question.tool_choice == ToolChoice::Auto,
                several: question.parallel_tool_calls
                    && !matches!(question.tool_choice, ToolChoice::Tool(_)),
            };
            calls(form, &called, wanted, tokenizer).map(Some)
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

/// What an answer with calls may be.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Text as well, with calls in it or none; only strict tools are then held to their schemas.
    text: bool,
    /// Several calls.
    several: bool,
}

/// Calls of some tools.
fn calls(
    form: CallForm,
    tools: &[&Tool],
    wanted: Wanted,
    tokenizer: &Tokenizer,
) -> Result<GrammarSource, RunError> {
    let mut grammar = match wanted.text {
        true => text_and_calls(form, wanted.several, tokenizer),
        false => only_calls(form, wanted.several, tokenizer),
    };
    let names: Vec<String> = (0..tools.len())
        .map(|tool| format!("call_{tool}"))
        .collect();
    grammar += &format!("call: {}\n", names.join(" | "));
    for (tool, name) in tools.iter().zip(names) {
        let head = format!(
            "{{\"name\": {}, \"{}\": ",
            json!(tool.name),
            form.arguments()
        );
        let schema = match wanted.text && !tool.strict {
            true => Ok(spaced(json!({ "type": "object" }))),
            false => arguments(&tool.parameters),
        };
        let schema = schema.map_err(|error| refused("tools", cannot(&error)))?;
        let head = literal(&head);
        grammar += &format!("{name}: {head} {name}_arguments \"}}\"\n");
        grammar += &format!("{name}_arguments: %json {schema}\n");
    }
    Ok(GrammarSource::Lark(grammar))
}

/// An answer that is nothing but one call, or one and more.
fn only_calls(form: CallForm, several: bool, tokenizer: &Tokenizer) -> String {
    let (open, close) = form.marks();
    let open = mark(open, tokenizer);
    let list = list(form, several);
    match (form, close) {
        (CallForm::Tagged, Some(close)) => {
            let one = format!("{open} \"\\n\" call \"\\n\" {}", mark(close, tokenizer));
            let more = if several { " (\"\\n\" one)*" } else { "" };
            format!("start: one{more}\none: {one}\n")
        }
        (CallForm::Bare, _) => format!("start: {list}\n"),
        _ => format!("start: {open} {list}\n"),
    }
}

/// Calls as they stand behind one mark.
fn list(form: CallForm, several: bool) -> String {
    let more = |between: &str| match several {
        true => format!(" ({} call)*", literal(between)),
        false => String::new(),
    };
    match form {
        CallForm::Tagged => "call".to_owned(),
        CallForm::Listed => format!("\"[\" call{} \"]\"", more(", ")),
        CallForm::Bare => format!("call{}", more("; ")),
    }
}

/// Text, in which a mark opens calls and nothing else. So the model is free until it writes the mark, and held to the form
/// from there to the calls' end.
fn text_and_calls(form: CallForm, several: bool, tokenizer: &Tokenizer) -> String {
    let (open, close) = form.marks();
    // An answer that begins like a call without a mark is one.
    let free = match form {
        CallForm::Bare => r"[ \t\r\n]*[^{ \t\r\n](.|\n)*",
        CallForm::Tagged | CallForm::Listed => r"(.|\n)+",
    };
    let special = mark(open, tokenizer);
    let (opened, rules) = if special.starts_with('<') {
        // Text holds no special token.
        (format!("TEXT? {special}"), format!("TEXT: /{free}/\n"))
    } else {
        let open = escaped(open);
        let rules = format!(
            "opened[lazy]: /({free})?{open}/\nTEXT: /{free}/ & ~/(.|\\n)*{open}(.|\\n)*/\n"
        );
        ("opened".to_owned(), rules)
    };
    let list = list(form, several);
    let start = match (form, close) {
        (CallForm::Tagged, Some(close)) => {
            let close = mark(close, tokenizer);
            let count = if several { "*" } else { "?" };
            format!("({opened} \"\\n\" {list} \"\\n\" {close}){count} TEXT?")
        }
        (CallForm::Bare, _) => format!("{list} | {opened} {list} | TEXT?"),
        _ => format!("{opened} {list} | TEXT?"),
    };
    format!("start: {start}\n{rules}")
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

/// A mark as a regular expression.
fn escaped(mark: &str) -> String {
    mark.replace('[', r"\[")
        .replace(']', r"\]")
        .replace('|', r"\|")
}

/// A mark in the grammar: the special token of this name, or its characters.
fn mark(mark: &str, tokenizer: &Tokenizer) -> String {
    match tokenizer.id(mark) {
        Some(id) if tokenizer.is_special(id) => format!("<[{id}]>"),
        _ => literal(mark),
    }
}
