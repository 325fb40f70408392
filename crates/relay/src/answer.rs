//! A gateway's answer on its way to the client: as it comes, within bounds, and without what is
//! meant for the relay.

use crate::{
    config::{ANSWER_TIMEOUT, MAX_ANSWER_BYTES, MAX_ERROR_BYTES},
    error::Failure,
};
use alloy_primitives::B256;
use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use og_http::Share;
use og_opengradient::ohttp::{
    BillingFilter, CHUNKED_RESPONSE_MEDIA_TYPE, OhttpError, RESPONSE_MEDIA_TYPE,
};
use tokio::time::timeout;
use tracing::warn;

/// Why an answer ends before its end. The client notices: its connection is cut.
#[derive(Debug, thiserror::Error)]
enum CutShort {
    #[error("it paused for more than {} s", ANSWER_TIMEOUT.as_secs())]
    Pause,
    #[error("it is longer than {MAX_ANSWER_BYTES} bytes")]
    Length,
    #[error("it is no sealed stream")]
    Malformed(#[from] OhttpError),
    #[error("the gateway broke off: {0}")]
    Broken(#[from] hyper::Error),
}

/// The answer for the client. `place` is the request's among those in progress, and is kept until
/// the answer has been sent.
pub(crate) async fn pass_on(
    tee_id: B256,
    answer: Response<Incoming>,
    place: Share,
) -> Result<Response<Body>, Failure> {
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next());
    let status = answer.status();
    let (media_type, filter) = match media_type.map(str::trim) {
        _ if !status.is_success() => return refusal(answer).await,
        Some(RESPONSE_MEDIA_TYPE) => (RESPONSE_MEDIA_TYPE, None),
        Some(CHUNKED_RESPONSE_MEDIA_TYPE) => {
            (CHUNKED_RESPONSE_MEDIA_TYPE, Some(BillingFilter::default()))
        }
        _ => {
            warn!(%tee_id, "a gateway's answer is not sealed");
            return Err(Failure::gateway("the gateway's answer is not sealed"));
        }
    };
    let passing = Passing {
        tee_id,
        body: answer.into_body(),
        filter,
        bytes_left: MAX_ANSWER_BYTES,
        _place: place,
    };
    let parts = stream::try_unfold(passing, |mut passing| async move {
        match passing.next().await {
            Ok(part) => Ok(part.map(|part| (part, passing))),
            Err(error) => {
                warn!(tee_id = %passing.tee_id, %error, "a gateway's answer is cut short");
                Err(error)
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Passing {
    tee_id: B256,
    body: Incoming,
    filter: Option<BillingFilter>,
    bytes_left: usize,
    _place: Share,
}

impl Passing {
    /// The next part, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, CutShort> {
        loop {
            let frame = timeout(ANSWER_TIMEOUT, self.body.frame());
            let Some(frame) = frame.await.map_err(|_| CutShort::Pause)? else {
                return Ok(None);
            };
            // Trailers end here.
            let Ok(part) = frame?.into_data() else {
                continue;
            };
            let left = self.bytes_left.checked_sub(part.len());
            self.bytes_left = left.ok_or(CutShort::Length)?;
            let part = match &mut self.filter {
                Some(filter) => filter.push(&part)?.into(),
                None => part,
            };
            if !part.is_empty() {
                return Ok(Some(part));
            }
        }
    }
}

/// What a gateway says that did not open the request, or cannot take it: not sealed, so that the
/// relay can act on it.
async fn refusal(answer: Response<Incoming>) -> Result<Response<Body>, Failure> {
    let status = answer.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Err(Failure::gateway("the gateway's answer is not sealed"));
    }
    let headers = answer.headers();
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/") && value.contains("json"));
    let retry_after = headers.get(header::RETRY_AFTER).cloned();
    let body = Limited::new(answer.into_body(), MAX_ERROR_BYTES).collect();
    let body = match timeout(ANSWER_TIMEOUT, body).await {
        Ok(Ok(body)) if is_json => body.to_bytes(),
        _ => {
            let reason = format!("the gateway refuses the request with status {status}");
            return Err(Failure::new(status, reason));
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if let Some(retry_after) = retry_after {
        headers.insert(header::RETRY_AFTER, retry_after);
    }
    Ok(response)
}
