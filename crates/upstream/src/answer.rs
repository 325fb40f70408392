//! Reads one server's answer: bounded in size and time, its pieces handed on as they come.

use crate::{AskError, Limits, error::Failure, error::Fault};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Response, body::Incoming};
use og_dialects::{
    openai::embeddings::{self, Embedded},
    upstream::{Answered, Service},
};
use og_types::language::{Piece, Said};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Most bytes that are read of what a server says went wrong.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// Whoever asked.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// Where pieces go, if they are wanted.
    pub(crate) pieces: Option<&'a mpsc::Sender<Piece>>,
    /// Whether a piece was handed on: no other server can answer then.
    pub(crate) begun: bool,
    /// When the answer must be there.
    pub(crate) deadline: Instant,
}

impl Reader<'_> {
    /// Hands on a piece, and waits for a reader who is slow. One who has gone misses it.
    async fn send(&mut self, piece: Piece) -> Result<(), Failure> {
        self.begun = true;
        let Some(pieces) = self.pieces else {
            return Ok(());
        };
        let sent = timeout_at(self.deadline, pieces.send(piece)).await;
        sent.map(drop).map_err(|_| Failure {
            error: AskError::Failed("the answer was not read before its time was over".to_owned()),
            fault: None,
        })
    }

    /// The moment after `pause`, at most the deadline.
    pub(crate) fn within(&self, pause: Duration) -> Instant {
        (Instant::now() + pause).min(self.deadline)
    }
}

/// What a server's bytes are read with. Errors begin with `host`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) service: Service,
    pub(crate) host: &'a str,
    pub(crate) limits: &'a Limits,
}

impl Reading<'_> {
    /// An answer that comes whole.
    pub(crate) async fn whole(
        &self,
        response: Response<Incoming>,
        reader: &Reader<'_>,
    ) -> Result<Answered, Failure> {
        let body = self
            .body(response, reader, self.limits.answer_bytes)
            .await?;
        let answered = self.service.read(&body);
        answered.map_err(|error| self.unusable(&error.to_string()))
    }

    /// Vectors for so many texts.
    pub(crate) async fn vectors(
        &self,
        response: Response<Incoming>,
        reader: &Reader<'_>,
        texts: usize,
    ) -> Result<Embedded, Failure> {
        let body = self
            .body(response, reader, self.limits.vectors_bytes)
            .await?;
        let vectors = embeddings::read(&body, texts);
        vectors.map_err(|error| self.unusable(&error.to_string()))
    }

    /// All bytes of an answer, at most `most`.
    async fn body(
        &self,
        response: Response<Incoming>,
        reader: &Reader<'_>,
        most: usize,
    ) -> Result<Vec<u8>, Failure> {
        let mut response = response.into_body();
        let mut body = vec![];
        while let Some(chunk) = self.chunk(&mut response, reader.deadline).await? {
            if body.len() + chunk.len() > most {
                return Err(self.too_long(most));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// An answer that comes in pieces.
    pub(crate) async fn stream(
        &self,
        response: Response<Incoming>,
        reader: &mut Reader<'_>,
    ) -> Result<Answered, Failure> {
        let mut response = response.into_body();
        let mut stream = self.service.stream();
        let mut said = Said::empty();
        let (mut received, mut kept) = (0, 0);
        let unusable = |error: &dyn std::error::Error| self.unusable(&error.to_string());
        loop {
            let until = reader.within(self.limits.silence);
            let Some(chunk) = self.chunk(&mut response, until).await? else {
                break;
            };
            received += chunk.len();
            if received > self.limits.stream_bytes {
                return Err(self.too_long(self.limits.stream_bytes));
            }
            for piece in stream.push(&chunk).map_err(|error| unusable(&error))? {
                kept += size(&piece);
                if kept > self.limits.answer_bytes {
                    return Err(self.too_long(self.limits.answer_bytes));
                }
                said.add(&piece).map_err(|error| unusable(&error))?;
                reader.send(piece).await?;
            }
        }
        let ended = stream.end().map_err(|error| unusable(&error))?;
        said.finish = ended.finish;
        Ok(Answered {
            said,
            report: ended.report,
        })
    }

    /// What a server says that answers with another status than 200; as much of it as comes.
    pub(crate) async fn refusal(
        &self,
        response: Response<Incoming>,
        reader: &Reader<'_>,
    ) -> Vec<u8> {
        let until = reader.within(self.limits.silence);
        let mut response = response.into_body();
        let mut body = vec![];
        while let Ok(Some(chunk)) = self.chunk(&mut response, until).await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_REFUSAL_BYTES {
                break;
            }
        }
        body
    }

    /// The next bytes of an answer, until `until`; `None` after the last.
    async fn chunk(&self, body: &mut Incoming, until: Instant) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout_at(until, body.frame()).await;
            let frame =
                frame.map_err(|_| self.failed("fell silent before its answer was complete"))?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(self.failed("broke its answer off")),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The server failed in a way that has words of ours.
    pub(crate) fn failed(&self, what: &str) -> Failure {
        Failure {
            error: AskError::Failed(format!("{} {what}", self.host)),
            fault: Some(Fault::new(what)),
        }
    }

    /// The server's answer is of no use; `why` may be in its words.
    fn unusable(&self, why: &str) -> Failure {
        Failure {
            error: AskError::Failed(format!("{}: {why}", self.host)),
            fault: Some(Fault::new("gave an answer that cannot be used")),
        }
    }

    fn too_long(&self, most: usize) -> Failure {
        self.failed(&format!("gave more than the {most} bytes that are read"))
    }
}

/// About how many bytes a piece takes.
fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Text(text) | Piece::Arguments(text) => text.len(),
        Piece::Call { id, name } => id.len() + name.len(),
        Piece::Logprobs(tokens) => {
            let token = |token: &og_types::language::Logprob| 32 * (1 + token.top.len());
            tokens.iter().map(token).sum()
        }
    }
}
