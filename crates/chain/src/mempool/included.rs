//! What blocks have taken that are not final yet: it still waits in the pool, and the next block cannot take it.

use crate::{block::Block, transaction::Transaction};
use alloy_primitives::B256;
use og_types::{RequestId, SignedRecord};
use std::collections::BTreeSet;

/// What the blocks that a new one is built on have taken.
#[derive(Clone, Debug, Default)]
pub struct Included {
    transactions: BTreeSet<B256>,
    requests: BTreeSet<RequestId>,
}

impl Included {
    /// Adds what `block` has taken.
    pub fn add(&mut self, block: &Block) {
        let transactions = block.decoded_transactions().unwrap_or_default();
        self.transactions
            .extend(transactions.iter().map(Transaction::hash));
        let requests = block
            .records()
            .iter()
            .map(|signed| signed.record.request_id);
        self.requests.extend(requests);
    }

    pub(super) fn has_transaction(&self, transaction: &Transaction) -> bool {
        self.transactions.contains(&transaction.hash())
    }

    pub(super) fn has_record(&self, signed: &SignedRecord) -> bool {
        self.requests.contains(&signed.record.request_id)
    }
}
