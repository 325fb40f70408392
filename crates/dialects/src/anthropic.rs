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

/// Why an answer ended, and the stop string that ended it, of those that the question had.
fn stopped(finish: Finish, stops: &[String]) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop => ("end_turn", None),
        Finish::StopString(place) => {
            let stop = stops.get(usize::from(place));
            ("stop_sequence", stop.map(String::as_str))
        }
        Finish::Length => ("max_tokens", None),
        Finish::ToolCalls => ("tool_use", None),
        Finish::ContentFilter => ("refusal", None),
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
