//! A running validator, as JSON-RPC sees it.

use crate::figures::Figures;
use alloy_primitives::{Address, B256, Bytes};
use commonware_codec::Encode as _;
use commonware_consensus::types::Height;
use commonware_runtime::tokio::Context;
use og_chain::{Block, Effects, Key, Rules, Transaction};
use og_consensus::{Intake, Observer, Pool, epochs::Marshal, intake::IntakeError};
use og_rpc::index::IndexError;
use og_rpc::{Chain, Index, MempoolSize, ProvenView, ReadError, StateView, SubmitError, Waiting};
use og_state::{Databases, StateError, is_empty, prove_latest, read_latest};
use og_types::{Header, SignedRecord};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{broadcast, watch};
use tracing::warn;

/// Pause before the state is read again while a block is being applied.
const STATE_RETRY: Duration = Duration::from_millis(1);
/// Reads before giving up: a block is applied within milliseconds.
const MAX_STATE_RETRIES: usize = 2000;
/// Pause before a certificate that was not there is asked for again.
const CERTIFICATE_RETRY: Duration = Duration::from_millis(50);
/// Heights below the newest block whose certificate may still arrive.
const CERTIFICATE_DEPTH: u64 = 64;

/// Writes every finalized block to the index before consensus forgets it.
#[derive(Clone, Debug)]
pub(crate) struct IndexObserver {
    index: Arc<Index>,
    figures: Figures,
    height: watch::Sender<u64>,
}

impl IndexObserver {
    pub(crate) fn new(index: Arc<Index>, figures: Figures) -> Self {
        Self {
            index,
            figures,
            height: watch::Sender::default(),
        }
    }

    /// The height of the newest block in the index, as it grows.
    pub(crate) fn heights(&self) -> watch::Receiver<u64> {
        self.height.subscribe()
    }
}

impl Observer for IndexObserver {
    async fn finalized(&self, block: &Block, effects: &Effects) {
        let appended = tokio::task::block_in_place(|| append(&self.index, block, effects));
        // The stateful machine's contract: stop rather than lose a block that is final.
        if let Err(error) = appended {
            panic!("the index of blocks failed: {error}");
        }
        self.figures.finalized(block);
        self.height.send_replace(block.header().height);
    }
}

/// Appends a block; behind a gap, which only a state sync leaves, the index starts anew.
fn append(index: &Index, block: &Block, effects: &Effects) -> Result<(), IndexError> {
    match index.append(block, effects) {
        Err(IndexError::Gap { expected, found }) if found > expected => {
            warn!(
                expected,
                found, "a state sync has skipped blocks: JSON-RPC knows those from here on"
            );
            index.restart(block, effects)
        }
        result => result,
    }
}

/// Copies certificates from consensus to the index as blocks become final.
pub(crate) async fn keep_certificates(
    index: Arc<Index>,
    marshal: Marshal,
    mut heights: watch::Receiver<u64>,
) {
    let mut wanted = BTreeSet::new();
    let mut known = index.head().ok().flatten().map_or(0, |block| {
        block.header().height.saturating_sub(CERTIFICATE_DEPTH)
    });
    loop {
        tokio::select! {
            changed = heights.changed() => if changed.is_err() {
                return;
            },
            // The newest block's certificate may come just after it, and the next block late.
            () = tokio::time::sleep(CERTIFICATE_RETRY), if wanted.contains(&known) => {}
        }
        let head = *heights.borrow_and_update();
        known = known.max(head.saturating_sub(CERTIFICATE_DEPTH));
        wanted.extend(known.saturating_add(1)..=head);
        known = known.max(head);
        // A block below that has none became final through a descendant's.
        wanted = wanted.split_off(&head.saturating_sub(CERTIFICATE_DEPTH));
        for height in wanted.clone() {
            let Some(finalization) = marshal.get_finalization(Height::new(height)).await else {
                continue;
            };
            match index.set_finalization(height, &finalization.encode()) {
                Ok(()) => {
                    wanted.remove(&height);
                }
                Err(error) => warn!(%error, height, "a certificate is not kept"),
            }
        }
    }
}

/// Answers JSON-RPC from the index, the mempool and the newest final state.
pub(crate) struct ChainApi {
    pub(crate) rules: Arc<Rules>,
    pub(crate) index: Arc<Index>,
    pub(crate) pool: Pool,
    pub(crate) intake: Intake<Context>,
    pub(crate) databases: Databases<Context>,
    pub(crate) figures: Figures,
    pub(crate) heights: watch::Receiver<u64>,
    pub(crate) submission_patience: Duration,
}

fn unreadable(error: impl std::fmt::Display) -> ReadError {
    ReadError(error.to_string())
}

fn refusal(error: IntakeError) -> SubmitError {
    match error {
        IntakeError::Transaction(error) => error.into(),
        IntakeError::AddTransaction(error) => error.into(),
        IntakeError::AddRecord(error) => error.into(),
        IntakeError::Record(error) => error.into(),
        IntakeError::Encoding(error) => SubmitError::Refused(error.to_string()),
        IntakeError::State(error) => SubmitError::Internal(error.to_string()),
    }
}

impl ChainApi {
    /// Reads the state after the newest block of the index; `read` gives the root of what it has read, or nothing if
    /// that changed meanwhile. The state is applied before its block is in the index, so between the two it is read again.
    async fn at_head<T, F>(
        &self,
        read: impl Fn() -> F + Send + Sync,
    ) -> Result<(Header, T), ReadError>
    where
        F: Future<Output = Result<Option<(B256, T)>, StateError>> + Send,
    {
        for _ in 0..MAX_STATE_RETRIES {
            let head = self.index.head().map_err(unreadable)?;
            let header = head
                .ok_or_else(|| unreadable("there is no block yet"))?
                .header()
                .clone();
            if let Some((root, value)) = read().await.map_err(unreadable)? {
                // The genesis header names no root. While state is synced it is the newest header.
                let same = if header.height == 0 {
                    is_empty(&self.databases).await
                } else {
                    header.state_root == root
                };
                if same {
                    return Ok((header, value));
                }
            }
            tokio::time::sleep(STATE_RETRY).await;
        }
        Err(unreadable("blocks come too fast to read one; try again"))
    }
}

impl Chain for ChainApi {
    fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    fn index(&self) -> &Arc<Index> {
        &self.index
    }

    async fn state(&self, keys: Vec<Key>) -> Result<StateView, ReadError> {
        let read = async || {
            let before = self.databases.read().await.root();
            let values = read_latest(&self.databases, &keys).await?;
            let after = self.databases.read().await.root();
            Ok((before == after).then_some((after.0.into(), values)))
        };
        let (header, values) = self.at_head(read).await?;
        Ok(StateView { header, values })
    }

    async fn prove(&self, keys: Vec<Key>) -> Result<ProvenView, ReadError> {
        let read = async || prove_latest(&self.databases, &keys).await.map(Some);
        let (header, entries) = self.at_head(read).await?;
        Ok(ProvenView { header, entries })
    }

    async fn submit_transaction(&self, raw: Bytes) -> Result<B256, SubmitError> {
        let result = self.intake.submit_transaction(raw).await;
        self.figures.submitted("transaction", &result);
        result.map_err(refusal)
    }

    fn submission_patience(&self) -> Duration {
        self.submission_patience
    }

    async fn submit_records(
        &self,
        records: Vec<SignedRecord>,
    ) -> Result<Vec<Result<(), SubmitError>>, ReadError> {
        let results = self.intake.submit_records(&records).await;
        let told = results.map_err(unreadable)?.into_iter().map(|result| {
            self.figures.submitted("record", &result);
            result.map_err(refusal)
        });
        Ok(told.collect())
    }

    fn pending_transaction(&self, hash: &B256) -> Option<Transaction> {
        self.pool.with(|pool| pool.transaction(hash).cloned())
    }

    fn pending_nonce(&self, sender: &Address) -> Option<u64> {
        self.pool.with(|pool| pool.next_nonce(sender))
    }

    fn heights(&self) -> watch::Receiver<u64> {
        self.heights.clone()
    }

    fn new_transactions(&self) -> broadcast::Receiver<B256> {
        self.pool.new_transactions()
    }

    fn waiting_transactions(&self, sender: Option<&Address>) -> Vec<Waiting> {
        self.pool.with(|pool| {
            let waiting = pool
                .waiting(sender)
                .map(|(transaction, executable)| Waiting {
                    transaction: transaction.clone(),
                    executable,
                });
            waiting.collect()
        })
    }

    fn mempool_size(&self) -> MempoolSize {
        self.pool.with(|pool| MempoolSize {
            transactions: pool.transaction_count(),
            records: pool.record_count(),
        })
    }

    fn peers(&self) -> Option<usize> {
        Some(self.figures.peers())
    }
}
