//! The record: what the chain stores of one answered request, a few hundred bytes.

use crate::{
    cbor::{DecodeError, Field, Writer},
    ids::{Amount, ModelId, NodeId, RequestId, Signature},
    limits::MAX_RECORD_BYTES,
};
use alloy_primitives::{Address, B256};
use minicbor::Decoder;
use serde::{Deserialize, Serialize};

/// How a record's answer can be trusted (design: four tiers; those not listed come later).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Tier {
    /// A registered node's signature, nothing more.
    Signed = 0,
}

/// How the answer was computed: what a second run could be expected to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Computed {
    /// By an integer program: any honest run gives the same bytes.
    Exact = 0,
    /// In floating point: another machine may give other bytes.
    Float = 1,
    /// By somebody else, whose answer was passed on.
    Relayed = 2,
}

macro_rules! code_field {
    ($type:ident, $name:literal, $($code:literal => $variant:ident),+) => {
        impl Field for $type {
            fn write_field(&self, writer: &mut Writer) {
                (*self as u8).write_field(writer);
            }
            fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
                match u8::read_field(decoder, maximum)? {
                    $($code => Ok(Self::$variant),)+
                    other => Err(DecodeError::value(format!(concat!("unknown ", $name, " {}"), other))),
                }
            }
        }
    };
}
code_field!(Tier, "tier", 0 => Signed);
code_field!(Computed, "class of computation", 0 => Exact, 1 => Float, 2 => Relayed);

/// One answered request as its node claims it, before signing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format version, 1.
    pub version: u16,
    /// The chain it settles on.
    pub chain_id: u64,
    /// Nullifier: a request settles once.
    pub request_id: RequestId,
    /// Who pays; zero for an unpaid request.
    pub payer: Address,
    /// Who is paid: the payee that the node is registered with.
    pub payee: Address,
    /// What is paid.
    pub price: Amount,
    /// The model that ran.
    pub model: ModelId,
    /// How the answer can be trusted.
    pub tier: Tier,
    /// How the answer was computed.
    pub computed: Computed,
    /// Earliest block time at which it may be admitted, Unix milliseconds.
    pub valid_from_ms: u64,
    /// Latest block time at which it may be admitted, Unix milliseconds.
    pub valid_until_ms: u64,
    /// Salted commitment to the request's bytes.
    pub input_commitment: B256,
    /// Salted commitment to the response's bytes.
    pub output_commitment: B256,
    /// Seed of the sampling; zero where nothing is sampled.
    pub seed: u64,
    /// Units read: tokens, or elements of the input tensors.
    pub input_units: u32,
    /// Units written: tokens, or elements of the output tensors.
    pub output_units: u32,
    /// When the node says it began, Unix milliseconds.
    pub started_at_ms: u64,
    /// When the node says it finished, Unix milliseconds.
    pub finished_at_ms: u64,
    /// The node that answered.
    pub node: NodeId,
    /// Hash of the tier's evidence, where the tier has any.
    pub evidence: Option<B256>,
}

canonical_struct!(Record, max_bytes = MAX_RECORD_BYTES, {
    version,
    chain_id,
    request_id,
    payer,
    payee,
    price,
    model,
    tier,
    computed,
    valid_from_ms,
    valid_until_ms,
    input_commitment,
    output_commitment,
    seed,
    input_units,
    output_units,
    started_at_ms,
    finished_at_ms,
    node,
    evidence,
});

/// A record and its node's signature over it (see `og_crypto::record`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// What is claimed.
    pub record: Record,
    /// The node's signature.
    pub signature: Signature,
}

canonical_struct!(SignedRecord, max_bytes = MAX_RECORD_BYTES, { record, signature });
