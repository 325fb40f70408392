//! What enters the mempool: transactions and records that could stand in the next block.

use crate::{application::now_ms, gossip::Outgoing, pool::Pool};
use alloy_primitives::{B256, Bytes, keccak256};
use commonware_runtime::{Clock, Spawner, reschedule};
use commonware_storage::Context as StorageContext;
use commonware_utils::channel::mpsc;
use og_chain::{
    Account, Attempt, Cache, Key, RecordError, Rules, Transaction, TransactionError,
    VerifiedRecord,
    mempool::{AddRecordError, AddTransactionError},
    records,
};
use og_state::{Databases, StateError, read_latest};
use og_types::{Canonical as _, DecodeError, SignedRecord};
use std::sync::Arc;
use tracing::warn;

/// Records that are checked at a time: more would hold up what shares a thread with them.
const MAX_CHECKED_TOGETHER: usize = 100;

/// Why something is not taken into the mempool.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A transaction that this chain can never include.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// A transaction that the mempool refuses.
    #[error(transparent)]
    AddTransaction(#[from] AddTransactionError),
    /// A record that the mempool refuses.
    #[error(transparent)]
    AddRecord(#[from] AddRecordError),
    /// Bytes that are no record.
    #[error("not a record: {0}")]
    Encoding(#[from] DecodeError),
    /// A record that no block could admit now.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Our own database failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl IntakeError {
    /// Whether nobody who checks before passing on would have sent this: it breaks a rule that
    /// neither time nor state decides. Checking costs signatures, so such a peer is left.
    pub const fn is_senders_fault(&self) -> bool {
        match self {
            Self::Transaction(_) | Self::Encoding(_) => true,
            Self::Record(error) => error.is_timeless(),
            Self::AddTransaction(_) | Self::AddRecord(_) | Self::State(_) => false,
        }
    }
}

/// Checks what clients and peers submit against the latest finalized state.
pub struct Intake<E: StorageContext + Spawner> {
    clock: Arc<E>,
    rules: Arc<Rules>,
    pool: Pool,
    databases: Databases<E>,
    outgoing: mpsc::Sender<Outgoing>,
}

impl<E: StorageContext + Spawner> Clone for Intake<E> {
    fn clone(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            rules: Arc::clone(&self.rules),
            pool: self.pool.clone(),
            databases: self.databases.clone(),
            outgoing: self.outgoing.clone(),
        }
    }
}

impl<E: StorageContext + Spawner> std::fmt::Debug for Intake<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl<E: StorageContext + Spawner + Clock> Intake<E> {
    /// An intake for `pool`; what clients submit goes out to peers through `outgoing`.
    pub fn new(
        clock: E,
        rules: Arc<Rules>,
        pool: Pool,
        databases: Databases<E>,
        outgoing: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self {
            clock: Arc::new(clock),
            rules,
            pool,
            databases,
            outgoing,
        }
    }

    /// Takes a client's transaction and passes it on; gives its hash.
    ///
    /// # Errors
    /// [`IntakeError`] says why it is not taken.
    pub async fn submit_transaction(&self, raw: Bytes) -> Result<B256, IntakeError> {
        if self.is_waiting(&keccak256(&raw)) {
            return Err(AddTransactionError::Known.into());
        }
        // To recover one sender takes tens of microseconds: no longer than a task may go on for.
        let transaction = Transaction::decode(&raw, self.rules.chain_id())?;
        let hash = transaction.hash();
        for added in self.add(vec![transaction]).await? {
            added?;
        }
        self.pass_on(Outgoing::Transaction(raw));
        Ok(hash)
    }

    /// Takes a gateway's records and passes them on; what became of each.
    ///
    /// # Errors
    /// [`StateError`] if our own database fails.
    pub async fn submit_records(
        &self,
        records: &[SignedRecord],
    ) -> Result<Vec<Result<(), IntakeError>>, StateError> {
        let results = self.accept_records(records).await?;
        for (signed, result) in records.iter().zip(&results) {
            if result.is_ok() {
                self.pass_on(Outgoing::Record(signed.to_bytes().into()));
            }
        }
        Ok(results)
    }

    /// Takes many transactions: a peer's, or those of a time before this process. What became of
    /// each that does not wait already. Recovering their senders takes all cores and holds up the
    /// caller's thread, so that it has to be one of its own.
    ///
    /// # Errors
    /// [`StateError`] if our own database fails.
    pub(crate) async fn accept_transactions(
        &self,
        raws: Vec<Bytes>,
    ) -> Result<Vec<Result<(), IntakeError>>, StateError> {
        let mut hashed: Vec<_> = raws.into_iter().map(|raw| (keccak256(&raw), raw)).collect();
        self.pool
            .with(|pool| hashed.retain(|(hash, _)| pool.transaction(hash).is_none()));
        let new: Vec<_> = hashed.into_iter().map(|(_, raw)| raw).collect();
        let mut results = Vec::with_capacity(new.len());
        let mut decoded = Vec::with_capacity(new.len());
        for result in Transaction::decode_all(&new, self.rules.chain_id()) {
            match result {
                Ok(transaction) => decoded.push(transaction),
                Err(error) => results.push(Err(error.into())),
            }
        }
        let added = self.add(decoded).await?;
        results.extend(added.into_iter().map(|added| added.map_err(Into::into)));
        Ok(results)
    }

    fn is_waiting(&self, hash: &B256) -> bool {
        self.pool.with(|pool| pool.transaction(hash).is_some())
    }

    /// Adds transactions to the mempool; what became of each.
    async fn add(
        &self,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<Result<(), AddTransactionError>>, StateError> {
        if transactions.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = now_ms(self.clock.as_ref());
        let senders = transactions.iter().map(Transaction::sender);
        let keys: Vec<_> = senders.map(Key::account).collect();
        let values = read_latest(&self.databases, &keys).await?;
        let accounts = keys.iter().zip(values).map(|(key, value)| {
            Account::from_value(value.as_ref())
                .map_err(|_| StateError::Corrupt(og_chain::StateError::Corrupt(*key)))
        });
        let accounts: Vec<_> = accounts.collect::<Result<_, _>>()?;
        let added = self.pool.put(|pool| {
            let each = transactions.into_iter().zip(&accounts);
            let add = |(transaction, account): (Transaction, &Account)| {
                let hash = transaction.hash();
                pool.add_transaction(transaction, account, now_ms)?;
                self.pool.announce(hash);
                Ok(())
            };
            each.map(add).collect()
        });
        Ok(added)
    }

    /// Takes many records, as bytes: a peer's, or those of a time before this process. What became of each.
    ///
    /// # Errors
    /// [`StateError`] if our own database fails.
    pub(crate) async fn accept_record_bytes(
        &self,
        records: &[Bytes],
    ) -> Result<Vec<Result<(), IntakeError>>, StateError> {
        let mut results = Vec::with_capacity(records.len());
        let mut decoded = Vec::with_capacity(records.len());
        for bytes in records {
            match SignedRecord::from_bytes(bytes) {
                Ok(signed) => decoded.push(signed),
                Err(error) => results.push(Err(error.into())),
            }
        }
        results.extend(self.accept_records(&decoded).await?);
        Ok(results)
    }

    async fn accept_records(
        &self,
        records: &[SignedRecord],
    ) -> Result<Vec<Result<(), IntakeError>>, StateError> {
        let mut checked = Vec::with_capacity(records.len());
        for records in records.chunks(MAX_CHECKED_TOGETHER) {
            checked.extend(self.check(records).await?);
            reschedule().await;
        }
        // Together, so that one block can take them all.
        let added = self.pool.put(|pool| {
            let add = |checked: Result<VerifiedRecord, RecordError>| Ok(pool.add_record(checked?)?);
            checked.into_iter().map(add).collect()
        });
        Ok(added)
    }

    async fn check(
        &self,
        records: &[SignedRecord],
    ) -> Result<Vec<Result<VerifiedRecord, RecordError>>, StateError> {
        let now_ms = now_ms(self.clock.as_ref());
        let mut cache = Cache::default();
        loop {
            let keys = match records::check_all(&self.rules, records, now_ms, &cache) {
                Attempt::Done(checked) => return Ok(checked),
                Attempt::Missing(keys) => keys,
            };
            let values = read_latest(&self.databases, &keys).await?;
            for (key, value) in keys.into_iter().zip(values) {
                cache.insert(key, value);
            }
        }
    }

    /// Transactions and records that wait to be sent to peers.
    pub fn waiting_for_peers(&self) -> usize {
        self.outgoing.max_capacity() - self.outgoing.capacity()
    }

    fn pass_on(&self, item: Outgoing) {
        // Not lost where the queue is full: it is in our own mempool and we propose in our turn.
        if self.outgoing.try_send(item).is_err() {
            warn!("the gossip queue is full");
        }
    }
}
