//! An answer at once.

use super::{
    Echo,
    items::{Item, Status, name, response, with},
};
use crate::{Head, Usage, openai::logprobs};
use og_types::language::Said;
use serde_json::{Map, Value};

/// The body of an answer, with `extra` fields at the end.
pub fn whole(
    head: &Head,
    echo: &Echo,
    said: &Said,
    usage: Option<Usage>,
    extra: Map<String, Value>,
) -> Value {
    let message = (!said.text.is_empty() || said.tool_calls.is_empty()).then(|| Item::Message {
        id: name("msg", head, 0),
        text: said.text.clone(),
        logprobs: logprobs::list(&said.logprobs),
    });
    let first = usize::from(message.is_some());
    let calls = said.tool_calls.iter().enumerate();
    let calls = calls.map(|(index, call)| Item::Call {
        id: name("fc", head, first + index),
        call_id: call.id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    });
    let items: Vec<_> = message.into_iter().chain(calls).collect();
    let status = Status::Ended(said.finish);
    with(response(head, echo, &status, &items, usage), extra)
}
