//! Server-sent events: how streams are cut into frames.

use serde_json::Value;

/// The frame that ends a stream of OpenAI's API.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A frame with a JSON document. JSON has no line breaks of its own, so that one line is enough.
pub(crate) fn frame(document: &Value) -> String {
    format!("data: {document}\n\n")
}
