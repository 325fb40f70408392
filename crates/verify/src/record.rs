//! The record: of this chain, signed by its node, admitted by the block in time.

use crate::{anchor::TrustAnchor, error::VerifyError};
use og_crypto::{RecordVerifier, merkle::verify_inclusion};
use og_types::{Canonical as _, Receipt, Record, limits::MAX_VALIDITY_WINDOW_MS};

/// Checks the receipt's record and its place in the receipt's block.
pub(crate) fn check(receipt: &Receipt, anchor: &TrustAnchor) -> Result<(), VerifyError> {
    let record = &receipt.record.record;
    crate::check_version("receipt.record.version", record.version)?;
    if record.chain_id != anchor.chain_id {
        return Err(VerifyError::ChainId {
            field: "receipt.record.chain_id".to_owned(),
            found: record.chain_id,
            expected: anchor.chain_id,
        });
    }
    if !RecordVerifier::new(&anchor.genesis).verify(&receipt.record) {
        return Err(VerifyError::RecordSignature);
    }
    verify_inclusion(
        &receipt.record.to_bytes(),
        &receipt.inclusion,
        &receipt.header.records_root,
    )
    .map_err(|error| VerifyError::Inclusion(error.to_string()))?;
    check_window(record, receipt.header.timestamp_ms)
}

fn check_window(record: &Record, admitted_ms: u64) -> Result<(), VerifyError> {
    let (from_ms, until_ms) = (record.valid_from_ms, record.valid_until_ms);
    let error = |field: &str, reason: String| {
        Err(VerifyError::Window {
            field: format!("receipt.record.{field}"),
            reason,
        })
    };
    if admitted_ms < from_ms {
        return error(
            "valid_from_ms",
            format!("{from_ms}, and the block that admitted it is from {admitted_ms}"),
        );
    }
    if admitted_ms > until_ms {
        return error(
            "valid_until_ms",
            format!("{until_ms}, and the block that admitted it is from {admitted_ms}"),
        );
    }
    if until_ms.saturating_sub(from_ms) > MAX_VALIDITY_WINDOW_MS {
        return error(
            "valid_until_ms",
            format!("more than {MAX_VALIDITY_WINDOW_MS} ms after valid_from_ms"),
        );
    }
    Ok(())
}
