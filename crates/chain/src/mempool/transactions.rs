//! Transactions that wait: by sender and nonce, within the pool's limits.

use super::{
    MAX_TRANSACTION_AGE_MS, MIN_TIP_PER_GAS, MempoolLimits, eviction::Tail,
    refusal::AddTransactionError,
};
use crate::{state::Account, transaction::Transaction};
use alloy_primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};

/// Percent by which both fees of a replacement must exceed those of what it replaces.
pub(super) const REPLACEMENT_BUMP_PERCENT: u128 = 10;

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
    pub(super) account_nonce: u64,
    pub(super) by_nonce: BTreeMap<u64, Waiting>,
}

impl Sender {
    /// The transactions that a block could take one after another.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Waiting> {
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
    by_arrival: BTreeMap<u64, B256>,
    bytes: usize,
    next_arrival: u64,
    /// The base fee of the next block, as last heard.
    pub(super) base_fee_per_gas: u64,
    /// Each sender's last transaction; worked out when room is needed, and kept from then on.
    pub(super) tails: Option<BTreeSet<Tail>>,
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
        // Whoever read an older state cannot take back what has been heard since.
        let heard = self.senders.get(&transaction.sender());
        let account_nonce = heard.map_or(0, |sender| sender.account_nonce);
        let account_nonce = account_nonce.max(account.nonce);
        self.check_nonce(&transaction, account_nonce)?;
        self.check_funds(&transaction, account)?;
        let replaced = self.replaced(&transaction)?;
        self.make_room(&transaction, account_nonce, replaced)?;
        if let Some(hash) = replaced {
            self.remove(&hash);
        }
        self.insert(transaction, account_nonce, now_ms);
        Ok(())
    }

    /// Bounds what one sender has waiting as well: each of its nonces waits once.
    fn check_nonce(
        &self,
        transaction: &Transaction,
        expected: u64,
    ) -> Result<(), AddTransactionError> {
        let found = transaction.nonce();
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
        let (balance, cost) = (account.balance, transaction.maximum_cost());
        let queued = self
            .waiting_of(&transaction.sender())
            .filter(|other| other.transaction.nonce() != transaction.nonce())
            .fold(U256::ZERO, |sum, other| {
                sum.saturating_add(other.transaction.maximum_cost())
            });
        if queued.saturating_add(cost) <= balance {
            return Ok(());
        }
        Err(AddTransactionError::Funds {
            balance,
            queued,
            cost,
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

    fn insert(&mut self, transaction: Transaction, account_nonce: u64, now_ms: u64) {
        let (address, nonce) = (transaction.sender(), transaction.nonce());
        let (hash, arrival) = (transaction.hash(), self.next_arrival);
        self.by_hash.insert(hash, (address, nonce));
        self.by_arrival.insert(arrival, hash);
        self.bytes = self.bytes.saturating_add(transaction.raw().len());
        self.next_arrival = arrival.saturating_add(1);
        let waiting = Waiting {
            transaction,
            arrival,
            since_ms: now_ms,
        };
        self.change(address, |pool| {
            let sender = pool.senders.entry(address).or_default();
            sender.account_nonce = sender.account_nonce.max(account_nonce);
            sender.by_nonce.insert(nonce, waiting);
        });
    }

    pub(super) fn remove(&mut self, hash: &B256) {
        let Some((address, nonce)) = self.by_hash.remove(hash) else {
            return;
        };
        self.change(address, |pool| {
            let Some(sender) = pool.senders.get_mut(&address) else {
                return;
            };
            if let Some(waiting) = sender.by_nonce.remove(&nonce) {
                pool.by_arrival.remove(&waiting.arrival);
                pool.bytes = pool.bytes.saturating_sub(waiting.transaction.raw().len());
            }
            if sender.by_nonce.is_empty() {
                pool.senders.remove(&address);
            }
        });
    }

    /// Notes an account's nonce and drops what it has passed.
    fn drop_used(&mut self, address: Address, account_nonce: u64) {
        let Some(sender) = self.senders.get(&address) else {
            return;
        };
        if account_nonce <= sender.account_nonce {
            return;
        }
        let used: Vec<B256> = sender
            .by_nonce
            .range(..account_nonce)
            .map(|(_, waiting)| waiting.transaction.hash())
            .collect();
        self.change(address, |pool| {
            if let Some(sender) = pool.senders.get_mut(&address) {
                sender.account_nonce = account_nonce;
            }
        });
        for hash in used {
            self.remove(&hash);
        }
    }

    /// Forgets what a block took and what has waited too long; `base_fee_per_gas` is the next's.
    pub(super) fn on_finalized(
        &mut self,
        included: &[Transaction],
        now_ms: u64,
        base_fee_per_gas: u64,
    ) {
        self.set_base_fee(base_fee_per_gas);
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

    /// What waits, of one sender or of all, ordered by sender and nonce; with whether a block
    /// could take it.
    pub(super) fn waiting(
        &self,
        sender: Option<&Address>,
    ) -> impl Iterator<Item = (&Transaction, bool)> {
        let senders = match sender {
            Some(address) => self.senders.range(*address..=*address),
            None => self.senders.range(Address::ZERO..),
        };
        senders.flat_map(|(_, sender)| {
            let first = sender.account_nonce;
            let count = u64::try_from(sender.chain().count()).unwrap_or(u64::MAX);
            let executable = first..first.saturating_add(count);
            let waiting = sender.by_nonce.iter();
            waiting.map(move |(nonce, one)| (&one.transaction, executable.contains(nonce)))
        })
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

    /// Those that arrived at `arrival` or later, each with when it did, in that order.
    pub(super) fn since(&self, arrival: u64) -> impl Iterator<Item = (u64, &Transaction)> {
        let arrived = self.by_arrival.range(arrival..);
        arrived.filter_map(|(arrival, hash)| Some((*arrival, self.get(hash)?)))
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
