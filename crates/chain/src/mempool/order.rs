//! Which waiting transactions a block takes, and in which order.

use super::included::Included;
use super::transactions::{Pool, Waiting};
use crate::transaction::Transaction;
use og_types::limits::MAX_TRANSACTIONS_PER_BLOCK;
use std::{cmp::Reverse, collections::BinaryHeap};

impl Pool {
    /// What a block with this base fee could take that is not `included`: the best tip first, each sender's in the order
    /// of its nonces.
    pub(super) fn candidates(
        &self,
        base_fee_per_gas: u64,
        included: &Included,
    ) -> Vec<Transaction> {
        let mut chains: Vec<_> = self
            .senders
            .values()
            .map(|sender| {
                let is_left = |waiting: &&Waiting| !included.has_transaction(&waiting.transaction);
                sender.chain().filter(is_left).peekable()
            })
            .collect();
        // The next of each sender, the best tip on top, of equals the earliest.
        let rank = |waiting: &Waiting| {
            let tip = waiting.transaction.tip_per_gas(base_fee_per_gas)?;
            Some((tip, Reverse(waiting.arrival)))
        };
        let mut heads: BinaryHeap<_> = chains
            .iter_mut()
            .enumerate()
            .filter_map(|(position, chain)| Some((rank(chain.peek()?)?, position)))
            .collect();
        let mut taken = Vec::new();
        while taken.len() < MAX_TRANSACTIONS_PER_BLOCK
            && let Some((_, position)) = heads.pop()
            && let Some(chain) = chains.get_mut(position)
        {
            taken.extend(chain.next().map(|waiting| waiting.transaction.clone()));
            heads.extend(
                chain
                    .peek()
                    .and_then(|next| rank(next))
                    .map(|rank| (rank, position)),
            );
        }
        taken
    }

    /// Those that a block with this base fee could take, in no useful order.
    pub(super) fn payable(&self, base_fee_per_gas: u64) -> impl Iterator<Item = &Transaction> {
        self.senders.values().flat_map(move |sender| {
            sender
                .chain()
                .map(|waiting| &waiting.transaction)
                .take_while(move |transaction| transaction.tip_per_gas(base_fee_per_gas).is_some())
        })
    }
}
