//! An answer in pieces: items, one after another, that begin, grow and end.

use super::{
    Echo,
    items::{Item, Status, name, part, response, with},
};
use crate::{ApiError, Fault, Head, Usage, document::put, openai::logprobs, sse};
use og_types::language::{Finish, Piece, PieceError};
use serde_json::{Map, Value, json};

/// Writes the events of one answer.
#[derive(Debug)]
pub struct Stream {
    head: Head,
    echo: Echo,
    /// The number of the next event.
    next: u64,
    /// Items so far; the last one is open if `open`.
    items: Vec<Item>,
    open: bool,
}

impl Stream {
    /// The answer to a request that says `echo`.
    pub const fn new(head: Head, echo: Echo) -> Self {
        Self {
            head,
            echo,
            next: 0,
            items: vec![],
            open: false,
        }
    }

    /// What came. How probable tokens were goes with the text that came beside it; of tokens that came beside no text, the last
    /// event says it.
    ///
    /// # Errors
    /// [`PieceError::NoCall`] on arguments where no call is open.
    pub fn pieces(&mut self, pieces: &[Piece]) -> Result<String, PieceError> {
        let mut frames = self.begin();
        let tokens = pieces.iter().filter_map(|piece| match piece {
            Piece::Logprobs(tokens) => Some(logprobs::list(tokens)),
            _ => None,
        });
        let mut tokens: Vec<Value> = tokens.flatten().collect();
        for piece in pieces {
            match piece {
                Piece::Text(text) => frames += &self.text(text, std::mem::take(&mut tokens)),
                Piece::Call { id, name } => frames += &self.call(id, name),
                Piece::Arguments(more) => frames += &self.arguments(more)?,
                Piece::Logprobs(_) => {}
            }
        }
        let mut messages = self.items.iter_mut().rev();
        if let Some(logprobs) = messages.find_map(Item::logprobs) {
            logprobs.append(&mut tokens);
        }
        Ok(frames)
    }

    /// The last events: the whole answer, with usage and `extra` fields.
    pub fn end(
        mut self,
        finish: Finish,
        usage: Option<Usage>,
        extra: Map<String, Value>,
    ) -> String {
        let mut frames = self.begin();
        if self.items.is_empty() {
            frames += &self.text("", vec![]);
        }
        let status = Status::Ended(finish);
        frames += &self.close(status.as_str());
        let answer = response(&self.head, &self.echo, &status, &self.items, usage);
        let kind = format!("response.{}", status.as_str());
        frames + &self.event(&kind, json!({"response": with(answer, extra)}))
    }

    /// The events that say that nothing more comes, and why.
    pub fn error(&mut self, error: &ApiError) -> String {
        let code = match error.fault {
            Fault::TooMany | Fault::Busy => "rate_limit_exceeded",
            _ => "server_error",
        };
        let error = json!({"code": code, "message": error.message});
        let status = Status::Failed(&error);
        let answer = response(&self.head, &self.echo, &status, &self.items, None);
        let begun = self.begin();
        begun + &self.event("response.failed", json!({"response": answer}))
    }

    /// The events that stand before all others.
    fn begin(&mut self) -> String {
        if self.next > 0 {
            return String::new();
        }
        let answer = response(&self.head, &self.echo, &Status::InProgress, &[], None);
        let created = self.event("response.created", json!({"response": answer}));
        created + &self.event("response.in_progress", json!({"response": answer}))
    }

    fn in_message(&self) -> bool {
        self.open && matches!(self.items.last(), Some(Item::Message { .. }))
    }

    fn text(&mut self, more: &str, tokens: Vec<Value>) -> String {
        let mut frames = String::new();
        if !self.in_message() {
            let id = name("msg", &self.head, self.items.len());
            let item = Item::Message {
                id,
                text: String::new(),
                logprobs: vec![],
            };
            frames += &self.open(item);
            let part = part("", &[]);
            frames += &self.of_item(
                "response.content_part.added",
                json!({"content_index": 0, "part": part}),
            );
        }
        let delta = json!({"content_index": 0, "delta": more, "logprobs": tokens});
        frames += &self.of_item("response.output_text.delta", delta);
        if let Some(Item::Message { text, logprobs, .. }) = self.items.last_mut() {
            text.push_str(more);
            logprobs.extend(tokens);
        }
        frames
    }

    fn call(&mut self, call_id: &str, called: &str) -> String {
        let id = name("fc", &self.head, self.items.len());
        self.open(Item::Call {
            id,
            call_id: call_id.to_owned(),
            name: called.to_owned(),
            arguments: String::new(),
        })
    }

    fn arguments(&mut self, more: &str) -> Result<String, PieceError> {
        match self.items.last_mut() {
            Some(Item::Call { arguments, .. }) if self.open => arguments.push_str(more),
            _ => return Err(PieceError::NoCall),
        }
        let delta = json!({"delta": more});
        Ok(self.of_item("response.function_call_arguments.delta", delta))
    }

    fn open(&mut self, item: Item) -> String {
        let closed = self.close("completed");
        let index = self.items.len();
        let item_document = item.document("in_progress");
        self.items.push(item);
        self.open = true;
        let added = json!({"output_index": index, "item": item_document});
        closed + &self.event("response.output_item.added", added)
    }

    /// Ends the open item, which is `completed` or `incomplete`.
    fn close(&mut self, status: &str) -> String {
        let Some(item) = self.items.last().filter(|_| self.open) else {
            return String::new();
        };
        let done = item.document(status);
        let whole = match item {
            Item::Message { text, logprobs, .. } => {
                let text_done = json!({"content_index": 0, "text": text, "logprobs": logprobs});
                let part_done = json!({"content_index": 0, "part": part(text, logprobs)});
                vec![
                    ("response.output_text.done", text_done),
                    ("response.content_part.done", part_done),
                ]
            }
            Item::Call {
                name, arguments, ..
            } => {
                let all = json!({"name": name, "arguments": arguments});
                vec![("response.function_call_arguments.done", all)]
            }
        };
        let whole = whole.into_iter();
        let mut frames: String = whole
            .map(|(kind, fields)| self.of_item(kind, fields))
            .collect();
        self.open = false;
        let index = self.items.len() - 1;
        frames += &self.event(
            "response.output_item.done",
            json!({"output_index": index, "item": done}),
        );
        frames
    }

    /// An event that belongs to the last item.
    fn of_item(&mut self, kind: &str, mut fields: Value) -> String {
        let id = self.items.last().map(|item| item.id().to_owned());
        put(&mut fields, "item_id", id);
        put(
            &mut fields,
            "output_index",
            self.items.len().saturating_sub(1),
        );
        self.event(kind, fields)
    }

    fn event(&mut self, kind: &str, mut fields: Value) -> String {
        put(&mut fields, "type", kind);
        put(&mut fields, "sequence_number", self.next);
        self.next += 1;
        sse::event(&fields)
    }
}
