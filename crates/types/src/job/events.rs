//! A job's answer as it comes: pieces, then the result or why there is none, as a sequence of CBOR items (RFC 8742).

mod boundary;

use super::JobResult;
use crate::{
    cbor::{Canonical, DecodeError, Field, Writer, read_array, write_array},
    language::{Alternative, Logprob, MAX_LOGPROBS, Piece},
    limits::{MAX_PAYLOAD_BYTES, MAX_RECEIPT_BYTES},
};
use alloy_primitives::Bytes;
use boundary::Boundary;
use minicbor::Decoder;

/// Most bytes of all events of one job: pieces are a few times as long as the result that they add up to.
pub const MAX_JOB_EVENTS_BYTES: usize = 4 * MAX_RECEIPT_BYTES;
/// Bytes of a call's or a tool's name, of a failure's code, and of the name of its input.
const MAX_NAME_BYTES: usize = 1024;
/// Bytes of a failure's message.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Bytes of one token.
const MAX_TOKEN_BYTES: usize = 4096;
/// Tokens whose probabilities one event holds.
const MAX_TOKENS: usize = 4096;

/// Why a job has no result, in words that HTTP errors have too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// What is at fault: `bad_input`, `model_failed` …
    pub code: String,
    /// What to do about it.
    pub message: String,
    /// The input at fault, if it is one, as in [`Refusal::input`](crate::Refusal::input).
    pub input: Option<String>,
}

canonical_struct!(JobFailure, max_bytes = 2 * MAX_NAME_BYTES + MAX_MESSAGE_BYTES + 16, {
    code <= MAX_NAME_BYTES,
    message <= MAX_MESSAGE_BYTES,
    input <= MAX_NAME_BYTES,
});

impl JobFailure {
    /// A failure; what is too long is cut.
    pub fn new(code: &str, message: &str, input: Option<&str>) -> Self {
        let cut = |text: &str, most| text.split_at(text.floor_char_boundary(most)).0.to_owned();
        Self {
            code: code.to_owned(),
            message: cut(message, MAX_MESSAGE_BYTES),
            input: input.map(|input| cut(input, MAX_NAME_BYTES)),
        }
    }
}

/// What comes of a job, in this order: any number of pieces, then one of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// A piece of a language model's answer.
    Piece(Piece),
    /// The whole, signed.
    Result(Box<JobResult>),
    /// There is none.
    Failed(JobFailure),
}

impl JobEvent {
    /// Whether nothing comes after it.
    pub const fn is_last(&self) -> bool {
        !matches!(self, Self::Piece(_))
    }
}

/// The number that an event of a kind begins with.
mod kind {
    pub(super) const TEXT: u8 = 0;
    pub(super) const CALL: u8 = 1;
    pub(super) const ARGUMENTS: u8 = 2;
    pub(super) const LOGPROBS: u8 = 3;
    pub(super) const RESULT: u8 = 4;
    pub(super) const FAILED: u8 = 5;
}

impl Canonical for JobEvent {
    const MAX_BYTES: usize = MAX_RECEIPT_BYTES + 16;

    fn write(&self, writer: &mut Writer) {
        let mut begin = |length, kind: u8| {
            write_array(writer, length);
            kind.write_field(writer);
        };
        match self {
            Self::Piece(Piece::Text(text)) => {
                begin(2, kind::TEXT);
                text.write_field(writer);
            }
            Self::Piece(Piece::Call { id, name }) => {
                begin(3, kind::CALL);
                id.write_field(writer);
                name.write_field(writer);
            }
            Self::Piece(Piece::Arguments(text)) => {
                begin(2, kind::ARGUMENTS);
                text.write_field(writer);
            }
            Self::Piece(Piece::Logprobs(tokens)) => {
                begin(2, kind::LOGPROBS);
                tokens.write_field(writer);
            }
            Self::Result(result) => {
                begin(2, kind::RESULT);
                result.write(writer);
            }
            Self::Failed(failure) => {
                begin(2, kind::FAILED);
                failure.write(writer);
            }
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        // The kind says how many items there are; both are one byte.
        let kind = decoder.input().get(decoder.position().saturating_add(1));
        read_array(decoder, if kind == Some(&kind::CALL) { 3 } else { 2 })?;
        match u8::read_field(decoder, usize::MAX).map_err(|error| error.within("kind"))? {
            kind::TEXT => Ok(Self::Piece(Piece::Text(text(decoder, "text")?))),
            kind::CALL => Ok(Self::Piece(Piece::Call {
                id: name(decoder, "id")?,
                name: name(decoder, "name")?,
            })),
            kind::ARGUMENTS => Ok(Self::Piece(Piece::Arguments(text(decoder, "arguments")?))),
            kind::LOGPROBS => {
                let tokens = Vec::read_field(decoder, MAX_TOKENS);
                let tokens = tokens.map_err(|error| error.within("logprobs"))?;
                Ok(Self::Piece(Piece::Logprobs(tokens)))
            }
            kind::RESULT => {
                let result = JobResult::read(decoder).map_err(|error| error.within("result"))?;
                Ok(Self::Result(Box::new(result)))
            }
            kind::FAILED => {
                let failure = JobFailure::read(decoder).map_err(|error| error.within("failed"))?;
                Ok(Self::Failed(failure))
            }
            other => Err(DecodeError::value(format!("no event has kind {other}"))),
        }
    }
}

fn text(decoder: &mut Decoder<'_>, field: &str) -> Result<String, DecodeError> {
    String::read_field(decoder, MAX_PAYLOAD_BYTES).map_err(|error| error.within(field))
}

fn name(decoder: &mut Decoder<'_>, field: &str) -> Result<String, DecodeError> {
    String::read_field(decoder, MAX_NAME_BYTES).map_err(|error| error.within(field))
}

impl Field for Alternative {
    fn write_field(&self, writer: &mut Writer) {
        write_array(writer, 2);
        crate::cbor::write_bytes(writer, &self.bytes);
        self.logprob.write_field(writer);
    }

    fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
        read_array(decoder, 2)?;
        let bytes = Bytes::read_field(decoder, MAX_TOKEN_BYTES);
        let logprob = |decoder: &mut _| i64::read_field(decoder, usize::MAX);
        Ok(Self {
            bytes: bytes.map_err(|error| error.within("bytes"))?.to_vec(),
            logprob: logprob(decoder).map_err(|error| error.within("logprob"))?,
        })
    }
}

impl Field for Logprob {
    fn write_field(&self, writer: &mut Writer) {
        write_array(writer, 2);
        self.chosen.write_field(writer);
        self.top.write_field(writer);
    }

    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
        read_array(decoder, 2)?;
        let chosen = Alternative::read_field(decoder, maximum);
        let chosen = chosen.map_err(|error| error.within("chosen"))?;
        let most = usize::try_from(MAX_LOGPROBS).unwrap_or(usize::MAX);
        let top = Vec::read_field(decoder, most).map_err(|error| error.within("top"))?;
        Ok(Self { chosen, top })
    }
}

/// Reads a job's events from bytes as they arrive, in whatever portions. It holds no more than one event and the portion
/// that was given last.
#[derive(Debug, Default)]
pub struct JobEvents {
    /// Bytes that are not read yet, behind some that are.
    buffer: Vec<u8>,
    /// Bytes of the buffer that are read.
    read: usize,
    boundary: Boundary,
    /// Bytes that came, of all events.
    total: usize,
    ended: bool,
}

impl JobEvents {
    /// Takes the next bytes. [`Self::next_event`] is to be asked until it has no more before the next ones are given.
    ///
    /// # Errors
    /// [`DecodeError`] if more come than a job may have, or any come after the last event.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > MAX_JOB_EVENTS_BYTES {
            return Err(DecodeError::TooLong {
                length: self.total,
                maximum: MAX_JOB_EVENTS_BYTES,
            });
        }
        if self.ended && !bytes.is_empty() {
            return Err(DecodeError::value("bytes follow the last event"));
        }
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next event, if it is there as a whole.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no event, or something follows the last one.
    pub fn next_event(&mut self) -> Result<Option<JobEvent>, DecodeError> {
        let unread = self.buffer.get(self.read..).unwrap_or(&[]);
        if self.ended {
            let nothing = unread.is_empty().then_some(None);
            return nothing.ok_or_else(|| DecodeError::value("bytes follow the last event"));
        }
        let Some(length) = self.boundary.find(unread, JobEvent::MAX_BYTES)? else {
            return Ok(None);
        };
        let event = JobEvent::from_bytes(unread.get(..length).unwrap_or(&[]))?;
        self.boundary = Boundary::default();
        self.read = self.read.saturating_add(length);
        self.ended = event.is_last();
        Ok(Some(event))
    }

    /// Whether the last event was read: bytes that end before it were cut off.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests;
