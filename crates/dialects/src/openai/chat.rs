//! `POST /v1/chat/completions`: a conversation, and the turn that comes next.

mod messages;
mod stream;
mod tools;
mod whole;

use super::{
    Defaults,
    settings::{self, LABELS},
};
use crate::{ApiError, fields::Fields};
use og_types::language::{Format, MAX_LOGPROBS, Prompt, Question};
use serde_json::{Value, json};
pub use stream::Stream;
pub use whole::whole;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The model, as the client names it.
    pub model: String,
    /// What is asked.
    pub question: Question,
    /// The seed, if the client chose one.
    pub seed: Option<u64>,
    /// How many answers are wanted, 1 to [`super::MAX_CHOICES`].
    pub choices: usize,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether the stream ends with usage.
    pub include_usage: bool,
}

impl Request {
    /// Reads a body. What it leaves open is as `defaults` says.
    ///
    /// # Errors
    /// [`ApiError`] names the parameter that is wrong, unknown or not supported.
    pub fn parse(body: &[u8], defaults: Defaults) -> Result<Self, ApiError> {
        let mut fields = Fields::body(body)?;
        let model = fields.required_text("model")?;
        let mut question = defaults.question(Prompt::Messages(messages::read(&mut fields)?));
        settings::sampling(&mut fields, &mut question)?;
        if let Some(most) = max_tokens(&mut fields)? {
            question.max_tokens = Some(most);
        }
        question.logprobs = logprobs(&mut fields)?;
        question.format = format(&mut fields)?;
        tools::read(&mut fields, &mut question)?;
        let (stream, include_usage) = settings::stream(&mut fields)?;
        let request = Self {
            model,
            question,
            seed: settings::seed(&mut fields)?,
            choices: settings::choices(&mut fields)?,
            stream,
            include_usage,
        };
        fields.ignore(&LABELS);
        unsupported(&mut fields)?;
        fields.finish()?;
        Ok(request)
    }
}

/// Most tokens of the answer: the new name, or the old one.
fn max_tokens(fields: &mut Fields) -> Result<Option<i64>, ApiError> {
    let new = crate::settings::max_tokens(fields, "max_completion_tokens")?;
    let old = crate::settings::max_tokens(fields, "max_tokens")?;
    match (new, old) {
        (Some(new), Some(old)) if new != old => {
            let reason = "contradicts 'max_completion_tokens': send one of them";
            Err(fields.invalid("max_tokens", reason))
        }
        _ => Ok(new.or(old)),
    }
}

/// Whether to say how probable tokens were, and with how many alternatives.
fn logprobs(fields: &mut Fields) -> Result<Option<i64>, ApiError> {
    let wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0..=MAX_LOGPROBS)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, Some(1..)) => Err(fields.invalid("top_logprobs", "needs 'logprobs': true")),
        (false, _) => Ok(None),
    }
}

/// What the answer must be.
fn format(fields: &mut Fields) -> Result<Format, ApiError> {
    let Some(mut wanted) = fields.object("response_format")? else {
        return Ok(Format::Text);
    };
    let format = match wanted.required_text("type")?.as_str() {
        "text" => Format::Text,
        "json_object" => Format::JsonObject,
        "json_schema" => {
            let inner = wanted.object("json_schema")?;
            let mut inner = inner.ok_or_else(|| wanted.missing("json_schema"))?;
            let schema = schema(&mut inner)?;
            inner.finish()?;
            schema
        }
        _ => return Err(wanted.invalid("type", "must be text, json_object or json_schema")),
    };
    wanted.finish()?;
    Ok(format)
}

/// A schema with its name, which is a label, and its description, which goes into the schema. It is enforced whether `strict` or
/// not.
pub(super) fn schema(fields: &mut Fields) -> Result<Format, ApiError> {
    fields.required_text("name")?;
    fields.flag("strict")?;
    let description = fields.text("description")?;
    let schema = fields.value("schema");
    let mut schema = schema.ok_or_else(|| fields.missing("schema"))?;
    let Value::Object(map) = &mut schema else {
        return Err(fields.invalid("schema", "must be an object: a JSON schema"));
    };
    if let Some(description) = description {
        let entry = map.entry("description");
        entry.or_insert(Value::String(description));
    }
    Ok(Format::JsonSchema(schema))
}

/// Published parameters that may say nothing but what happens anyway.
fn unsupported(fields: &mut Fields) -> Result<(), ApiError> {
    let tiers = [json!("auto"), json!("default")];
    fields.fixed("service_tier", &tiers, "is not supported: send \"auto\"")?;
    let stored = "is not supported: answers are not kept, so send false";
    fields.fixed("store", &[json!(false)], stored)?;
    let spoken = "is not supported: answers are text, so send [\"text\"]";
    fields.fixed("modalities", &[json!(["text"])], spoken)?;
    let verbose =
        "is not supported: send \"medium\", or say in a message how long the answer should be";
    fields.fixed("verbosity", &[json!("medium")], verbose)?;
    let search =
        "is not supported: nothing is searched, so send false, or offer a tool that searches";
    fields.fixed("web_search", &[json!(false)], search)?;
    for (name, reason) in [
        ("audio", "is not supported: answers are text"),
        (
            "function_call",
            "is not supported any more: send 'tool_choice'",
        ),
        ("functions", "is not supported any more: send 'tools'"),
        ("moderation", "is not supported: nothing is moderated"),
        ("prediction", "is not supported: leave it out"),
        ("reasoning_effort", "is not supported: leave it out"),
        (
            "web_search_options",
            "is not supported: nothing is searched",
        ),
    ] {
        fields.refuse(name, reason)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
