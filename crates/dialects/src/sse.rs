//! Server-sent events, written and read (HTML Living Standard, section 9.2).

use serde_json::Value;

/// Most bytes of one event.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// The frame that ends a stream of OpenAI's API.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A frame with a JSON document. JSON has no line breaks of its own, so that one line is enough.
pub(crate) fn frame(document: &Value) -> String {
    format!("data: {document}\n\n")
}

/// A frame with a JSON document that says what kind of event it is; the frame says it too.
pub(crate) fn event(document: &Value) -> String {
    let kind = document.get("type").and_then(Value::as_str);
    format!("event: {}\ndata: {document}\n\n", kind.unwrap_or("message"))
}

/// What a stream says at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What kind of event it is; empty if the stream does not say.
    pub name: String,
    /// What it says, lines apart by line feeds.
    pub data: Vec<u8>,
}

/// An event is longer than [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_EVENT_BYTES} bytes")]
pub struct TooLong;

/// Reads a stream that comes in any pieces.
#[derive(Debug, Default)]
pub struct Reader {
    /// The line that has begun.
    line: Vec<u8>,
    /// The event that has begun.
    event: Event,
    /// Whether the last byte was a carriage return, so that a line feed belongs to it.
    returned: bool,
    /// Whether a line has ended; a mark of the byte order may stand before.
    begun: bool,
}

impl Reader {
    /// Takes what came, and gives the events that ended.
    ///
    /// # Errors
    /// [`TooLong`] on an event that is; nothing more can be read then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = vec![];
        for byte in bytes {
            let returned = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if returned => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => {
                    self.line.push(*byte);
                    if self.line.len() + self.event.data.len() > MAX_EVENT_BYTES {
                        return Err(TooLong);
                    }
                }
            }
        }
        Ok(events)
    }

    /// What the line means; the event, if it was an empty line.
    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let mut line = &line[..];
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            // Each line of data left a line feed behind it.
            return event.data.pop().map(|_| event);
        }
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.event.data.extend_from_slice(value);
                self.event.data.push(b'\n');
            }
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            // Comments, ids and times to wait say nothing of the answer.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parts: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = Reader::default();
        let events = parts.iter().flat_map(|part| reader.push(part).unwrap());
        events
            .map(|event| (event.name, String::from_utf8(event.data).unwrap()))
            .collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn lines_may_end_in_every_way() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = "\u{feff}: hello\nevent: a\ndata: one\ndata:two\n\nevent: b\n\ndata\n\nid: 3\ndata: [DONE]\n\ndata: cut";
            let stream = stream.replace('\n', end);
            let events = [event("a", "one\ntwo"), event("", ""), event("", "[DONE]")];
            assert_eq!(read(&[stream.as_bytes()]), events);
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = Reader::default();
        let line = b"data: 0123456789\n".repeat(1000);
        let refused = (0..200).any(|_| reader.push(&line) == Err(TooLong));
        assert!(refused);
        let line = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert_eq!(Reader::default().push(&line), Err(TooLong));
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_does_not_matter(
            stream in "(data: ?[a-z]{0,3}(\r|\n|\r\n)|event: x(\r|\n|\r\n)|(\r|\n|\r\n)){0,12}",
            cut in any::<prop::sample::Index>(),
        ) {
            let stream = stream.as_bytes();
            let (left, right) = stream.split_at(cut.index(stream.len() + 1));
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(read(&[left, right]), read(&[stream]));
            prop_assert_eq!(read(&bytes), read(&[stream]));
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = Reader::default().push(&bytes);
        }
    }
}
