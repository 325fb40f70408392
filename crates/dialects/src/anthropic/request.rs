//! A request.

use super::{tools, turns};
use crate::{ApiError, fields::Fields, settings};
use og_types::language::{Format, ONE, Prompt, Question};
use serde_json::json;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The model, as the client names it.
    pub model: String,
    /// What is asked.
    pub question: Question,
    /// Whether the answer is streamed.
    pub stream: bool,
}

impl Request {
    /// Reads the body of a question.
    ///
    /// # Errors
    /// [`ApiError`] names the parameter that is wrong, unknown or not supported.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::body(body)?;
        let most = settings::max_tokens(&mut fields, "max_tokens")?;
        let most = most.ok_or_else(|| fields.missing("max_tokens"))?;
        let stream = fields.flag("stream")?.unwrap_or(false);
        let mut request = Self::read(fields)?;
        request.question.max_tokens = Some(most);
        request.stream = stream;
        Ok(request)
    }

    /// Reads the body of a question whose tokens are only to be counted.
    ///
    /// # Errors
    /// [`ApiError`] names the parameter that is wrong, unknown or not supported.
    pub fn parse_count(body: &[u8]) -> Result<Self, ApiError> {
        Self::read(Fields::body(body)?)
    }

    fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let model = fields.required_text("model")?;
        let prompt = Prompt::Messages(turns::read(&mut fields)?);
        let mut question = Question {
            temperature: ONE,
            max_tokens: None,
            ..Question::new(prompt)
        };
        settings::nucleus(&mut fields, &mut question, ONE)?;
        question.stop = settings::stop(&mut fields, "stop_sequences")?;
        question.format = format(&mut fields)?;
        tools::read(&mut fields, &mut question)?;
        unsupported(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            model,
            question,
            stream: false,
        })
    }
}

/// What the answer must be.
fn format(fields: &mut Fields) -> Result<Format, ApiError> {
    let Some(mut config) = fields.object("output_config")? else {
        return Ok(Format::Text);
    };
    config.refuse("effort", "is not supported: leave it out")?;
    let format = match config.object("format")? {
        None => Format::Text,
        Some(mut format) => {
            let kind = format.required_text("type")?;
            if kind != "json_schema" {
                return Err(format.invalid("type", "must be json_schema"));
            }
            let schema = format.value("schema");
            let schema = schema.ok_or_else(|| format.missing("schema"))?;
            format.finish()?;
            Format::JsonSchema(schema)
        }
    };
    config.finish()?;
    Ok(format)
}

/// Published parameters that may say nothing but what happens anyway.
fn unsupported(fields: &mut Fields) -> Result<(), ApiError> {
    // A label, and a hint to a cache.
    fields.ignore(&["metadata", "cache_control"]);
    let tiers = [json!("auto"), json!("standard_only")];
    fields.fixed("service_tier", &tiers, "is not supported: send \"auto\"")?;
    let fast = "is not supported: send \"standard\"";
    fields.fixed("speed", &[json!("standard")], fast)?;
    let off = [json!({"type": "disabled"})];
    fields.fixed(
        "thinking",
        &off,
        "is not supported: send {\"type\": \"disabled\"}",
    )?;
    for name in [
        "container",
        "diagnostics",
        "inference_geo",
        "user_profile_id",
        "workspace_id",
    ] {
        fields.refuse(name, "is not supported: leave it out")?;
    }
    Ok(())
}
