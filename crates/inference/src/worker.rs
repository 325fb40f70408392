//! The worker: runs a job and signs what it did.

use crate::ledger::{Ledger, LedgerError};
use alloy_primitives::{Address, B256, Bytes};
use og_crypto::{NodeKey, commit_input, commit_output};
use og_engine::{Backend, Library, LibraryError, Pieces, RunError};
use og_types::{
    Canonical as _, Computed, DecodeError, InferenceRequest, InferenceResponse, InputError, Job,
    JobResult, ModelId, NodeId, Opening, Record, Refusal, RequestId, SignedRecord, Tensor,
    TensorsError, Tier, count_elements, limits::MAX_VALIDITY_WINDOW_MS,
};
use std::sync::Arc;

/// A record may be admitted in blocks from this long before it was signed, as clocks differ.
pub const RECORD_SLACK_MS: u64 = 60 * 1000;
/// A record may be admitted until this long after it was signed.
pub const RECORD_LIFETIME_MS: u64 = 5 * 60 * 1000;
const _: () = assert!(RECORD_SLACK_MS + RECORD_LIFETIME_MS <= MAX_VALIDITY_WINDOW_MS);

/// Tells the time, Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Draws a salt that nobody can guess.
pub type SaltSource = Arc<dyn Fn() -> B256 + Send + Sync>;

/// What makes a worker.
pub struct WorkerConfig {
    /// Signs records; its public half must be registered on the chain.
    pub key: NodeKey,
    /// Whom records name as payee: the one that the node is registered with.
    pub payee: Address,
    /// The chain that records settle on.
    pub chain_id: u64,
    /// That chain's genesis hash, under which records are signed.
    pub genesis_hash: B256,
    /// The models it runs.
    pub library: Arc<Library>,
    /// Its memory of the requests that it answered; of one key, one ledger.
    pub ledger: Ledger,
    /// Tells the time.
    pub clock: Clock,
    /// Draws salts.
    pub salts: SaltSource,
}

/// Runs jobs and signs their records. Threads share it.
pub struct Worker {
    config: WorkerConfig,
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A version of the job or of its request that this node does not know.
    #[error("{0} version {1}: this node knows version 1")]
    Version(&'static str, u16),
    /// The request's bytes are no request.
    #[error("request: {0}")]
    Request(#[from] DecodeError),
    /// The inputs are not what the model takes.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The inputs ask for something that the model cannot do.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The model is not here.
    #[error("{0}")]
    UnknownModel(String),
    /// The request id was used.
    #[error("request id {0} was answered already: choose a new one at random")]
    Used(RequestId),
    /// The node has more to do than it takes on.
    #[error("{0}")]
    Busy(String),
    /// The model failed on inputs that fit its description.
    #[error("{0}")]
    Model(String),
    /// The node's own disk or memory failed; the text is for its operator.
    #[error("the node failed: {0}")]
    Node(String),
}

impl From<LedgerError> for JobError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Used(id) => Self::Used(id),
            LedgerError::Full | LedgerError::Quiet { .. } => Self::Busy(error.to_string()),
            LedgerError::Foreign(_) | LedgerError::Journal(_) => Self::Node(error.to_string()),
        }
    }
}

impl From<LibraryError> for JobError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Unknown(_) => Self::UnknownModel(error.to_string()),
            _ => Self::Node(error.to_string()),
        }
    }
}

impl From<RunError> for JobError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Input(error) => Self::Input(error),
            RunError::Refused(refusal) => Self::Refused(refusal),
            RunError::Busy(reason) => Self::Busy(reason),
            other => Self::Model(other.to_string()),
        }
    }
}

impl From<TensorsError> for JobError {
    fn from(error: TensorsError) -> Self {
        Self::Input(error.into())
    }
}

impl Worker {
    /// A worker.
    pub fn new(config: WorkerConfig) -> Self {
        Self { config }
    }

    /// The node that its records name.
    pub fn node_id(&self) -> NodeId {
        self.config.key.id()
    }

    /// The models it runs.
    pub fn library(&self) -> &Library {
        &self.config.library
    }

    /// Checks the memory of answered requests, without which nothing is signed.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be written, or nothing may be signed yet.
    pub fn check_ledger(&self) -> Result<(), LedgerError> {
        self.config.ledger.check((self.config.clock)())
    }

    /// Runs the job's model on its inputs and signs a record of it. `pieces` get a language model's answer as it comes.
    ///
    /// Dropping the future ends the run. A request id is used up when its record is signed, not by a job that fails or
    /// is dropped before.
    ///
    /// # Errors
    /// [`JobError`] says whose fault it is and what to do.
    pub async fn run(self: &Arc<Self>, job: Job, pieces: Pieces) -> Result<JobResult, JobError> {
        let request = self.check(&job)?;
        let model = self.model(request.model).await?;
        let started_at_ms = (self.config.clock)();
        let computed = model.computed();
        let outputs = model.run(request.inputs.clone(), job.seed, pieces).await?;
        self.attest(&job, &request, computed, started_at_ms, outputs)
    }

    /// Counts the tokens of the prompt that a request's model would read. Nothing is run, and nothing signed.
    ///
    /// # Errors
    /// [`JobError`] says whose fault it is and what to do.
    pub async fn count_prompt(self: &Arc<Self>, bytes: Bytes) -> Result<u32, JobError> {
        let request = read_request(&bytes)?;
        let model = self.model(request.model).await?;
        Ok(model.count_prompt(request.inputs).await?)
    }

    /// What runs a model; waits while it is loaded, where it is not in memory.
    async fn model(self: &Arc<Self>, id: ModelId) -> Result<Arc<dyn Backend>, JobError> {
        if let Some(model) = self.config.library.get_loaded(&id) {
            return Ok(model);
        }
        let worker = self.clone();
        let loading = tokio::task::spawn_blocking(move || worker.config.library.get(&id));
        match loading.await {
            Ok(model) => Ok(model?),
            Err(error) => Err(JobError::Node(error.to_string())),
        }
    }

    /// The result of a run, signed.
    fn attest(
        &self,
        job: &Job,
        request: &InferenceRequest,
        computed: Computed,
        started_at_ms: u64,
        outputs: Vec<Tensor>,
    ) -> Result<JobResult, JobError> {
        let finished_at_ms = (self.config.clock)().max(started_at_ms);
        let output_units = units(&outputs)?;
        let response = InferenceResponse {
            version: 1,
            outputs,
        }
        .to_bytes();
        if response.len() > InferenceResponse::MAX_BYTES {
            return Err(RunError::TooLarge.into());
        }
        let salt = (self.config.salts)();
        let record = Record {
            version: 1,
            chain_id: self.config.chain_id,
            request_id: job.request_id,
            payer: job.payer,
            payee: self.config.payee,
            price: job.price,
            model: request.model,
            tier: job.tier,
            computed,
            valid_from_ms: finished_at_ms.saturating_sub(RECORD_SLACK_MS),
            valid_until_ms: finished_at_ms.saturating_add(RECORD_LIFETIME_MS),
            input_commitment: commit_input(&salt, &job.request),
            output_commitment: commit_output(&salt, &response),
            seed: job.seed,
            input_units: units(&request.inputs)?,
            output_units,
            started_at_ms,
            finished_at_ms,
            node: self.node_id(),
            evidence: None,
        };
        Ok(JobResult {
            version: 1,
            record: self.sign(record)?,
            opening: Opening {
                salt,
                request: job.request.clone(),
                response: response.into(),
            },
            evidence: None,
        })
    }

    /// Refuses what needs no model to be refused.
    fn check(&self, job: &Job) -> Result<InferenceRequest, JobError> {
        if job.version != 1 {
            return Err(JobError::Version("job", job.version));
        }
        match job.tier {
            Tier::Signed => {}
        }
        let request = read_request(&job.request)?;
        let now_ms = (self.config.clock)();
        self.config.ledger.check_free(&job.request_id, now_ms)?;
        Ok(request)
    }

    /// Signs a record once its request id is noted as used: the only place where a record is
    /// signed. A record signed later than its id is forgotten here cannot overlap with it.
    fn sign(&self, record: Record) -> Result<SignedRecord, JobError> {
        let forget_from_ms = record.valid_until_ms.saturating_add(MAX_VALIDITY_WINDOW_MS);
        self.config
            .ledger
            .take(&record.request_id, record.finished_at_ms, forget_from_ms)?;
        Ok(self.config.key.sign(&self.config.genesis_hash, record))
    }
}

fn read_request(bytes: &[u8]) -> Result<InferenceRequest, JobError> {
    let request = InferenceRequest::from_bytes(bytes)?;
    match request.version {
        1 => Ok(request),
        version => Err(JobError::Version("request", version)),
    }
}

/// A record's units: the elements of the tensors, or the most that a record can say.
fn units(tensors: &[Tensor]) -> Result<u32, JobError> {
    Ok(u32::try_from(count_elements(tensors)?).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
