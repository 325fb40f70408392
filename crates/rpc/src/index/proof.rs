//! Proofs that records are final, put together from what the index holds.

use super::{FINALIZATIONS, Index, IndexError, RECORDS};
use alloy_primitives::Bytes;
use og_types::{Header, Inclusion, RequestId, SignedRecord, limits::MAX_DESCENDANTS};
use redb::{ReadTransaction, ReadableDatabase as _};

/// Proof that a record is final: all of a receipt that does not come from its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProof {
    /// The record.
    pub record: SignedRecord,
    /// Path from the record to the header.
    pub inclusion: Inclusion,
    /// Header of the block that admitted it.
    pub header: Header,
    /// Headers from that block's child to the one that the certificate names.
    pub descendants: Vec<Header>,
    /// Finality certificate of the last of `header` and `descendants`.
    pub finalization: Bytes,
}

/// What makes a block final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finality {
    /// Headers from the block's child to the one that the certificate names.
    pub descendants: Vec<Header>,
    /// Finality certificate of the last of the block and these.
    pub finalization: Bytes,
}

/// What the index knows about a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordLookup {
    /// No final block has a record for it.
    Unknown,
    /// A final block has one, but no certificate that covers it has arrived yet.
    Uncertified,
    /// A final block has one, with proof.
    Final(Box<RecordProof>),
}

impl Index {
    /// Proof that the record of a request is final, as far as there is one.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn record_proof(&self, id: &RequestId) -> Result<RecordLookup, IndexError> {
        let transaction = self.database.begin_read()?;
        let place = transaction.open_table(RECORDS)?.get(id.0)?;
        let Some((height, position)) = place.map(|place| place.value()) else {
            return Ok(RecordLookup::Unknown);
        };
        let Some(finality) = self.finality_at(&transaction, height)? else {
            return Ok(RecordLookup::Uncertified);
        };
        let missing = |height| IndexError::Damaged {
            height,
            reason: "the block is missing".to_owned(),
        };
        let block = self
            .block_at(&transaction, height)?
            .ok_or_else(|| missing(height))?;
        let record = usize::try_from(position)
            .ok()
            .and_then(|position| block.records().get(position));
        let (Some(record), Some(inclusion)) = (record, block.prove_record(position)) else {
            return Err(missing(height));
        };
        Ok(RecordLookup::Final(Box::new(RecordProof {
            record: record.clone(),
            inclusion,
            header: block.header().clone(),
            descendants: finality.descendants,
            finalization: finality.finalization,
        })))
    }

    /// What makes the block at `height` final; `None` if no certificate that covers it has arrived yet.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn finality(&self, height: u64) -> Result<Option<Finality>, IndexError> {
        self.finality_at(&self.database.begin_read()?, height)
    }

    fn finality_at(
        &self,
        transaction: &ReadTransaction,
        height: u64,
    ) -> Result<Option<Finality>, IndexError> {
        let Some((certified, finalization)) = certificate_from(transaction, height)? else {
            return Ok(None);
        };
        let mut descendants = Vec::new();
        for next in height.saturating_add(1)..=certified {
            match self.block_at(transaction, next)? {
                Some(block) => descendants.push(block.header().clone()),
                // The certificate has arrived before its block.
                None => return Ok(None),
            }
        }
        Ok(Some(Finality {
            descendants,
            finalization,
        }))
    }
}

/// The first certificate at `height` or among its descendants, with its own height.
fn certificate_from(
    transaction: &ReadTransaction,
    height: u64,
) -> Result<Option<(u64, Bytes)>, IndexError> {
    let last = height.saturating_add(MAX_DESCENDANTS as u64);
    let finalizations = transaction.open_table(FINALIZATIONS)?;
    let Some(entry) = finalizations.range(height..=last)?.next() else {
        return Ok(None);
    };
    let (height, bytes) = entry?;
    Ok(Some((
        height.value(),
        Bytes::copy_from_slice(bytes.value()),
    )))
}
