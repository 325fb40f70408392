//! Anthropic's messages.

mod request;
mod stream;
mod turns;
mod whole;

pub(super) use request::request;
pub(super) use stream::Stream;
pub(super) use whole::read;

use super::{AnswerError, Report, count, unknown_end};
use og_types::language::Finish;
use serde::Deserialize;

/// Tokens, as Anthropic counts them: those of the prompt in three parts, of which caches know two.
#[derive(Debug, Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Counts {
    /// Writes down what is said here; what is not stays as it was.
    fn report(&self, report: &mut Report) {
        if let Some(input) = self.input_tokens {
            let cached = [
                self.cache_creation_input_tokens,
                self.cache_read_input_tokens,
            ];
            let cached = cached.into_iter().flatten();
            report.prompt_tokens = count(Some(cached.fold(input, u64::saturating_add)));
        }
        if self.output_tokens.is_some() {
            report.tokens = count(self.output_tokens);
        }
    }
}

/// Why an answer ended.
fn finish(reason: &str) -> Result<Finish, AnswerError> {
    match reason {
        "end_turn" | "stop_sequence" => Ok(Finish::Stop),
        "max_tokens" | "model_context_window_exceeded" => Ok(Finish::Length),
        "tool_use" => Ok(Finish::ToolCalls),
        "refusal" => Ok(Finish::ContentFilter),
        other => Err(unknown_end(other)),
    }
}
