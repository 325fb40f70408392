//! Settings that all APIs have.

use crate::{ApiError, fields::Fields};
use og_types::language::{MAX_ANSWER_TOKENS, MAX_STOPS, ONE, Question};
use serde_json::Value;

/// Temperature, up to `hottest`, and among which tokens is chosen.
pub(crate) fn nucleus(
    fields: &mut Fields,
    question: &mut Question,
    hottest: i64,
) -> Result<(), ApiError> {
    if let Some(temperature) = fields.fraction("temperature", 0..=hottest)? {
        question.temperature = temperature;
    }
    if let Some(top_p) = fields.fraction("top_p", 0..=ONE)? {
        // Nothing is left of the tokens at 0: the most probable one remains.
        question.top_p = top_p.max(1);
    }
    if let Some(top_k) = fields.integer("top_k", -1..=i64::from(u32::MAX))? {
        // Some say -1 for all, some 0.
        question.top_k = top_k.max(0);
    }
    Ok(())
}

/// A stop string, or a list of them.
pub(crate) fn stop(fields: &mut Fields, name: &str) -> Result<Vec<String>, ApiError> {
    let reason = format!("must be a string or a list of at most {MAX_STOPS} strings, none empty");
    let path = fields.path(name);
    let wrong = || ApiError::invalid(&path, &reason);
    let texts = match fields.value(name) {
        None => vec![],
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(values)) => values
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong()),
    };
    if texts.len() > MAX_STOPS || texts.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(texts)
}

/// Most tokens of the answer, under the name that the API has for it.
pub(crate) fn max_tokens(fields: &mut Fields, name: &str) -> Result<Option<i64>, ApiError> {
    fields.integer(name, 1..=MAX_ANSWER_TOKENS)
}
