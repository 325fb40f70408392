//! OpenAI's chat and completions, and services that speak alike.

mod messages;
mod request;
mod stream;
mod whole;

pub(super) use request::request;
pub(super) use stream::Stream;
pub(super) use whole::read;

use super::{AnswerError, unknown_end};
use og_types::language::Finish;
use serde::Deserialize;

/// Tokens, as these services count them.
#[derive(Debug, Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// Why an answer ended.
fn finish(reason: &str) -> Result<Finish, AnswerError> {
    match reason {
        "stop" => Ok(Finish::Stop),
        "length" => Ok(Finish::Length),
        "tool_calls" => Ok(Finish::ToolCalls),
        "content_filter" => Ok(Finish::ContentFilter),
        other => Err(unknown_end(other)),
    }
}
