//! The frames of chat's and completions' streams: what all of them repeat, and how they end.

use super::{Style, settings};
use crate::{
    Head, Usage,
    document::{extend, put},
    sse::{DONE, frame},
};
use serde_json::{Map, Value, json};

/// What the frames of one answer have in common.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) head: Head,
    /// What a document says that it is.
    pub(super) object: &'static str,
    pub(super) style: Style,
    /// Whether the client asked for usage.
    pub(super) include_usage: bool,
}

impl Frames {
    /// A frame with these choices.
    pub(super) fn choices(&self, choices: Vec<Value>) -> String {
        frame(&self.document(choices, None))
    }

    /// The last frames, one choice in each of `ends`: `extra` fields stand in the very last one, before the mark of the end.
    pub(super) fn end(
        &self,
        ends: Vec<Value>,
        usage: Option<Usage>,
        extra: Map<String, Value>,
    ) -> String {
        let usage = usage.map(settings::usage);
        let mut documents: Vec<Value> = match self.style {
            Style::OpenGradient => vec![self.document(ends, usage)],
            Style::OpenAi => {
                let ends = ends.into_iter();
                let ends = ends.map(|end| self.document(vec![end], None));
                let last = self.include_usage.then(|| self.document(vec![], usage));
                ends.chain(last).collect()
            }
        };
        if let Some(last) = documents.last_mut() {
            extend(last, extra);
        }
        let frames = documents.iter().map(frame);
        frames.chain([DONE.to_owned()]).collect()
    }

    fn document(&self, choices: Vec<Value>, usage: Option<Value>) -> Value {
        let mut document = json!({
            "id": self.head.id,
            "object": self.object,
            "created": self.head.created,
            "model": self.head.model,
            "choices": choices,
        });
        // Who asks for usage gets the field in every frame, empty in all but the last.
        let stated = self.include_usage && self.style == Style::OpenAi;
        if usage.is_some() || stated {
            put(&mut document, "usage", usage.unwrap_or_default());
        }
        document
    }
}
