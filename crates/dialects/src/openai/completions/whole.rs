//! An answer at once.

use super::finish;
use crate::{
    Head, Usage,
    document::{extend, put},
    openai::{Style, logprobs, settings},
};
use og_types::language::Said;
use serde_json::{Map, Value, json};

/// The body of an answer: one choice for each of `said`, and `extra` fields at the end.
pub fn whole(
    head: &Head,
    style: Style,
    said: &[Said],
    usage: Option<Usage>,
    extra: Map<String, Value>,
) -> Value {
    let choice = |(index, said): (usize, &Said)| {
        let tokens = (!said.logprobs.is_empty()).then(|| logprobs::legacy(&said.logprobs, &mut 0));
        json!({
            "text": said.text,
            "index": index,
            "finish_reason": finish(said.finish),
            "logprobs": tokens,
        })
    };
    let mut choices: Vec<_> = said.iter().enumerate().map(choice).collect();
    let mut body = json!({
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
    });
    if style == Style::OpenGradient {
        // Where their clients look for the text.
        let text = said.first().map(|said| said.text.as_str());
        put(&mut body, "completion", text.unwrap_or_default());
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            choice.retain(|_, value| !value.is_null());
        }
    }
    put(&mut body, "choices", choices);
    if let Some(usage) = usage {
        put(&mut body, "usage", settings::usage(usage));
    }
    extend(&mut body, extra);
    body
}
