//! The receipt: what a user keeps of an answer, and all that a stranger needs to judge it.

use crate::{
    header::Header,
    limits::{
        MAX_DESCENDANTS, MAX_EVIDENCE_BYTES, MAX_FINALIZATION_BYTES, MAX_PAYLOAD_BYTES,
        MAX_PROOF_SIBLINGS, MAX_RECEIPT_BYTES,
    },
    record::SignedRecord,
};
use alloy_primitives::{B256, Bytes};

/// What opens a record's two commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Random; it keeps short inputs from being guessed from their commitment.
    pub salt: B256,
    /// The request's canonical bytes.
    pub request: Bytes,
    /// The response's canonical bytes.
    pub response: Bytes,
}

canonical_struct!(Opening, max_bytes = MAX_RECEIPT_BYTES, {
    salt,
    request <= MAX_PAYLOAD_BYTES,
    response <= MAX_PAYLOAD_BYTES,
});

/// Merkle path from a record to its block's `records_root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The record's position in the block.
    pub position: u32,
    /// Records in the block.
    pub leaf_count: u32,
    /// Sibling hashes from the leaf upwards.
    pub siblings: Vec<B256>,
}

canonical_struct!(Inclusion, max_bytes = 64 + MAX_PROOF_SIBLINGS * 34, {
    position,
    leaf_count,
    siblings <= MAX_PROOF_SIBLINGS,
});

/// Record, opening, evidence, inclusion, header and finality certificate of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Format version, 1.
    pub version: u16,
    /// The record with its node's signature.
    pub record: SignedRecord,
    /// What the record's commitments hide.
    pub opening: Opening,
    /// The tier's evidence, where the tier has any.
    pub evidence: Option<Bytes>,
    /// Path from the record to the header.
    pub inclusion: Inclusion,
    /// Header of the block that admitted the record.
    pub header: Header,
    /// Headers from that block's child to the block that the certificate names, usually none.
    ///
    /// A block can become final without a certificate of its own: finality of a descendant
    /// finalizes it. Each header names its predecessor as its parent.
    pub descendants: Vec<Header>,
    /// The validators' finality certificate for the last of `header` and `descendants`
    /// (see `docs/formats/certificate.md`).
    pub finalization: Bytes,
}

canonical_struct!(Receipt, max_bytes = MAX_RECEIPT_BYTES, {
    version,
    record,
    opening,
    evidence <= MAX_EVIDENCE_BYTES,
    inclusion,
    header,
    descendants <= MAX_DESCENDANTS,
    finalization <= MAX_FINALIZATION_BYTES,
});
