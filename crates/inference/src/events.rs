//! A job's answer as it comes, in the body of a response (`docs/formats/job.md`).

use crate::{failure::Failure, worker::JobError};
use axum::body::{Body, Bytes};
use futures::{StreamExt as _, future::BoxFuture, stream};
use og_types::{Canonical as _, JobEvent, JobResult, language::Piece};
use std::convert::Infallible;
use tokio::sync::mpsc;

/// The media type of a sequence of CBOR items (RFC 8742).
pub(crate) const CBOR_SEQUENCE: &str = "application/cbor-seq";

/// A job that runs while its events are asked for.
struct Running {
    /// `None` once it has ended.
    job: Option<BoxFuture<'static, Result<JobResult, JobError>>>,
    pieces: mpsc::Receiver<Piece>,
    result: Option<Result<JobResult, JobError>>,
}

/// The body that tells a job's events: it runs while it is read, and dropping it ends the job.
///
/// # Errors
/// The job's, if it fails before its first event: then the response can say so in its status.
pub(crate) async fn body(
    job: BoxFuture<'static, Result<JobResult, JobError>>,
    pieces: mpsc::Receiver<Piece>,
) -> Result<Body, JobError> {
    let mut running = Running {
        job: Some(job),
        pieces,
        result: None,
    };
    let first = running.next().await.transpose()?;
    let rest = stream::unfold(running, |mut running| async {
        let event = running.next().await?;
        let event = event.unwrap_or_else(|error| JobEvent::Failed(Failure::from(error).into()));
        Some((event, running))
    });
    let events = stream::iter(first).chain(rest);
    Ok(Body::from_stream(events.map(|event| {
        Ok::<_, Infallible>(Bytes::from(event.to_bytes()))
    })))
}

impl Running {
    /// The next event: all pieces, then the result. `None` after that.
    async fn next(&mut self) -> Option<Result<JobEvent, JobError>> {
        while let Some(job) = &mut self.job {
            tokio::select! {
                biased;
                Some(piece) = self.pieces.recv() => return Some(Ok(JobEvent::Piece(piece))),
                result = job => {
                    self.result = Some(result);
                    self.job = None;
                }
            }
        }
        // What came before the end and was not told yet: nothing is sent any more.
        if let Some(piece) = self.pieces.recv().await {
            return Some(Ok(JobEvent::Piece(piece)));
        }
        let result = self.result.take()?;
        Some(result.map(|result| JobEvent::Result(Box::new(result))))
    }
}
