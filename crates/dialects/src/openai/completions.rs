//! `POST /v1/completions`: texts, and how they go on.

mod stream;
mod whole;

use super::{
    Defaults, MAX_CHOICES,
    settings::{self, LABELS},
};
use crate::{ApiError, fields::Fields};
use og_types::language::{Finish, MAX_LOGPROBS, Prompt, Question};
use serde_json::{Value, json};
pub use stream::Stream;
pub use whole::whole;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The model, as the client names it.
    pub model: String,
    /// What is asked: one question for each text, all with the same settings.
    pub questions: Vec<Question>,
    /// The seed, if the client chose one.
    pub seed: Option<u64>,
    /// How many answers are wanted to each question. Those to the first come first; all are at most [`MAX_CHOICES`].
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
        let texts = prompts(&mut fields)?;
        let mut question = defaults.question(Prompt::Text(String::new()));
        settings::sampling(&mut fields, &mut question)?;
        if let Some(most) = crate::settings::max_tokens(&mut fields, "max_tokens")? {
            question.max_tokens = Some(most);
        }
        question.logprobs = fields.integer("logprobs", 0..=MAX_LOGPROBS)?;
        let choices = settings::choices(&mut fields)?;
        if texts.len().saturating_mul(choices) > MAX_CHOICES {
            let reason =
                format!("asks for more than {MAX_CHOICES} answers, with as many as 'n' each");
            return Err(fields.invalid("prompt", &reason));
        }
        let (stream, include_usage) = settings::stream(&mut fields)?;
        let ask = |text| Question {
            prompt: Prompt::Text(text),
            ..question.clone()
        };
        let request = Self {
            model,
            questions: texts.into_iter().map(ask).collect(),
            seed: settings::seed(&mut fields)?,
            choices,
            stream,
            include_usage,
        };
        fields.ignore(&LABELS);
        unsupported(&mut fields)?;
        fields.finish()?;
        Ok(request)
    }
}

/// A text or a list of texts.
fn prompts(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let path = fields.path("prompt");
    let tokens = || {
        ApiError::unsupported(
            &path,
            "must be a string or a list of strings: token ids are not supported",
        )
    };
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(tokens()),
    };
    match fields.value("prompt") {
        None => Err(fields.missing("prompt")),
        Some(Value::Array(texts)) if texts.is_empty() => {
            Err(fields.invalid("prompt", "must hold at least one string"))
        }
        Some(Value::Array(texts)) => texts.into_iter().map(text).collect(),
        Some(value) => Ok(vec![text(value)?]),
    }
}

/// Published parameters that may say nothing but what happens anyway.
fn unsupported(fields: &mut Fields) -> Result<(), ApiError> {
    let best = "is not supported: send 'n', and choose";
    fields.fixed("best_of", &[json!(1)], best)?;
    let echo = "is not supported: the prompt is known, so send false";
    fields.fixed("echo", &[json!(false)], echo)?;
    let search = "is not supported: nothing is searched, so send false";
    fields.fixed("web_search", &[json!(false)], search)?;
    let suffix = "is not supported: answers go on at the end only";
    fields.fixed("suffix", &[json!("")], suffix)
}

/// Why an answer ended, in the words that this path has.
const fn finish(finish: Finish) -> &'static str {
    match finish {
        // There are no tools here.
        Finish::Stop | Finish::StopString(_) | Finish::ToolCalls => "stop",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
    }
}

#[cfg(test)]
mod tests;
