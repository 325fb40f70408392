//! `POST /v1/responses`: turns, calls and tools' answers as a list of items, and the items that come next.
//!
//! Nothing is kept here: a request holds the whole conversation.

mod echo;
mod input;
mod items;
mod stream;
mod tools;
mod whole;

use super::{
    chat,
    settings::{LABELS, MAX_TEMPERATURE},
};
use crate::{ApiError, fields::Fields, settings};
pub use echo::Echo;
use og_types::language::{Format, MAX_LOGPROBS, ONE, Prompt, Question};
use serde_json::json;
pub use stream::Stream;
pub use whole::whole;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The model, as the client names it.
    pub model: String,
    /// What is asked.
    pub question: Question,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// What the answer repeats of the request.
    pub echo: Echo,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ApiError`] names the parameter that is wrong, unknown or not supported.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::body(body)?;
        let model = fields.required_text("model")?;
        let mut echo = Echo::new(&fields);
        let prompt = Prompt::Messages(input::read(&mut fields)?);
        let mut question = Question {
            temperature: ONE,
            max_tokens: settings::max_tokens(&mut fields, "max_output_tokens")?,
            ..Question::new(prompt)
        };
        settings::nucleus(&mut fields, &mut question, MAX_TEMPERATURE)?;
        question.format = format(&mut fields)?;
        question.logprobs = logprobs(&mut fields)?;
        tools::read(&mut fields, &mut question)?;
        let stream = stream(&mut fields)?;
        unsupported(&mut fields)?;
        fields.finish()?;
        echo.settle(&question);
        Ok(Self {
            model,
            question,
            stream,
            echo,
        })
    }
}

/// What the answer must be.
fn format(fields: &mut Fields) -> Result<Format, ApiError> {
    let Some(mut text) = fields.object("text")? else {
        return Ok(Format::Text);
    };
    let verbose = "is not supported: send \"medium\", or say how long the answer should be";
    text.fixed("verbosity", &[json!("medium")], verbose)?;
    let format = match text.object("format")? {
        None => Format::Text,
        Some(mut format) => {
            let wanted = match format.required_text("type")?.as_str() {
                "text" => Format::Text,
                "json_object" => Format::JsonObject,
                "json_schema" => chat::schema(&mut format)?,
                _ => return Err(format.invalid("type", "must be text, json_object or json_schema")),
            };
            format.finish()?;
            wanted
        }
    };
    text.finish()?;
    Ok(format)
}

/// Whether to say how probable tokens were: `include` says so, and `top_logprobs` with how many alternatives.
fn logprobs(fields: &mut Fields) -> Result<Option<i64>, ApiError> {
    let mut wanted = false;
    for (path, value) in fields.list("include")?.unwrap_or_default() {
        match value.as_str() {
            Some("message.output_text.logprobs") => wanted = true,
            // No answer has thoughts.
            Some("reasoning.encrypted_content") => {}
            _ => {
                let reason = "is not supported: leave it out";
                return Err(ApiError::unsupported(path, reason));
            }
        }
    }
    let top = fields.integer("top_logprobs", 0..=MAX_LOGPROBS)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, Some(1..)) => {
            let reason = "needs \"message.output_text.logprobs\" in 'include'";
            Err(fields.invalid("top_logprobs", reason))
        }
        (false, _) => Ok(None),
    }
}

fn stream(fields: &mut Fields) -> Result<bool, ApiError> {
    let stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(mut options) = fields.object("stream_options")? {
        let padding = "is not supported: events are not padded, so send false";
        options.fixed("include_obfuscation", &[json!(false)], padding)?;
        options.finish()?;
    }
    Ok(stream)
}

/// Published parameters that may say nothing but what happens anyway.
fn unsupported(fields: &mut Fields) -> Result<(), ApiError> {
    fields.ignore(&LABELS);
    // It bounds calls of tools that the service runs, and there are none.
    fields.integer("max_tool_calls", 0..=i64::MAX)?;
    let waiting = "is not supported: send false, and wait for the answer";
    fields.fixed("background", &[json!(false)], waiting)?;
    let tiers = [json!("auto"), json!("default")];
    fields.fixed("service_tier", &tiers, "is not supported: send \"auto\"")?;
    let kept = "is not supported: answers are not kept, so send false";
    fields.fixed("store", &[json!(false)], kept)?;
    let cut = "is not supported: nothing is left out of a conversation, so send \"disabled\"";
    fields.fixed("truncation", &[json!("disabled")], cut)?;
    if let Some(mut reasoning) = fields.object("reasoning")? {
        for name in ["context", "effort", "generate_summary", "mode", "summary"] {
            reasoning.refuse(name, "is not supported: leave it out")?;
        }
        reasoning.finish()?;
    }
    let whole = "is not supported: answers are not kept, so send the whole conversation in 'input'";
    for name in ["conversation", "previous_response_id"] {
        fields.refuse(name, whole)?;
    }
    for name in [
        "access_programs",
        "background_options",
        "context_management",
        "image",
        "moderation",
        "prompt",
    ] {
        fields.refuse(name, "is not supported: leave it out")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
