//! The request ids being answered right now, so that none is answered twice at once.

use og_types::RequestId;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// The request ids being answered right now; their number is bounded by the requests in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<BTreeSet<RequestId>>);

/// A request id that nobody else can claim until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    in_flight: &'a InFlight,
    id: RequestId,
}

impl InFlight {
    /// Claims `id`, or returns `None` if it is being answered already.
    pub(crate) fn claim(&self, id: RequestId) -> Option<Claim<'_>> {
        let mut ids = self.0.lock();
        ids.insert(id).then(|| Claim {
            in_flight: self,
            id,
        })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.id);
    }
}
