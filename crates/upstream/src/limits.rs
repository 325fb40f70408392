//! How long and how large things may be.

use og_types::limits::MAX_PAYLOAD_BYTES;
use std::time::Duration;

/// Bounds of what a service may take, and when a server that fails is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long a streamed answer may take to begin. One that comes whole has until [`Limits::total`].
    pub first_byte: Duration,
    /// How long a streamed answer may pause.
    pub silence: Duration,
    /// How long a question may take, with all that are asked.
    pub total: Duration,
    /// Most bytes of an answer: of its JSON if it comes whole, of what was said if it is streamed.
    pub answer_bytes: usize,
    /// Most bytes of the JSON of vectors.
    pub vectors_bytes: usize,
    /// Most bytes of a stream.
    pub stream_bytes: usize,
    /// How long a server that fails is left alone at first; twice as long each further time.
    pub first_pause: Duration,
    /// How long a server is left alone at most.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            // Prompts of a hundred thousand tokens are read for a minute.
            first_byte: Duration::from_secs(120),
            silence: Duration::from_secs(60),
            total: Duration::from_secs(600),
            // What is passed on of it fits a response.
            answer_bytes: MAX_PAYLOAD_BYTES / 2,
            // About 12 characters for each number of a response that is full.
            vectors_bytes: 3 * MAX_PAYLOAD_BYTES,
            // The longest answer, in frames of 250 bytes for each token.
            stream_bytes: 32 << 20,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}
