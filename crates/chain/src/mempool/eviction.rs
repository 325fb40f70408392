//! Making room for a transaction that is worth more than what waits.

use super::{
    refusal::AddTransactionError,
    transactions::{Pool, Sender, Waiting},
};
use crate::transaction::Transaction;
use alloy_primitives::{Address, B256};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

/// What a transaction is worth to a block's proposer. Those that no block can take now count less
/// than any that pays: they cost their sender nothing, so they must not keep others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// A nonce before it is missing; its tip.
    Gapped(u128),
    /// It, or one of its sender that comes first, does not pay the base fee; the fee of that one.
    Unpayable(u128),
    /// A block could take it; what it tips, per gas.
    Payable(u128),
}

/// A sender's last transaction. The least of all goes first: what is worth least, of equals the
/// latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tail {
    worth: Worth,
    arrival: Reverse<u64>,
    sender: Address,
    nonce: u64,
    hash: B256,
}

/// How much of the pool's room is taken.
struct Room {
    transactions: usize,
    bytes: usize,
}

impl Room {
    fn free(&mut self, transaction: &Transaction) {
        self.transactions = self.transactions.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(transaction.raw().len());
    }
}

impl Pool {
    /// Evicts what is worth least until `transaction` fits, or nothing at all if it never would.
    ///
    /// Only the last nonce of a sender is ever evicted: what is before it would leave a gap.
    pub(super) fn make_room(
        &mut self,
        transaction: &Transaction,
        account_nonce: u64,
        replaced: Option<B256>,
    ) -> Result<(), AddTransactionError> {
        let mut room = Room {
            transactions: self.len(),
            bytes: self.bytes(),
        };
        if let Some(old) = replaced.and_then(|hash| self.get(&hash)) {
            room.free(old);
        }
        if self.fits(&room, transaction) {
            return Ok(());
        }
        let worth = self.worth(transaction, account_nonce);
        let all = self.take_tails();
        let evicted = self.cheaper(transaction, worth, room, &all);
        self.tails = Some(all);
        for hash in evicted? {
            self.remove(&hash);
        }
        Ok(())
    }

    fn fits(&self, room: &Room, transaction: &Transaction) -> bool {
        let bytes = room.bytes.saturating_add(transaction.raw().len());
        room.transactions < self.limits.transactions && bytes <= self.limits.transaction_bytes
    }

    /// What has to go for `transaction` to fit, all of it worth less.
    fn cheaper(
        &self,
        transaction: &Transaction,
        worth: Worth,
        mut room: Room,
        all: &BTreeSet<Tail>,
    ) -> Result<Vec<B256>, AddTransactionError> {
        let mut tails = all
            .iter()
            .filter(|tail| tail.sender != transaction.sender())
            .copied()
            .peekable();
        // Those that become last when what is after them goes.
        let mut uncovered = BinaryHeap::new();
        let mut evicted = Vec::new();
        while !self.fits(&room, transaction) {
            let next = match (tails.peek(), uncovered.peek()) {
                (Some(tail), Some(Reverse(other))) if tail < other => tails.next(),
                (_, Some(_)) => uncovered.pop().map(|Reverse(tail)| tail),
                (_, None) => tails.next(),
            };
            let tail = next
                .filter(|tail| tail.worth < worth)
                .ok_or(AddTransactionError::Full)?;
            if let Some(old) = self.get(&tail.hash) {
                room.free(old);
            }
            evicted.push(tail.hash);
            uncovered.extend(self.before(&tail).map(Reverse));
        }
        Ok(evicted)
    }

    /// The last transaction of every sender, kept from here on as they change.
    fn take_tails(&mut self) -> BTreeSet<Tail> {
        let tails = self.tails.take();
        tails.unwrap_or_else(|| {
            let senders = self.senders.keys();
            senders.filter_map(|sender| self.last(sender)).collect()
        })
    }

    /// Makes a change to what waits of `sender`, and keeps the tails what they are.
    pub(super) fn change(&mut self, sender: Address, change: impl FnOnce(&mut Self)) {
        if self.tails.is_none() {
            return change(self);
        }
        let before = self.last(&sender);
        change(self);
        let after = self.last(&sender);
        if let Some(tails) = &mut self.tails {
            if let Some(before) = before {
                tails.remove(&before);
            }
            tails.extend(after);
        }
    }

    /// Notes the base fee of the next block, by which transactions are judged.
    pub(super) fn set_base_fee(&mut self, base_fee_per_gas: u64) {
        if self.base_fee_per_gas != base_fee_per_gas {
            self.base_fee_per_gas = base_fee_per_gas;
            // They are judged anew when room is needed.
            self.tails = None;
        }
    }

    /// The last transaction of `address`.
    pub(super) fn last(&self, address: &Address) -> Option<Tail> {
        let sender = self.senders.get(address)?;
        let (_, waiting) = sender.by_nonce.last_key_value()?;
        Some(self.tail(sender, waiting))
    }

    /// The transaction before a sender's last.
    fn before(&self, tail: &Tail) -> Option<Tail> {
        let sender = self.senders.get(&tail.sender)?;
        let (_, waiting) = sender.by_nonce.range(..tail.nonce).next_back()?;
        Some(self.tail(sender, waiting))
    }

    fn tail(&self, sender: &Sender, waiting: &Waiting) -> Tail {
        let transaction = &waiting.transaction;
        Tail {
            worth: self.worth(transaction, sender.account_nonce),
            arrival: Reverse(waiting.arrival),
            sender: transaction.sender(),
            nonce: transaction.nonce(),
            hash: transaction.hash(),
        }
    }

    /// What `transaction`, which waits or could, is worth among the others of its sender, whose
    /// next nonce is `account_nonce`.
    fn worth(&self, transaction: &Transaction, account_nonce: u64) -> Worth {
        let nonce = transaction.nonce();
        let first = account_nonce.min(nonce);
        let before = self
            .senders
            .get(&transaction.sender())
            .into_iter()
            .flat_map(|sender| sender.by_nonce.range(first..nonce))
            .map(|(_, waiting)| &waiting.transaction);
        let mut tip = 0;
        for (expected, next) in (first..).zip(before.chain([transaction])) {
            if next.nonce() != expected {
                return Worth::Gapped(transaction.max_tip_per_gas());
            }
            match next.tip_per_gas(self.base_fee_per_gas) {
                Some(offered) => tip = offered,
                None => return Worth::Unpayable(next.max_fee_per_gas()),
            }
        }
        Worth::Payable(tip)
    }
}
