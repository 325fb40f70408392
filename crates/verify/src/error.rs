//! Why a receipt or a proof of state is not accepted: every reason names the field that failed.

use og_types::{BlockHash, DecodeError, ModelId};

/// What is judged: the first word of the path to a field of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// A receipt.
    Receipt,
    /// A proof of state.
    StateProof,
}

impl Document {
    /// The first word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::StateProof => "proof",
        }
    }

    /// The path to its finality certificate.
    pub const fn finalization(self) -> &'static str {
        match self {
            Self::Receipt => "receipt.finalization",
            Self::StateProof => "proof.finalization",
        }
    }

    const fn epoch(self) -> &'static str {
        match self {
            Self::Receipt => "receipt.header.epoch",
            Self::StateProof => "proof.header.epoch",
        }
    }
}

/// Why a receipt or a proof of state is not accepted.
///
/// [`field`](Self::field) is a dotted path into it, as in `docs/formats/receipt.md` and `docs/formats/state-proof.md`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The bytes of a field are not what its format says.
    #[error("{field}: {reason}")]
    Decode {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A format version that this verifier does not know.
    #[error("{field}: version {found} is unknown, only 1 exists: use a newer verifier")]
    Version {
        /// The field.
        field: String,
        /// The version found.
        found: u16,
    },
    /// The certificate is for a set of validators of another size.
    #[error("{}: it is from {found} seats, and the trusted set has {expected}", .document.finalization())]
    Seats {
        /// What is judged.
        document: Document,
        /// Seats in the certificate's bitmap.
        found: usize,
        /// Seats in the trusted set.
        expected: usize,
    },
    /// Too few seats signed the certificate.
    #[error("{}: {found} seats signed it, and {needed} are needed", .document.finalization())]
    Quorum {
        /// What is judged.
        document: Document,
        /// Seats that signed.
        found: usize,
        /// Seats that must sign.
        needed: usize,
    },
    /// The certificate's aggregate signature does not verify under the keys of its signers.
    #[error(
        "{}: the signature is not that of the seats it names; \
         is this the right genesis file or checkpoint?",
        .0.finalization()
    )]
    CertificateSignature(Document),
    /// A header is not the one that its successor, or the certificate, names.
    #[error("{field}: this header's hash is {found}, but block {expected} was finalized here")]
    HeaderHash {
        /// The field.
        field: String,
        /// Hash of the header found.
        found: BlockHash,
        /// Hash that the successor or the certificate names.
        expected: BlockHash,
    },
    /// The certificate and the header it names disagree on the round of consensus.
    #[error("{}: its epoch, view and parent view are not those of the block", .0.finalization())]
    Round(Document),
    /// A header says something that no block of this chain can say.
    #[error("{field}: {reason}")]
    Header {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The trusted block and this one have the same height, and both are final.
    #[error(
        "{field}: block {found} is final at height {height}, where the checkpoint says {trusted}: \
         a third of the seats or more signed both, keep the receipt as evidence"
    )]
    Conflict {
        /// The field.
        field: String,
        /// Height of both.
        height: u64,
        /// The receipt's block.
        found: BlockHash,
        /// The checkpoint's block.
        trusted: BlockHash,
    },
    /// The block is from an epoch before the checkpoint's, whose seats the checkpoint cannot tell.
    #[error(
        "{}: block {height} is from epoch {found}, before the checkpoint's {trusted}: \
         use the genesis file, or a checkpoint of that epoch or before",
        .document.epoch()
    )]
    BeforeCheckpoint {
        /// What is judged.
        document: Document,
        /// Height of the receipt's block.
        height: u64,
        /// Its epoch.
        found: u64,
        /// The checkpoint's epoch.
        trusted: u64,
    },
    /// Something from another chain.
    #[error("{field}: chain id {found}, and the trusted chain has {expected}")]
    ChainId {
        /// The field.
        field: String,
        /// The chain id found.
        found: u64,
        /// The chain id of the anchor.
        expected: u64,
    },
    /// The record's node did not sign it for this chain.
    #[error("receipt.record.signature: the record is not signed by its node for this chain")]
    RecordSignature,
    /// The block did not admit this record at this place.
    #[error("receipt.inclusion: {0}")]
    Inclusion(String),
    /// The block's time lies outside the window in which the record may be admitted.
    #[error("{field}: {reason}")]
    Window {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A commitment of the record does not open to what came with it.
    #[error("{field}: with the salt given, the record's commitment opens to something else")]
    Commitment {
        /// The field.
        field: String,
    },
    /// The request is for another model than the record.
    #[error("receipt.opening.request.model: {found}, and the record's is {expected}")]
    Model {
        /// The request's model.
        found: ModelId,
        /// The record's model.
        expected: ModelId,
    },
    /// The record counts other units than there are.
    #[error("{field}: the record claims {claimed}, and there are {counted}")]
    Units {
        /// The field.
        field: String,
        /// Units that the record claims.
        claimed: u32,
        /// Elements in the tensors.
        counted: u64,
    },
    /// An entry of a proof of state does not follow from the root in the header.
    #[error("{field}: {reason}")]
    State {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The evidence is not what the record's tier asks for.
    #[error("{field}: {reason}")]
    Evidence {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl VerifyError {
    /// The field that failed, a dotted path such as `receipt.opening.response`.
    pub fn field(&self) -> &str {
        match self {
            Self::Decode { field, .. }
            | Self::Version { field, .. }
            | Self::HeaderHash { field, .. }
            | Self::Header { field, .. }
            | Self::Conflict { field, .. }
            | Self::ChainId { field, .. }
            | Self::Window { field, .. }
            | Self::Commitment { field }
            | Self::Units { field, .. }
            | Self::State { field, .. }
            | Self::Evidence { field, .. } => field,
            Self::Seats { document, .. }
            | Self::Quorum { document, .. }
            | Self::CertificateSignature(document)
            | Self::Round(document) => document.finalization(),
            Self::BeforeCheckpoint { document, .. } => document.epoch(),
            Self::RecordSignature => "receipt.record.signature",
            Self::Inclusion(_) => "receipt.inclusion",
            Self::Model { .. } => "receipt.opening.request.model",
        }
    }

    /// A decoding error inside the field at `path`.
    pub(crate) fn decode(error: DecodeError, path: &str) -> Self {
        match error.within(path) {
            DecodeError::Field { field, reason } => Self::Decode { field, reason },
            other => Self::Decode {
                field: path.to_owned(),
                reason: other.to_string(),
            },
        }
    }
}
