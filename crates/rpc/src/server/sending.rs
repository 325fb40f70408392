//! Answers on their way: their bytes are bounded together, however slowly clients read.

use super::{access::Client, refusal};
use crate::error::CODE_LIMIT_EXCEEDED;
use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use jsonrpsee::types::Id;
use og_http::{Share, Shares};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// KiB of long answers that are being sent at a time, and those to one client.
const SENDING_KIB: (usize, usize) = (256 * 1024, 128 * 1024);
/// Bytes of an answer that is short: the number of connections bounds these. Also how much of a
/// long one is handed over at a time.
const SHORT_BYTES: usize = 64 * 1024;
/// What a client is told that reads its answers more slowly than it asks.
pub(super) const UNREAD: &str = "limit exceeded: too many long answers are waiting to be read; read those you asked for, or ask for less";

/// The answers that are being sent.
#[derive(Debug)]
pub(super) struct Sending(Shares);

impl Default for Sending {
    fn default() -> Self {
        Self(Shares::new(SENDING_KIB.0, SENDING_KIB.1))
    }
}

/// Room for an answer, until it is sent.
#[derive(Debug)]
pub(super) struct Room {
    _share: Option<Share>,
}

impl Sending {
    /// Room for an answer of `bytes`, or `None` if `client` or all have too much to read already.
    pub(super) fn room(&self, client: Client, bytes: usize) -> Option<Room> {
        if bytes <= SHORT_BYTES {
            return Some(Room { _share: None });
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).ok()?;
        self.0.try_take(client.0, kib).map(|share| Room {
            _share: Some(share),
        })
    }

    /// The response, if there is room for it until the client has read it.
    pub(super) fn bound(&self, client: Client, response: Response<Bytes>) -> Response {
        match self.room(client, response.body().len()) {
            Some(room) => response.map(|bytes| Body::new(Held { bytes, _room: room })),
            None => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                refusal(status, Id::Null, CODE_LIMIT_EXCEEDED, UNREAD).map(Body::from)
            }
        }
    }
}

/// A body that keeps its room until its last part is handed over.
struct Held {
    bytes: Bytes,
    _room: Room,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.bytes.len().min(SHORT_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests;
