//! Proofs that records are final, put together from what the index holds.

use super::{FINALIZATIONS, Index, IndexError, RECORDS};
use alloy_primitives::Bytes;
use og_chain::Block;
use og_types::{Header, Inclusion, RequestId, SignedRecord, limits::MAX_DESCENDANTS};
use redb::{ReadTransaction, ReadableDatabase as _};
use std::collections::BTreeMap;

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

/// What the index knows about many request ids. What proofs have in common is there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordProofs {
    /// Blocks that have records, with what makes them final.
    pub blocks: Vec<(Header, Finality)>,
    /// What is known of each request id, in order: `None` if no final block has a record for it.
    pub records: Vec<Option<PlacedRecord>>,
}

/// A record that is in a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedRecord {
    /// The block's height.
    pub height: u64,
    /// `None` if no certificate that covers the block has arrived yet, or there are as many blocks as may be.
    pub proof: Option<PlacedProof>,
}

/// The proof that a record is in one of [`RecordProofs::blocks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedProof {
    /// Which block.
    pub block: usize,
    /// The record.
    pub record: SignedRecord,
    /// Path from the record to the block's header.
    pub inclusion: Inclusion,
}

impl Index {
    /// Proof that the record of a request is final, as far as there is one.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn record_proof(&self, id: &RequestId) -> Result<RecordLookup, IndexError> {
        let RecordProofs {
            mut blocks,
            mut records,
        } = self.record_proofs(std::slice::from_ref(id), 1)?;
        let Some(placed) = records.pop().flatten() else {
            return Ok(RecordLookup::Unknown);
        };
        let Some((proof, (header, finality))) = placed.proof.zip(blocks.pop()) else {
            return Ok(RecordLookup::Uncertified);
        };
        Ok(RecordLookup::Final(Box::new(RecordProof {
            record: proof.record,
            inclusion: proof.inclusion,
            header,
            descendants: finality.descendants,
            finalization: finality.finalization,
        })))
    }

    /// Proofs that the records of requests are final, as far as there are any, in at most so many blocks.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Database`].
    pub fn record_proofs(
        &self,
        ids: &[RequestId],
        most_blocks: usize,
    ) -> Result<RecordProofs, IndexError> {
        let transaction = self.database.begin_read()?;
        let places = transaction.open_table(RECORDS)?;
        let mut proving = Proving {
            index: self,
            transaction: &transaction,
            most_blocks,
            blocks: vec![],
            met: BTreeMap::new(),
        };
        let records = ids.iter().map(|id| {
            let place = places.get(id.0)?.map(|place| place.value());
            let placed = place.map(|(height, position)| proving.placed(height, position));
            placed.transpose()
        });
        let records = records.collect::<Result<_, IndexError>>()?;
        Ok(RecordProofs {
            blocks: proving.blocks,
            records,
        })
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

/// Many proofs in the making.
struct Proving<'a> {
    index: &'a Index,
    transaction: &'a ReadTransaction,
    most_blocks: usize,
    blocks: Vec<(Header, Finality)>,
    /// By height: a block and its place among `blocks`, or `None` if it is not among them.
    met: BTreeMap<u64, Option<(usize, Block)>>,
}

impl Proving<'_> {
    /// The record at a position of the block at `height`.
    fn placed(&mut self, height: u64, position: u32) -> Result<PlacedRecord, IndexError> {
        if !self.met.contains_key(&height) {
            let block = self.add(height)?;
            self.met.insert(height, block);
        }
        let block = self.met.get(&height).and_then(Option::as_ref);
        let proof = block.map(|(place, block)| {
            let (record, inclusion) = proof_in(block, position).ok_or_else(|| missing(height))?;
            Ok::<_, IndexError>(PlacedProof {
                block: *place,
                record,
                inclusion,
            })
        });
        Ok(PlacedRecord {
            height,
            proof: proof.transpose()?,
        })
    }

    /// Adds the block at `height`, if there is room and it is proven; the block with its place.
    fn add(&mut self, height: u64) -> Result<Option<(usize, Block)>, IndexError> {
        let place = self.blocks.len();
        if place >= self.most_blocks {
            return Ok(None);
        }
        let Some((block, finality)) = self.final_block(height)? else {
            return Ok(None);
        };
        self.blocks.push((block.header().clone(), finality));
        Ok(Some((place, block)))
    }

    /// The block at `height`, which is there, and what makes it final; `None` if no certificate that covers it has arrived yet.
    fn final_block(&self, height: u64) -> Result<Option<(Block, Finality)>, IndexError> {
        let Some(finality) = self.index.finality_at(self.transaction, height)? else {
            return Ok(None);
        };
        let block = self.index.block_at(self.transaction, height)?;
        Ok(Some((block.ok_or_else(|| missing(height))?, finality)))
    }
}

/// A block that the index names and does not have.
fn missing(height: u64) -> IndexError {
    IndexError::Damaged {
        height,
        reason: "the block is missing".to_owned(),
    }
}

/// The record at a position of a block, and its path.
fn proof_in(block: &Block, position: u32) -> Option<(SignedRecord, Inclusion)> {
    let record = block.records().get(usize::try_from(position).ok()?)?;
    Some((record.clone(), block.prove_record(position)?))
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
