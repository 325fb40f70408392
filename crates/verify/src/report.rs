//! What a verified receipt shows: checked here, vouched for by the validators, or only claimed.

use crate::{anchor::TrustAnchor, finality::Finality, history::Position, opening::Payload};
use alloy_primitives::B256;
use og_types::{
    BlockHash, Checkpoint, Computed, Header, InferenceRequest, InferenceResponse, Receipt, Record,
    ValidatorId,
};
use serde::Serialize;

/// How well a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The mathematics was done here.
    Checked,
    /// A quorum of validators had to check it before they signed.
    Vouched,
    /// Somebody says so.
    Claimed,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Checked => "checked",
            Self::Vouched => "vouched",
            Self::Claimed => "claimed",
        })
    }
}

/// One statement about the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How well it stands.
    pub status: Status,
    /// What it is about, a word or two.
    pub subject: String,
    /// The statement, a sentence.
    pub detail: String,
}

/// All that a verified receipt shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// EIP-155 id of the chain.
    pub chain_id: u64,
    /// Hash of the chain's genesis file.
    pub genesis: B256,
    /// The record.
    pub record: Record,
    /// What was asked.
    pub request: InferenceRequest,
    /// What was answered.
    pub response: InferenceResponse,
    /// Hash of the block that admitted the record.
    pub block: BlockHash,
    /// Header of that block.
    pub header: Header,
    /// Where that block lies, seen from the trusted one.
    pub position: Position,
    /// Hash of the block whose certificate makes it final: the same, or a descendant.
    pub certified_block: BlockHash,
    /// Header of the certified block.
    pub certified_header: Header,
    /// Seats that signed the certificate.
    pub signers: Vec<ValidatorId>,
    /// Seats in the trusted set.
    pub seats: usize,
    /// Seats that had to sign.
    pub quorum: usize,
    /// Statements, best founded first.
    pub lines: Vec<Line>,
    /// What all of this rests on, a sentence or two.
    pub limit: String,
}

impl Report {
    pub(crate) fn new(
        receipt: Receipt,
        anchor: &TrustAnchor,
        finality: Finality,
        position: Position,
        payload: Payload,
        evidence: Vec<Line>,
    ) -> Self {
        let mut lines = checked(&receipt, anchor, &finality, position);
        lines.extend(vouched(&receipt));
        lines.extend(evidence);
        lines.extend(claimed(&receipt));
        // Evidence of a later tier may be checked: keep the order of the statuses.
        lines.sort_by_key(|line| line.status);
        Self {
            chain_id: anchor.chain_id,
            genesis: anchor.genesis,
            record: receipt.record.record,
            request: payload.request,
            response: payload.response,
            block: finality.block,
            header: receipt.header,
            position,
            certified_block: finality.certified_hash,
            certified_header: finality.certified,
            signers: finality.signers,
            seats: anchor.validators.members().len(),
            quorum: anchor.quorum(),
            lines,
            limit: limit(anchor),
        }
    }

    /// A checkpoint from which later receipts can be judged: the certified block, or the anchor's
    /// own block if that is newer.
    pub fn checkpoint(&self, anchor: &TrustAnchor) -> Checkpoint {
        let certified = &self.certified_header;
        let (height, block, timestamp_ms, epoch) = match anchor.block {
            Some(block) if anchor.height > certified.height => {
                (anchor.height, block, anchor.timestamp_ms, anchor.epoch)
            }
            _ => (
                certified.height,
                self.certified_block,
                certified.timestamp_ms,
                certified.epoch,
            ),
        };
        Checkpoint {
            version: crate::VERSION,
            chain_id: anchor.chain_id,
            genesis: anchor.genesis,
            height,
            block,
            timestamp_ms,
            epoch,
            validators: anchor.validators.members().to_vec(),
        }
    }
}

fn line(status: Status, subject: &str, detail: String) -> Line {
    Line {
        status,
        subject: subject.to_owned(),
        detail,
    }
}

fn checked(
    receipt: &Receipt,
    anchor: &TrustAnchor,
    finality: &Finality,
    position: Position,
) -> Vec<Line> {
    let record = &receipt.record.record;
    let checked = |subject, detail| line(Status::Checked, subject, detail);
    vec![
        checked(
            "finality",
            format!(
                "{} of {} seats signed that block {} is final ({} had to)",
                finality.signers.len(),
                anchor.validators.members().len(),
                finality.certified.height,
                anchor.quorum()
            ),
        ),
        checked("chain", place(receipt, anchor, position)),
        checked(
            "block",
            format!(
                "block {} has hash {} and leads to the final block in {} steps",
                receipt.header.height,
                finality.block,
                receipt.descendants.len()
            ),
        ),
        checked(
            "admission",
            format!(
                "the block admitted this record, number {} of {}, within its validity window",
                receipt.inclusion.position.saturating_add(1),
                receipt.inclusion.leaf_count
            ),
        ),
        checked(
            "node",
            format!("node {} signed the record for this chain", record.node),
        ),
        checked(
            "request",
            format!(
                "the record commits to this request: {} elements for model {}",
                record.input_units, record.model
            ),
        ),
        checked(
            "response",
            format!(
                "the record commits to this response: {} elements",
                record.output_units
            ),
        ),
    ]
}

fn place(receipt: &Receipt, anchor: &TrustAnchor, position: Position) -> String {
    let height = receipt.header.height;
    match (anchor.block, position) {
        (None, _) => format!(
            "the seats are those of genesis file {} (chain {})",
            anchor.genesis, anchor.chain_id
        ),
        (Some(block), Position::After) => format!(
            "block {height} comes after the checkpoint, block {} ({block})",
            anchor.height
        ),
        (Some(block), Position::Linked) => format!(
            "block {height} is the checkpoint, block {} ({block}), or an ancestor of it",
            anchor.height
        ),
        (Some(_), Position::SameEpoch) => format!(
            "block {height} is older than the checkpoint, block {}, and from the same epoch, so the same seats were to sign it; no path of hashes to the checkpoint was given",
            anchor.height
        ),
    }
}

/// What validators must check before they finalize a block, and this receipt alone cannot show.
fn vouched(receipt: &Receipt) -> Vec<Line> {
    let record = &receipt.record.record;
    let vouched = |subject, detail| line(Status::Vouched, subject, detail);
    vec![
        vouched(
            "node",
            format!("the node was registered, with payee {}", record.payee),
        ),
        vouched("model", "the model was registered".to_owned()),
        vouched(
            "request id",
            format!("no earlier record settled request {}", record.request_id),
        ),
        vouched(
            "state",
            format!(
                "executing the block gave state root {}",
                receipt.header.state_root
            ),
        ),
    ]
}

fn claimed(receipt: &Receipt) -> Vec<Line> {
    let record = &receipt.record.record;
    let claimed = |subject, detail| line(Status::Claimed, subject, detail);
    let computed = match record.computed {
        Computed::Exact => "exact: any honest run of the model gives the same bytes",
        Computed::Float => "float: not reproducible, another machine may give other bytes",
        Computed::Relayed => "relayed: another service's answer was passed on",
    };
    vec![
        claimed("computed", computed.to_owned()),
        claimed(
            "time",
            format!(
                "the node says it worked from {} to {}, the block's proposer says it was {} (Unix milliseconds)",
                record.started_at_ms, record.finished_at_ms, receipt.header.timestamp_ms
            ),
        ),
        claimed(
            "price",
            format!(
                "payer {} and price {} are what the record says; no payment is shown here",
                record.payer, record.price
            ),
        ),
        claimed(
            "truth",
            "that the answer is right is no part of any receipt".to_owned(),
        ),
    ]
}

fn limit(anchor: &TrustAnchor) -> String {
    let quorum = anchor.quorum();
    let seats = anchor.validators.members().len();
    let source = if anchor.block.is_some() {
        "checkpoint"
    } else {
        "genesis file"
    };
    format!(
        "This rests on the {source} being the real one, and on no {quorum} of its {seats} seats' keys, \
         in use or retired, being in dishonest hands: whoever holds that many can forge a history. \
         A recent checkpoint shortens the time over which keys must have been kept."
    )
}
