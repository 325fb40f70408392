//! What an answer repeats of its request.

use crate::{document::put, fields::Fields, fraction};
use og_types::language::Question;
use serde_json::{Map, Value, json};

/// Fields that stand in the answer as they stood in the request, or as they are when nobody sets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Echo(Value);

impl Echo {
    /// What the fields of the body say, which are taken afterwards.
    pub(super) fn new(fields: &Fields) -> Self {
        let said = |name, otherwise| match fields.peek(name) {
            Some(value) if !value.is_null() => value.clone(),
            _ => otherwise,
        };
        Self(json!({
            "background": false,
            "instructions": said("instructions", Value::Null),
            "max_output_tokens": said("max_output_tokens", Value::Null),
            "max_tool_calls": said("max_tool_calls", Value::Null),
            "metadata": said("metadata", json!({})),
            "parallel_tool_calls": said("parallel_tool_calls", json!(true)),
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "service_tier": "default",
            "store": false,
            "text": said("text", json!({"format": {"type": "text"}})),
            "tool_choice": said("tool_choice", json!("auto")),
            "tools": said("tools", json!([])),
            "top_logprobs": said("top_logprobs", json!(0)),
            "truncation": "disabled",
            "user": said("user", Value::Null),
        }))
    }

    /// Settings as they were understood.
    pub(super) fn settle(&mut self, question: &Question) {
        let Self(document) = self;
        put(
            document,
            "temperature",
            fraction::write(question.temperature),
        );
        put(document, "top_p", fraction::write(question.top_p));
    }

    pub(super) fn fields(&self) -> Map<String, Value> {
        self.0.as_object().cloned().unwrap_or_default()
    }
}
