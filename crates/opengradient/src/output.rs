//! Tool calls, as an answer carries them and as they are signed.

use crate::{
    json::{Object, Value},
    python::dumps,
};
use serde::Serialize;

/// A call of a tool, in an answer. Clients hash what they find there: it serialises to exactly the
/// members that are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: FunctionCall,
}

/// Which function is called, with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionCall {
    /// The function's name.
    pub name: String,
    /// Its arguments, as the text of a JSON object.
    pub arguments: String,
}

impl ToolCall {
    /// A call named `id`.
    pub const fn new(id: String, function: FunctionCall) -> Self {
        Self {
            id,
            kind: "function",
            function,
        }
    }
}

/// What is hashed as the output of an answer that ends with `tool_calls` instead of text.
pub fn tool_calls_output(calls: &[ToolCall]) -> String {
    let calls = calls.iter().map(|call| {
        let function = Object::of([
            ("name", Value::text(&call.function.name)),
            ("arguments", Value::text(&call.function.arguments)),
        ]);
        Value::Object(Object::of([
            ("id", Value::text(&call.id)),
            ("type", Value::text(call.kind)),
            ("function", Value::Object(function)),
        ]))
    });
    dumps(&Value::List(calls.collect()))
}
