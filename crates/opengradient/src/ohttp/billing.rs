//! What a relay takes out of a stream: the frame in which some gateways tell it the price.

use super::{OhttpError, RESPONSE_NONCE_BYTES, TAG_BYTES, frames};

/// Longest content of a billing frame, in bytes.
pub const MAX_BILLING_BYTES: usize = 4 * 1024;
/// What a billing frame begins with. Its first byte would be the length of a chunk that is shorter
/// than any can be, so the two are never confused.
const MARKER: &[u8] = b"\n--opengradient-ohttp-billing-v1--\n";
/// Length of the length behind the marker, in bytes.
const LENGTH_BYTES: usize = 4;

/// Passes a sealed stream on as it comes, without the billing frame. It needs no key, and keeps a few
/// bytes at most.
#[derive(Debug)]
pub struct BillingFilter {
    state: State,
    /// What came of a frame whose kind or length is not known yet.
    head: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// So many bytes belong to what is passed on.
    Passing(u64),
    /// So many bytes belong to a billing frame.
    Dropping(usize),
    /// A frame begins.
    Boundary,
    /// The last chunk has begun.
    Final,
}

impl Default for BillingFilter {
    fn default() -> Self {
        Self {
            state: State::Passing(RESPONSE_NONCE_BYTES as u64),
            head: Vec::new(),
        }
    }
}

impl BillingFilter {
    /// Takes bytes as they come, and gives those to pass on.
    ///
    /// # Errors
    /// [`OhttpError::Malformed`] if it is no such stream.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, OhttpError> {
        let mut passed = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Passing(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (now, rest) = bytes.split_at(most.min(bytes.len()));
                    passed.extend_from_slice(now);
                    *left = left.saturating_sub(now.len() as u64);
                    if *left == 0 {
                        self.state = State::Boundary;
                    }
                    rest
                }
                State::Dropping(left) => {
                    let (now, rest) = bytes.split_at((*left).min(bytes.len()));
                    *left = left.saturating_sub(now.len());
                    if *left == 0 {
                        self.state = State::Boundary;
                    }
                    rest
                }
                State::Boundary => self.head(bytes, &mut passed)?,
                State::Final => {
                    passed.extend_from_slice(bytes);
                    &[]
                }
            };
        }
        Ok(passed)
    }

    /// Takes the next byte of a frame's head, and does what it says when it is complete.
    fn head<'a>(&mut self, bytes: &'a [u8], passed: &mut Vec<u8>) -> Result<&'a [u8], OhttpError> {
        let Some((byte, rest)) = bytes.split_first() else {
            return Ok(bytes);
        };
        self.head.push(*byte);
        if self.head.starts_with(MARKER.get(..1).unwrap_or_default()) {
            self.billing_head()?;
        } else if let Some((length, _)) = frames::read_varint(&self.head) {
            self.state = match length {
                0 => State::Final,
                length if length > TAG_BYTES as u64 => State::Passing(length),
                _ => return Err(OhttpError::Malformed),
            };
            passed.append(&mut self.head);
        }
        Ok(rest)
    }

    fn billing_head(&mut self) -> Result<(), OhttpError> {
        let marker = self.head.len().min(MARKER.len());
        if self.head.get(..marker) != MARKER.get(..marker) {
            return Err(OhttpError::Malformed);
        }
        let length = self.head.get(MARKER.len()..).unwrap_or_default();
        if let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(length) {
            let length = u32::from_be_bytes(length) as usize;
            if length > MAX_BILLING_BYTES {
                return Err(OhttpError::Malformed);
            }
            self.head.clear();
            self.state = match length {
                0 => State::Boundary,
                length => State::Dropping(length),
            };
        }
        Ok(())
    }
}
