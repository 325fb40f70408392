//! How requests get to a node: some each on a connection of its own, which is quicker, the others many on one.

use super::{PostError, lone::Lone};
use crate::{
    config::{MAX_IN_FLIGHT, MAX_LONE_REQUESTS},
    http::{Client, FetchError, post, read_bounded, shared_client},
};
use axum::body::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use og_http::{
    Lane, Lanes,
    traces::{self, PARENT_HEADER},
};
use tokio::sync::Semaphore;
use tracing::Span;

/// Bytes of a node's error that are read where an answer would be streamed.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What makes connections that requests share, to all nodes: one for each lane.
pub(super) struct Clients(Vec<Client>);

/// The ways to one node.
pub(super) struct Ways {
    lone: Lone,
    alone: Semaphore,
    lanes: Lanes,
}

/// An answer on its way, with its place among those of its connection.
pub(super) struct Begun<'a> {
    response: Response<Incoming>,
    _lane: Lane<'a>,
}

impl Clients {
    pub(super) fn new() -> Self {
        let lanes = Lanes::for_requests(MAX_IN_FLIGHT).count();
        Self((0..lanes).map(|_| shared_client()).collect())
    }
}

impl Ways {
    /// The ways to the node at this address.
    pub(super) fn new(address: &Uri) -> Self {
        Self {
            lone: Lone::new(address),
            alone: Semaphore::new(MAX_LONE_REQUESTS),
            lanes: Lanes::for_requests(MAX_IN_FLIGHT),
        }
    }

    /// Sends a request whose answer comes whole, in at most `maximum` bytes: on a connection of its own, unless too many have one.
    ///
    /// # Errors
    /// [`PostError`] if there is no answer, or it is no success.
    pub(super) async fn whole(
        &self,
        clients: &Clients,
        request: Request<Full<Bytes>>,
        maximum: usize,
    ) -> Result<Bytes, PostError> {
        let (status, body) = match self.alone.try_acquire() {
            Ok(_alone) => self.lone.ask(request, maximum).await?,
            Err(_) => self.begin(clients, request).await?.read(maximum).await?,
        };
        match status.is_success() {
            true => Ok(body),
            false => Err(PostError::from_answer(status, &body)),
        }
    }

    /// Sends a request that may take long, of which there may be thousands; its answer has begun, and is a success.
    ///
    /// # Errors
    /// [`PostError`] if there is no answer, or it is no success.
    pub(super) async fn streamed(
        &self,
        clients: &Clients,
        request: Request<Full<Bytes>>,
    ) -> Result<Begun<'_>, PostError> {
        let begun = self.begin(clients, request).await?;
        if begun.response.status().is_success() {
            return Ok(begun);
        }
        let (status, body) = begun.read(MAX_ERROR_BYTES).await?;
        Err(PostError::from_answer(status, &body))
    }

    async fn begin(
        &self,
        clients: &Clients,
        request: Request<Full<Bytes>>,
    ) -> Result<Begun<'_>, PostError> {
        let lane = self.lanes.take();
        let asked = clients.0[lane.number()].request(request).await;
        Ok(Begun {
            response: asked.map_err(FetchError::from)?,
            _lane: lane,
        })
    }
}

impl Begun<'_> {
    /// What comes of it.
    pub(super) fn body(&mut self) -> &mut Incoming {
        self.response.body_mut()
    }

    async fn read(self, maximum: usize) -> Result<(StatusCode, Bytes), PostError> {
        let status = self.response.status();
        Ok((status, read_bounded(self.response, maximum).await?))
    }
}

/// A request with CBOR in it, which belongs to the current span.
pub(super) fn request(address: &Uri, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = post(address, "application/cbor", body);
    if let Some(parent) = traces::header(&Span::current()) {
        request.headers_mut().insert(PARENT_HEADER, parent);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::post as handle};
    use hyper::Version;

    /// A node that answers with the version of HTTP by which it was asked.
    async fn node() -> Uri {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v1/jobs", listener.local_addr().unwrap());
        let said = async |version: Version| format!("{version:?}");
        let router = Router::new().route("/v1/jobs", handle(said));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address.parse().unwrap()
    }

    #[tokio::test]
    async fn requests_have_connections_of_their_own_until_there_are_too_many() {
        let node = node().await;
        let (clients, ways) = (Clients::new(), Ways::new(&node));
        let asked = async || {
            let answer = ways
                .whole(&clients, request(&node, Bytes::new()), 100)
                .await;
            answer.unwrap_or_else(|error| panic!("{}", error.reason()))
        };
        assert_eq!(asked().await, "HTTP/1.1");
        let many = u32::try_from(MAX_LONE_REQUESTS).unwrap();
        let all = ways.alone.acquire_many(many).await.unwrap();
        assert_eq!(asked().await, "HTTP/2.0");
        drop(all);
        assert_eq!(asked().await, "HTTP/1.1");
    }
}
