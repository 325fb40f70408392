//! Text as its tokens arrive: complete characters only, nothing that a stop string may yet take back.

#[cfg(test)]
mod tests;

use crate::tokenizer::{DecodeState, Tokenizer};
use std::sync::Arc;

/// Stop strings of one request.
const MAX_STOPS: usize = 16;
/// Bytes of one stop string.
const MAX_STOP_BYTES: usize = 1024;

/// Why a stream cannot be begun.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Too many stop strings.
    #[error("{0} stop strings; at most {MAX_STOPS} are allowed")]
    TooManyStops(usize),
    /// A stop string of a wrong length.
    #[error("a stop string of {0} bytes; it must have 1 to {MAX_STOP_BYTES}")]
    StopLength(usize),
}

/// Where a streamed text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStart {
    /// It is a text of its own: a space that the tokenizer puts in front of every text is dropped.
    Beginning,
    /// It goes on after a text (a prompt): that space belongs to it.
    Continuation,
}

/// What a token added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Text to hand out now.
    pub text: String,
    /// The index of the stop string that has ended the text, if one has.
    pub stopped: Option<usize>,
}

/// An answer being decoded. The texts that it gives, joined, are the decoded answer up to the first stop string:
/// the one that is complete first, and of those that end together the longest.
#[derive(Debug)]
pub struct Stream {
    tokenizer: Arc<Tokenizer>,
    state: DecodeState,
    stops: Vec<String>,
    /// Special tokens that appear all the same.
    shown: Vec<u32>,
    /// Bytes that do not yet make a character.
    bytes: Vec<u8>,
    /// Text that may be the beginning of a stop string.
    held: String,
    stopped: Option<usize>,
}

impl Stream {
    /// Begins a text. Special tokens do not appear in it.
    ///
    /// # Errors
    /// If there are too many stop strings, or one is empty or too long.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        start: StreamStart,
        stops: &[String],
    ) -> Result<Self, StreamError> {
        if stops.len() > MAX_STOPS {
            return Err(StreamError::TooManyStops(stops.len()));
        }
        if let Some(stop) = stops
            .iter()
            .find(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES)
        {
            return Err(StreamError::StopLength(stop.len()));
        }
        let state = match start {
            StreamStart::Beginning => DecodeState::BEGINNING,
            StreamStart::Continuation => DecodeState::CONTINUATION,
        };
        let stops = stops.to_vec();
        Ok(Self {
            tokenizer,
            state,
            stops,
            shown: Vec::new(),
            bytes: Vec::new(),
            held: String::new(),
            stopped: None,
        })
    }

    /// The same, with some special tokens as the vocabulary spells them.
    #[must_use]
    pub fn showing(mut self, special: &[u32]) -> Self {
        self.shown = special.to_vec();
        self
    }

    /// Adds a token. After a stop string nothing is added any more.
    pub fn push(&mut self, id: u32) -> Progress {
        if self.stopped.is_none() {
            let tokenizer = Arc::clone(&self.tokenizer);
            let hidden = !self.shown.contains(&id);
            tokenizer.decode_one(&mut self.state, id, hidden, &mut self.bytes);
            self.take_characters(false);
        }
        self.progress(false)
    }

    /// Ends the text: gives what was held back; bytes that never made a character become U+FFFD.
    pub fn finish(&mut self) -> Progress {
        if self.stopped.is_none() {
            self.take_characters(true);
        }
        self.progress(true)
    }

    /// Moves complete characters from the bytes to the text, with U+FFFD for what cannot become one.
    fn take_characters(&mut self, last: bool) {
        let mut taken = 0;
        let mut rest = &self.bytes[..];
        while let Err(error) = std::str::from_utf8(rest) {
            let broken = match error.error_len() {
                Some(length) => length,
                None if last => rest.len() - error.valid_up_to(),
                None => 0,
            };
            let end = error.valid_up_to() + broken;
            taken += end;
            rest = &rest[end..];
            if broken == 0 {
                break;
            }
        }
        if std::str::from_utf8(rest).is_ok() {
            taken += rest.len();
        }
        self.held
            .push_str(&String::from_utf8_lossy(&self.bytes[..taken]));
        self.bytes.drain(..taken);
    }

    fn progress(&mut self, last: bool) -> Progress {
        if self.stopped.is_some() {
            return Progress {
                text: String::new(),
                stopped: self.stopped,
            };
        }
        let found = self.stops.iter().enumerate().filter_map(|(index, stop)| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start, index))
        });
        if let Some((_, start, index)) = found.min() {
            self.stopped = Some(index);
            self.held.truncate(start);
            return Progress {
                text: std::mem::take(&mut self.held),
                stopped: self.stopped,
            };
        }
        let keep = if last { 0 } else { self.possible_stop() };
        let rest = self.held.split_off(self.held.len() - keep);
        Progress {
            text: std::mem::replace(&mut self.held, rest),
            stopped: None,
        }
    }

    /// The length of the longest end of the held text that a stop string begins with.
    fn possible_stop(&self) -> usize {
        let held = self.held.as_bytes();
        let begins = |stop: &String, length: usize| held.ends_with(&stop.as_bytes()[..length]);
        let of = |stop: &String| {
            let most = held.len().min(stop.len() - 1);
            (1..=most)
                .rev()
                .find(|&length| stop.is_char_boundary(length) && begins(stop, length))
        };
        self.stops.iter().filter_map(of).max().unwrap_or(0)
    }
}
