//! How much a server takes on at once: a number of requests, and of bytes that they bring.

use http_body::Body;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that are counted as one.
const UNIT_BYTES: usize = 1024;

/// Places for requests in progress. Whoever finds none is told to come back.
#[derive(Clone, Debug)]
pub struct Admission {
    requests: Arc<Semaphore>,
    /// A permit for each unit of [`UNIT_BYTES`].
    bytes: Arc<Semaphore>,
    most_requests: usize,
    most_body_bytes: usize,
}

/// A request's place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    _request: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

impl Admission {
    /// Places for so many requests with so many bytes altogether; a body has at most `most_body_bytes`.
    pub fn new(requests: usize, bytes: usize, most_body_bytes: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            bytes: Arc::new(Semaphore::new(bytes / UNIT_BYTES)),
            most_requests: requests,
            most_body_bytes,
        }
    }

    /// A place for a request with this body, if there is one. A body that does not announce its length may be the longest.
    pub fn admit(&self, body: &impl Body) -> Option<Place> {
        let announced = body.size_hint().upper();
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = announced
            .unwrap_or(self.most_body_bytes)
            .min(self.most_body_bytes);
        Some(Place {
            _request: self.requests.clone().try_acquire_owned().ok()?,
            bytes: self
                .bytes
                .clone()
                .try_acquire_many_owned(units(bytes))
                .ok()?,
        })
    }

    /// Requests that have a place.
    pub fn taken(&self) -> usize {
        let free = self.requests.available_permits();
        self.most_requests.saturating_sub(free)
    }
}

impl Place {
    /// Says that the request has only so many bytes, or keeps only so many from now on.
    pub fn holds(&mut self, bytes: usize) {
        let needed = units(bytes) as usize;
        let spare = self.bytes.num_permits().saturating_sub(needed);
        drop(self.bytes.split(spare));
    }
}

/// Units that so many bytes take; a request without a body takes one too.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body as AxumBody, Bytes};

    fn body(bytes: usize) -> AxumBody {
        AxumBody::from(vec![0; bytes])
    }

    #[test]
    fn requests_and_bytes_are_bounded() {
        let admission = Admission::new(2, 10 * 1024, 8 * 1024);
        let mut large = admission.admit(&body(8 * 1024)).unwrap();
        assert!(admission.admit(&body(4 * 1024)).is_none());
        large.holds(2 * 1024);
        let second = admission.admit(&body(4 * 1024)).unwrap();
        assert_eq!(admission.taken(), 2);
        assert!(admission.admit(&body(0)).is_none());
        drop((large, second));
        assert_eq!(admission.taken(), 0);
        admission.admit(&body(8 * 1024)).unwrap();
    }

    #[test]
    fn a_body_of_unknown_length_may_be_the_longest() {
        let admission = Admission::new(10, 10 * 1024, 8 * 1024);
        let unknown = || {
            let chunks = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
            AxumBody::from_stream(chunks)
        };
        let mut place = admission.admit(&unknown()).unwrap();
        assert!(admission.admit(&unknown()).is_none());
        // What says that it is longer than allowed is refused when it is read.
        assert!(admission.admit(&body(100 * 1024)).is_none());
        place.holds(1);
        admission.admit(&unknown()).unwrap();
    }
}
