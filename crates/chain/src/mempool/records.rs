//! Records that wait: first come, first served, one for each request.

use super::included::Included;
use crate::records::VerifiedRecord;
use og_types::{RequestId, SignedRecord, limits::MAX_RECORDS_PER_BLOCK};
use std::{collections::BTreeMap, ops::Deref};

/// Why a record does not wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddRecordError {
    /// A record of this request waits already.
    #[error("already known: a record of request {0} is waiting")]
    Known(RequestId),
    /// As many wait as may.
    #[error("the pool holds {0} records and takes no more: try again after the next block")]
    Full(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    maximum: usize,
    /// By order of arrival.
    queue: BTreeMap<u64, VerifiedRecord>,
    arrivals: BTreeMap<RequestId, u64>,
    next_arrival: u64,
}

impl Pool {
    pub(super) fn new(maximum: usize) -> Self {
        Self {
            maximum,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, record: VerifiedRecord) -> Result<(), AddRecordError> {
        let request = record.record.request_id;
        if self.arrivals.contains_key(&request) {
            return Err(AddRecordError::Known(request));
        }
        if self.queue.len() >= self.maximum {
            return Err(AddRecordError::Full(self.maximum));
        }
        self.arrivals.insert(request, self.next_arrival);
        self.queue.insert(self.next_arrival, record);
        self.next_arrival = self.next_arrival.saturating_add(1);
        Ok(())
    }

    pub(super) fn candidates(&self, block_ms: u64, included: &Included) -> Vec<VerifiedRecord> {
        self.admissible(block_ms)
            .filter(|signed| !included.has_record(signed))
            .take(MAX_RECORDS_PER_BLOCK)
            .cloned()
            .collect()
    }

    /// Those whose window holds the block's time.
    pub(super) fn admissible(&self, block_ms: u64) -> impl Iterator<Item = &VerifiedRecord> {
        self.queue
            .values()
            .filter(move |signed| signed.record.valid_from_ms <= block_ms)
            .filter(move |signed| signed.record.valid_until_ms >= block_ms)
    }

    pub(super) fn on_finalized(&mut self, settled: &[SignedRecord], now_ms: u64) {
        for signed in settled {
            if let Some(arrival) = self.arrivals.remove(&signed.record.request_id) {
                self.queue.remove(&arrival);
            }
        }
        let arrivals = &mut self.arrivals;
        self.queue.retain(|_, signed| {
            // The next block's time is later, so a record that ends now is over.
            let waits = signed.record.valid_until_ms > now_ms;
            if !waits {
                arrivals.remove(&signed.record.request_id);
            }
            waits
        });
    }

    /// Those that arrived at `arrival` or later, with their places in that order.
    pub(super) fn since(&self, arrival: u64) -> impl Iterator<Item = (u64, &SignedRecord)> {
        let arrived = self.queue.range(arrival..);
        arrived.map(|(arrival, verified)| (*arrival, &**verified))
    }

    pub(super) fn get(&self, request: &RequestId) -> Option<&SignedRecord> {
        self.queue
            .get(self.arrivals.get(request)?)
            .map(Deref::deref)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
