//! Making room for a transaction that tips more than what waits.

use super::transactions::{AddTransactionError, Pool, Waiting};
use crate::transaction::Transaction;
use alloy_primitives::{Address, B256};
use std::{cmp::Reverse, collections::BinaryHeap};

impl Pool {
    /// Evicts what tips least until `transaction` fits, or nothing at all if it never would.
    ///
    /// Only the last nonce of a sender is ever evicted: what is before it would leave a gap.
    pub(super) fn make_room(
        &mut self,
        transaction: &Transaction,
        replaced: Option<B256>,
    ) -> Result<(), AddTransactionError> {
        let freed = replaced
            .and_then(|hash| self.get(&hash))
            .map_or(0, |old| old.raw().len());
        let mut count = self.len().saturating_sub(usize::from(replaced.is_some()));
        let mut bytes = self.bytes().saturating_sub(freed);
        let mut evicted = Vec::new();
        let mut tails = self.tails(transaction.sender());
        let length = transaction.raw().len();
        while count >= self.limits.transactions
            || bytes.saturating_add(length) > self.limits.transaction_bytes
        {
            let Some(Reverse((tip, _, hash))) = tails.pop() else {
                return Err(AddTransactionError::Full);
            };
            if tip >= transaction.max_tip_per_gas() {
                return Err(AddTransactionError::Full);
            }
            let Some(tail) = self.get(&hash) else {
                return Err(AddTransactionError::Full);
            };
            count = count.saturating_sub(1);
            bytes = bytes.saturating_sub(tail.raw().len());
            evicted.push(hash);
            tails.extend(self.before(&hash).map(Reverse));
        }
        for hash in evicted {
            self.remove(&hash);
        }
        Ok(())
    }

    /// The last transaction of every sender but one, the one that tips least on top; of equals
    /// the latest.
    fn tails(&self, except: Address) -> BinaryHeap<Reverse<(u128, Reverse<u64>, B256)>> {
        self.senders
            .iter()
            .filter(|(address, _)| **address != except)
            .filter_map(|(_, sender)| sender.by_nonce.values().next_back())
            .map(|waiting| Reverse(rank(waiting)))
            .collect()
    }

    /// The transaction before `hash` among its sender's.
    fn before(&self, hash: &B256) -> Option<(u128, Reverse<u64>, B256)> {
        let (address, nonce) = self.by_hash.get(hash)?;
        let sender = self.senders.get(address)?;
        sender
            .by_nonce
            .range(..nonce)
            .next_back()
            .map(|(_, waiting)| rank(waiting))
    }
}

/// What makes a transaction go first when room is needed: the least tip, of equals the latest.
fn rank(waiting: &Waiting) -> (u128, Reverse<u64>, B256) {
    (
        waiting.transaction.max_tip_per_gas(),
        Reverse(waiting.arrival),
        waiting.transaction.hash(),
    )
}
