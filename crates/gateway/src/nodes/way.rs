//! How requests get to a node: some each on a connection of its own, which is quicker, the others many on one.

use super::PostError;
use crate::{
    config::{MAX_IN_FLIGHT, MAX_LONE_REQUESTS},
    http::{Client, FetchError, client, post, shared_client},
};
use axum::body::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, Uri, body::Incoming};
use og_http::{
    Lane, Lanes,
    traces::{self, PARENT_HEADER},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Span;

/// What makes connections to all nodes.
pub(super) struct Clients {
    alone: Client,
    /// One for each connection that requests to one node may share.
    shared: Vec<Client>,
}

/// How many requests go to one node at present.
pub(super) struct Traffic {
    alone: Semaphore,
    lanes: Lanes,
}

/// A request's way to its node, to be held until the answer was read.
pub(super) struct Way<'a> {
    client: &'a Client,
    _alone: Option<SemaphorePermit<'a>>,
    _lane: Option<Lane<'a>>,
}

impl Clients {
    pub(super) fn new() -> Self {
        let lanes = Lanes::for_requests(MAX_IN_FLIGHT).count();
        Self {
            alone: client(),
            shared: (0..lanes).map(|_| shared_client()).collect(),
        }
    }

    /// For a request whose answer comes whole: on a connection of its own, unless too many have one.
    pub(super) fn way<'a>(&'a self, traffic: &'a Traffic) -> Way<'a> {
        match traffic.alone.try_acquire() {
            Ok(alone) => Way {
                client: &self.alone,
                _alone: Some(alone),
                _lane: None,
            },
            Err(_) => self.shared_way(traffic),
        }
    }

    /// For a request that may take long, of which there may be thousands.
    pub(super) fn shared_way<'a>(&'a self, traffic: &'a Traffic) -> Way<'a> {
        let lane = traffic.lanes.take();
        Way {
            client: &self.shared[lane.number()],
            _alone: None,
            _lane: Some(lane),
        }
    }
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            alone: Semaphore::new(MAX_LONE_REQUESTS),
            lanes: Lanes::for_requests(MAX_IN_FLIGHT),
        }
    }
}

impl Way<'_> {
    /// Sends a request; the answer has begun, and is a success.
    pub(super) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, PostError> {
        let asked = self.client.request(request).await;
        let response = asked.map_err(FetchError::from)?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(PostError::from_response(response).await),
        }
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

    #[tokio::test]
    async fn requests_have_connections_of_their_own_until_there_are_too_many() {
        let (clients, traffic) = (Clients::new(), Traffic::new());
        let is_alone = |way: &Way<'_>| std::ptr::eq(way.client, &clients.alone);
        let ways = (0..MAX_LONE_REQUESTS).map(|_| clients.way(&traffic));
        let mut ways: Vec<_> = ways.collect();
        assert!(ways.iter().all(is_alone));
        assert!(!is_alone(&clients.way(&traffic)));
        ways.pop();
        assert!(!is_alone(&clients.shared_way(&traffic)));
        assert!(is_alone(&clients.way(&traffic)));
    }
}
