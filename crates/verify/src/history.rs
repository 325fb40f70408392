//! Where the claimed blocks lie: on the anchor's chain, at a height that the anchor can judge.

use crate::{
    anchor::TrustAnchor,
    error::{Document, VerifyError},
    finality::{Claim, named_headers},
};
use og_crypto::block_hash;
use og_types::Header;
use serde::Serialize;

/// Where the record's block lies, seen from the trusted block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// After it.
    After,
    /// It is the trusted block, or the receipt's headers lead to the trusted block.
    Linked,
    /// Before it in the same epoch, so that the same seats were to sign it.
    SameEpoch,
}

/// Checks every header against the anchor and says where the record's block lies.
pub(crate) fn check(claim: Claim<'_>, anchor: &TrustAnchor) -> Result<Position, VerifyError> {
    let mut linked = false;
    for (field, header) in named_headers(claim) {
        check_header(&field, header, anchor)?;
        if header.height == anchor.height {
            linked |= is_trusted_block(&field, header, anchor)?;
        }
    }
    let (document, header) = (claim.document, claim.header);
    if linked {
        return Ok(Position::Linked);
    }
    if (header.height > anchor.height) != (header.timestamp_ms > anchor.timestamp_ms) {
        return Err(VerifyError::Header {
            field: format!("{}.header.timestamp_ms", document.name()),
            reason: format!(
                "height {} at {} ms contradicts the trusted height {} at {} ms: time grows with height",
                header.height, header.timestamp_ms, anchor.height, anchor.timestamp_ms
            ),
        });
    }
    if header.height > anchor.height {
        return check_epoch(header, anchor, document).map(|()| Position::After);
    }
    if header.epoch == anchor.epoch {
        return Ok(Position::SameEpoch);
    }
    Err(VerifyError::BeforeCheckpoint {
        document,
        height: header.height,
        found: header.epoch,
        trusted: anchor.epoch,
    })
}

/// Checks what every block of the anchor's chain has in common.
fn check_header(field: &str, header: &Header, anchor: &TrustAnchor) -> Result<(), VerifyError> {
    if header.version != crate::VERSION {
        return Err(VerifyError::Version {
            field: format!("{field}.version"),
            found: header.version,
        });
    }
    if header.chain_id != anchor.chain_id {
        return Err(VerifyError::ChainId {
            field: format!("{field}.chain_id"),
            found: header.chain_id,
            expected: anchor.chain_id,
        });
    }
    if header.height == 0 {
        return Err(VerifyError::Header {
            field: format!("{field}.height"),
            reason: "block 0 holds no records and is signed by nobody".to_owned(),
        });
    }
    if header.next_validators != anchor.validators.hash() {
        return Err(VerifyError::Header {
            field: format!("{field}.next_validators"),
            reason: "the block announces another set of validators, and this verifier knows no \
                     handovers: use a newer verifier"
                .to_owned(),
        });
    }
    Ok(())
}

/// Whether the header at the trusted height is the trusted block, which a genesis file cannot say.
fn is_trusted_block(
    field: &str,
    header: &Header,
    anchor: &TrustAnchor,
) -> Result<bool, VerifyError> {
    let Some(trusted) = anchor.block else {
        return Ok(false);
    };
    let found = block_hash(header);
    if found == trusted {
        return Ok(true);
    }
    Err(VerifyError::Conflict {
        field: field.to_owned(),
        height: header.height,
        found,
        trusted,
    })
}

fn check_epoch(
    header: &Header,
    anchor: &TrustAnchor,
    document: Document,
) -> Result<(), VerifyError> {
    if header.epoch >= anchor.epoch {
        return Ok(());
    }
    Err(VerifyError::Header {
        field: format!("{}.header.epoch", document.name()),
        reason: format!(
            "epoch {} after the trusted block's {}: epochs grow with height",
            header.epoch, anchor.epoch
        ),
    })
}
