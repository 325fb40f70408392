//! Transactions that wait: by sender and nonce, best tip first.

use super::{MAX_TRANSACTION_AGE_MS, MIN_TIP_PER_GAS, MempoolLimits};
use crate::{state::Account, transaction::Transaction};
use alloy_primitives::{Address, B256, U256};
use og_types::limits::MAX_TRANSACTIONS_PER_BLOCK;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// Percent by which both fees of a replacement must exceed those of what it replaces.
const REPLACEMENT_BUMP_PERCENT: u128 = 10;

/// Why a transaction does not wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddTransactionError {
    /// This very transaction waits already.
    #[error("already known")]
    Known,
    /// Its nonce has been used.
    #[error("nonce too low: next nonce {expected}, tx nonce {found}")]
    NonceTooLow {
        /// The account's nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// Its nonce is so far ahead that the gap could not be filled here.
    #[error("nonce too high: next nonce {expected}, tx nonce {found}")]
    NonceTooHigh {
        /// The account's nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The sender cannot pay for it and for what waits of it already.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, needed {needed} with what waits already"
    )]
    Funds {
        /// The account's balance.
        balance: U256,
        /// What all its transactions could cost.
        needed: U256,
    },
    /// It has the nonce of one that waits and does not pay enough more.
    #[error(
        "replacement transaction underpriced: both fees must be {REPLACEMENT_BUMP_PERCENT} % higher"
    )]
    Underpriced,
    /// It tips nothing. What waits must cost something, or whoever has no money fills the pool.
    #[error("transaction underpriced: gas tip cap {found}, minimum needed {MIN_TIP_PER_GAS}")]
    NoTip {
        /// The transaction's, in wei.
        found: u128,
    },
    /// Too many of this sender wait.
    #[error("account limit exceeded: {0} transactions of this sender are waiting")]
    SenderLimit(usize),
    /// The pool is full of transactions that tip at least as much.
    #[error("txpool is full")]
    Full,
}

/// A transaction that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) transaction: Transaction,
    pub(super) arrival: u64,
    since_ms: u64,
}

/// What one sender has waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    /// The account's nonce as last heard: the first that a block can take.
    account_nonce: u64,
    pub(super) by_nonce: BTreeMap<u64, Waiting>,
}

impl Sender {
    /// The transactions that a block could take one after another.
    fn chain(&self) -> impl Iterator<Item = &Waiting> {
        (self.account_nonce..)
            .zip(self.by_nonce.range(self.account_nonce..))
            .take_while(|(expected, (nonce, _))| expected == *nonce)
            .map(|(_, (_, waiting))| waiting)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    pub(super) limits: MempoolLimits,
    pub(super) senders: BTreeMap<Address, Sender>,
    pub(super) by_hash: BTreeMap<B256, (Address, u64)>,
    bytes: usize,
    next_arrival: u64,
}

impl Pool {
    pub(super) fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub(super) fn add(
        &mut self,
        transaction: Transaction,
        account: &Account,
        now_ms: u64,
    ) -> Result<(), AddTransactionError> {
        if self.by_hash.contains_key(&transaction.hash()) {
            return Err(AddTransactionError::Known);
        }
        self.drop_used(transaction.sender(), account.nonce);
        let found = transaction.max_tip_per_gas();
        if found < MIN_TIP_PER_GAS {
            return Err(AddTransactionError::NoTip { found });
        }
        self.check_nonce(&transaction, account)?;
        self.check_funds(&transaction, account)?;
        let replaced = self.replaced(&transaction)?;
        if replaced.is_none() {
            self.check_sender_limit(&transaction)?;
        }
        self.make_room(&transaction, replaced)?;
        if let Some(hash) = replaced {
            self.remove(&hash);
        }
        self.insert(transaction, account.nonce, now_ms);
        Ok(())
    }

    fn check_nonce(
        &self,
        transaction: &Transaction,
        account: &Account,
    ) -> Result<(), AddTransactionError> {
        let (expected, found) = (account.nonce, transaction.nonce());
        let Some(ahead) = found.checked_sub(expected) else {
            return Err(AddTransactionError::NonceTooLow { expected, found });
        };
        if usize::try_from(ahead).is_ok_and(|ahead| ahead < self.limits.sender_transactions) {
            return Ok(());
        }
        Err(AddTransactionError::NonceTooHigh { expected, found })
    }

    fn check_funds(
        &self,
        transaction: &Transaction,
        account: &Account,
    ) -> Result<(), AddTransactionError> {
        let needed = self
            .waiting_of(&transaction.sender())
            .filter(|other| other.transaction.nonce() != transaction.nonce())
            .fold(transaction.maximum_cost(), |sum, other| {
                sum.saturating_add(other.transaction.maximum_cost())
            });
        if needed <= account.balance {
            return Ok(());
        }
        Err(AddTransactionError::Funds {
            balance: account.balance,
            needed,
        })
    }

    /// The transaction that this one replaces, if it pays enough for that.
    fn replaced(&self, transaction: &Transaction) -> Result<Option<B256>, AddTransactionError> {
        let Some(old) = self
            .senders
            .get(&transaction.sender())
            .and_then(|sender| sender.by_nonce.get(&transaction.nonce()))
            .map(|waiting| &waiting.transaction)
        else {
            return Ok(None);
        };
        let fees = [
            (old.max_fee_per_gas(), transaction.max_fee_per_gas()),
            (old.max_tip_per_gas(), transaction.max_tip_per_gas()),
        ];
        if fees.iter().all(|(old, new)| is_bumped(*old, *new)) {
            return Ok(Some(old.hash()));
        }
        Err(AddTransactionError::Underpriced)
    }

    fn check_sender_limit(&self, transaction: &Transaction) -> Result<(), AddTransactionError> {
        let waiting = self.waiting_of(&transaction.sender()).count();
        if waiting < self.limits.sender_transactions {
            return Ok(());
        }
        Err(AddTransactionError::SenderLimit(waiting))
    }

    fn insert(&mut self, transaction: Transaction, account_nonce: u64, now_ms: u64) {
        let (address, nonce) = (transaction.sender(), transaction.nonce());
        self.by_hash.insert(transaction.hash(), (address, nonce));
        self.bytes = self.bytes.saturating_add(transaction.raw().len());
        let sender = self.senders.entry(address).or_default();
        sender.account_nonce = sender.account_nonce.max(account_nonce);
        sender.by_nonce.insert(
            nonce,
            Waiting {
                transaction,
                arrival: self.next_arrival,
                since_ms: now_ms,
            },
        );
        self.next_arrival = self.next_arrival.saturating_add(1);
    }

    pub(super) fn remove(&mut self, hash: &B256) {
        let Some((address, nonce)) = self.by_hash.remove(hash) else {
            return;
        };
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        if let Some(waiting) = sender.by_nonce.remove(&nonce) {
            self.bytes = self.bytes.saturating_sub(waiting.transaction.raw().len());
        }
        if sender.by_nonce.is_empty() {
            self.senders.remove(&address);
        }
    }

    /// Notes an account's nonce and drops what it has passed.
    fn drop_used(&mut self, address: Address, account_nonce: u64) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        // Whoever read an older state cannot take back what has been heard since.
        sender.account_nonce = sender.account_nonce.max(account_nonce);
        let used: Vec<B256> = sender
            .by_nonce
            .range(..account_nonce)
            .map(|(_, waiting)| waiting.transaction.hash())
            .collect();
        for hash in used {
            self.remove(&hash);
        }
    }

    pub(super) fn candidates(&self, base_fee_per_gas: u64) -> Vec<Transaction> {
        let mut chains: Vec<_> = self
            .senders
            .values()
            .map(|sender| sender.chain().peekable())
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

    pub(super) fn on_finalized(&mut self, included: &[Transaction], now_ms: u64) {
        for transaction in included {
            self.drop_used(transaction.sender(), transaction.nonce().saturating_add(1));
        }
        let old: Vec<B256> = self
            .senders
            .values()
            .flat_map(|sender| sender.by_nonce.values())
            .filter(|waiting| now_ms.saturating_sub(waiting.since_ms) > MAX_TRANSACTION_AGE_MS)
            .map(|waiting| waiting.transaction.hash())
            .collect();
        for hash in old {
            self.remove(&hash);
        }
    }

    fn waiting_of(&self, sender: &Address) -> impl Iterator<Item = &Waiting> {
        self.senders
            .get(sender)
            .into_iter()
            .flat_map(|sender| sender.by_nonce.values())
    }

    pub(super) fn get(&self, hash: &B256) -> Option<&Transaction> {
        let (address, nonce) = self.by_hash.get(hash)?;
        let waiting = self.senders.get(address)?.by_nonce.get(nonce)?;
        Some(&waiting.transaction)
    }

    pub(super) fn next_nonce(&self, sender: &Address) -> Option<u64> {
        let last = self.senders.get(sender)?.chain().last()?;
        last.transaction.nonce().checked_add(1)
    }

    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whether `new` is at least [`REPLACEMENT_BUMP_PERCENT`] above `old`, and above it at all.
fn is_bumped(old: u128, new: u128) -> bool {
    let raise = old
        .saturating_mul(REPLACEMENT_BUMP_PERCENT)
        .div_ceil(100)
        .max(1);
    new >= old.saturating_add(raise)
}
