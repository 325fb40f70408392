//! The job: what a gateway hands to an inference node, and what comes back.

use crate::{
    ids::{Amount, RequestId},
    limits::{MAX_EVIDENCE_BYTES, MAX_PAYLOAD_BYTES, MAX_RECEIPT_BYTES},
    receipt::Opening,
    record::{SignedRecord, Tier},
};
use alloy_primitives::{Address, Bytes};

mod events;

pub use events::{JobEvent, JobEvents, JobFailure, MAX_JOB_EVENTS_BYTES};

/// A request with the terms under which it is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Format version, 1.
    pub version: u16,
    /// Nullifier chosen by the client or its gateway.
    pub request_id: RequestId,
    /// Who pays; zero for an unpaid request.
    pub payer: Address,
    /// What is paid.
    pub price: Amount,
    /// The tier asked for.
    pub tier: Tier,
    /// Seed of the sampling; zero where nothing is sampled.
    pub seed: u64,
    /// Canonical bytes of an [`InferenceRequest`](crate::InferenceRequest).
    pub request: Bytes,
}

canonical_struct!(Job, max_bytes = MAX_PAYLOAD_BYTES + 1024, {
    version,
    request_id,
    payer,
    price,
    tier,
    seed,
    request <= MAX_PAYLOAD_BYTES,
});

/// The answer to a job: what the chain will be shown, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobResult {
    /// Format version, 1.
    pub version: u16,
    /// The signed record, for the chain.
    pub record: SignedRecord,
    /// The opening, for the client.
    pub opening: Opening,
    /// The tier's evidence, where the tier has any.
    pub evidence: Option<Bytes>,
}

canonical_struct!(JobResult, max_bytes = MAX_RECEIPT_BYTES, {
    version,
    record,
    opening,
    evidence <= MAX_EVIDENCE_BYTES,
});
