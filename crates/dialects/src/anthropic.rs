//! What Anthropic's clients send, and what they expect: `POST /v1/messages`, and `/v1/messages/count_tokens`.
//!
//! Reference: the types of Anthropic's Python package 2.14.0. Temperature, `top_k` and `top_p` are no longer among them, but still
//! sent by many clients, and honoured.

mod request;
mod stream;
mod tools;
mod turns;
mod whole;

pub use request::Request;
pub use stream::Stream;
pub use whole::{count, whole};

use crate::Usage;
use og_types::language::Finish;
use serde_json::{Value, json};

/// Why an answer ended. A stop string is not told apart from an end of the model's own.
const fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}

/// Usage in Anthropic's shape, which has no word for not knowing: 0 then.
fn usage(usage: Option<Usage>) -> Value {
    json!({
        "input_tokens": usage.map_or(0, |usage| usage.prompt_tokens),
        "output_tokens": usage.map_or(0, |usage| usage.answer_tokens),
    })
}

#[cfg(test)]
mod tests;
