//! Judge a receipt, or a proof of state, offline.
//!
//! [`verify`] takes a receipt's bytes and a [`TrustAnchor`] (a genesis file or a checkpoint) and
//! answers with a [`Report`] that says line by line what was checked here, what only the
//! validators vouch for, and what is merely claimed. No clock, no network, no disk, no panic.
//!
//! Reading order: this file, [`anchor`], `finality.rs`, `history.rs`, `record.rs`, `opening.rs`,
//! [`tier`], [`report`], [`state`], [`error`]. `docs/formats/receipt.md` and `state-proof.md` say the same without code.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod anchor;
pub mod error;
mod finality;
mod history;
mod opening;
mod record;
pub mod report;
pub mod state;
pub mod tier;

pub use anchor::{AnchorError, TrustAnchor};
pub use error::{Document, VerifyError};
pub use history::Position;
pub use report::{Line, Report, Status};
pub use state::{ProvenState, verify_state};

use finality::Claim;
use og_types::{Canonical as _, Receipt};

/// The only version of every format that exists.
const VERSION: u16 = 1;

/// Judges a receipt against what its holder trusts.
///
/// The order is from the outside in: the bytes decode canonically; a quorum of the anchor's seats
/// finalized the certificate's block; the receipt's headers lead to that block; they lie where
/// the anchor allows; the record belongs to this chain, is signed by its node and was admitted by
/// the first header's block within its validity window; the commitments open; the tier's evidence
/// convinces.
///
/// # Errors
/// [`VerifyError`] names the field of the receipt that failed.
pub fn verify(receipt: &[u8], anchor: &TrustAnchor) -> Result<Report, VerifyError> {
    let receipt =
        Receipt::from_bytes(receipt).map_err(|error| VerifyError::decode(error, "receipt"))?;
    check_version("receipt.version", receipt.version)?;
    let claim = Claim {
        document: Document::Receipt,
        header: &receipt.header,
        descendants: &receipt.descendants,
        finalization: &receipt.finalization,
    };
    let finality = finality::check(claim, anchor)?;
    let position = history::check(claim, anchor)?;
    record::check(&receipt, anchor)?;
    let payload = opening::check(&receipt)?;
    let tier = receipt.record.record.tier;
    let evidence = receipt.evidence.as_ref().map(AsRef::as_ref);
    let evidence = tier::rule(tier).check(&receipt.record.record, evidence)?;
    Ok(Report::new(
        receipt, anchor, finality, position, payload, evidence,
    ))
}

fn check_version(field: &'static str, found: u16) -> Result<(), VerifyError> {
    if found == VERSION {
        Ok(())
    } else {
        Err(VerifyError::Version {
            field: field.to_owned(),
            found,
        })
    }
}
