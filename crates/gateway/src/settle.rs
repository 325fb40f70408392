//! Seeing every answer's record through to its receipt, in the background and across restarts.

use crate::{
    chain::{RecordProof, Submission, Validator},
    config::{
        MAX_CONCURRENT_QUERIES, MAX_PENDING, POLL_PAUSE_FIRST, POLL_PAUSE_LONGEST, RESUBMIT_AFTER,
    },
    error::error_chain,
    http::FetchError,
    operated::SettlementMetrics,
    store::{Store, StoreError},
};
use og_crypto::merkle::verify_inclusion;
use og_types::{Canonical as _, JobResult, Receipt, RequestId, SignedRecord};
use std::{collections::BTreeMap, future::Future, sync::Arc};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};

/// Where handlers leave the request ids of answers that they have just stored.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<RequestId>);

impl Queue {
    /// Leaves a request id. The store admits no more pending answers than the queue has room for,
    /// so this waits only while the settler starts up.
    pub(crate) async fn push(&self, id: RequestId) {
        if self.0.send(id).await.is_err() {
            tracing::info!(request_id = %id, "stopping: its record settles at the next start");
        }
    }
}

/// Settles what is pending in the store and what arrives in its queue.
pub(crate) struct Settler {
    store: Arc<Store>,
    validators: Arc<Vec<Validator>>,
    queries: Arc<Semaphore>,
    arrivals: mpsc::Receiver<RequestId>,
    metrics: SettlementMetrics,
}

impl Settler {
    pub(crate) fn new(
        store: Arc<Store>,
        validators: Vec<Validator>,
        metrics: SettlementMetrics,
    ) -> (Self, Queue) {
        let (sender, arrivals) = mpsc::channel(usize::try_from(MAX_PENDING).unwrap_or(usize::MAX));
        let settler = Self {
            store,
            validators: Arc::new(validators),
            queries: Arc::new(Semaphore::new(MAX_CONCURRENT_QUERIES)),
            arrivals,
            metrics,
        };
        (settler, Queue(sender))
    }

    /// Runs until `shutdown` completes. What is pending then stays in the store.
    ///
    /// # Errors
    /// [`StoreError`] if the pending answers cannot be listed.
    pub(crate) async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), StoreError> {
        let mut tasks = JoinSet::new();
        for id in self.store.pending_ids()? {
            tasks.spawn(self.case(id).run());
        }
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                Some(id) = self.arrivals.recv() => {
                    tasks.spawn(self.case(id).run());
                }
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "settling a record broke off: report it; a restart resumes it");
                    }
                }
            }
        }
    }

    fn case(&self, id: RequestId) -> Case {
        Case {
            id,
            store: self.store.clone(),
            validators: self.validators.clone(),
            queries: self.queries.clone(),
            metrics: self.metrics.clone(),
            begun: Instant::now(),
        }
    }
}

/// One record on its way.
struct Case {
    id: RequestId,
    store: Arc<Store>,
    validators: Arc<Vec<Validator>>,
    queries: Arc<Semaphore>,
    metrics: SettlementMetrics,
    begun: Instant,
}

/// What one validator knows of a record.
enum Word {
    /// It is final, and here is the proof.
    Proof(Box<RecordProof>),
    /// It will never be final, for this reason.
    Never(String),
    /// Nothing yet.
    NotYet,
}

/// How a case ended.
enum Outcome {
    Final(Box<RecordProof>),
    Failed(String),
}

impl Case {
    async fn run(self) {
        let settled = match self.load().await {
            Ok(Some(result)) => {
                let outcome = self.decide(&result.record).await;
                self.close(result, outcome).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            tracing::error!(request_id = %self.id, error = error_chain(&error), "a record is not settled: make room on the disk or repair it, then restart");
        }
    }

    async fn load(&self) -> Result<Option<JobResult>, StoreError> {
        let (store, id) = (self.store.clone(), self.id);
        blocking(move || store.pending(&id)).await
    }

    async fn close(&self, result: JobResult, outcome: Outcome) -> Result<(), StoreError> {
        let (store, id) = (self.store.clone(), self.id);
        let (metrics, waited) = (self.metrics.clone(), self.begun.elapsed());
        blocking(move || match outcome {
            Outcome::Final(proof) => {
                tracing::debug!(request_id = %id, height = proof.header.height, "record is final");
                metrics.settled(waited);
                store.settle(&id, &assemble(result, *proof))
            }
            Outcome::Failed(reason) => {
                tracing::warn!(request_id = %id, reason, "record will never be final");
                metrics.failed();
                store.fail(&id, &reason)
            }
        })
        .await
    }

    /// Asks one validator after another until one proves the record final, or most of them say
    /// that it never will be. One validator's word is enough for a proof and never for a refusal.
    async fn decide(&self, record: &SignedRecord) -> Outcome {
        let mut refusals = BTreeMap::new();
        let mut accepted_at: Option<Instant> = None;
        let mut pause = POLL_PAUSE_FIRST;
        for index in (0..self.validators.len()).cycle() {
            match self.ask(index, record, &mut accepted_at).await {
                Ok(Word::Proof(proof)) => return Outcome::Final(proof),
                Ok(Word::Never(reason)) => {
                    refusals.insert(index, reason.clone());
                    if refusals.len() * 2 > self.validators.len() {
                        return Outcome::Failed(reason);
                    }
                    // The others are asked at once: the client should not wait to be told.
                    continue;
                }
                Ok(Word::NotYet) => {
                    refusals.remove(&index);
                }
                Err(error) => {
                    tracing::debug!(request_id = %self.id, index, %error, "validator has no word");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_PAUSE_LONGEST);
        }
        Outcome::Failed("no validators are configured".to_owned())
    }

    /// One validator's word. Its time is asked before its proofs, so that no block can slip in
    /// between: past the record's window and without a proof, it can no longer be admitted.
    async fn ask(
        &self,
        index: usize,
        signed: &SignedRecord,
        accepted_at: &mut Option<Instant>,
    ) -> Result<Word, FetchError> {
        let Some(validator) = self.validators.get(index) else {
            return Ok(Word::NotYet);
        };
        let _permit = self.queries.acquire().await;
        let time_ms = validator.time_ms().await?;
        if let Some(proof) = validator.record_proof(&self.id).await? {
            return judge(signed, proof);
        }
        if time_ms > signed.record.valid_until_ms {
            return Ok(Word::Never(format!(
                "the record expired: no block until {} admitted it",
                signed.record.valid_until_ms
            )));
        }
        if accepted_at.is_some_and(|at| at.elapsed() < RESUBMIT_AFTER) {
            return Ok(Word::NotYet);
        }
        match validator.submit(signed).await? {
            Submission::Accepted => *accepted_at = Some(Instant::now()),
            Submission::Refused(reason) => return Ok(Word::Never(reason)),
            Submission::NotNow(reason) => {
                tracing::debug!(request_id = %self.id, index, reason, "record not taken now");
            }
        }
        Ok(Word::NotYet)
    }
}

/// Checks a proof as far as it binds the record to the header. The certificate is for whoever
/// verifies the receipt: the gateway passes it on and vouches for nothing.
fn judge(signed: &SignedRecord, proof: RecordProof) -> Result<Word, FetchError> {
    if proof.header.chain_id != signed.record.chain_id {
        return Err(FetchError::Malformed(
            "a proof from another chain".to_owned(),
        ));
    }
    verify_inclusion(
        &proof.record.to_bytes(),
        &proof.inclusion,
        &proof.header.records_root,
    )
    .map_err(|error| FetchError::Malformed(error.to_string()))?;
    if proof.record != *signed {
        return Ok(Word::Never(format!(
            "another record was admitted for this request id, by node {}",
            proof.record.record.node
        )));
    }
    Ok(Word::Proof(Box::new(proof)))
}

fn assemble(result: JobResult, proof: RecordProof) -> Receipt {
    Receipt {
        version: 1,
        record: result.record,
        opening: result.opening,
        evidence: result.evidence,
        inclusion: proof.inclusion,
        header: proof.header,
        descendants: proof.descendants,
        finalization: proof.finalization,
    }
}

/// Runs a database operation where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(operation).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
