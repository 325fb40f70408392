//! Judging what a node answered, before a client sees it or the chain is shown it.

use crate::config::MAX_CLOCK_SKEW_MS;
use og_crypto::{RecordVerifier, commit_input, commit_output};
use og_types::{
    Canonical as _, InferenceRequest, InferenceResponse, Job, JobResult, Tensor, count_elements,
    limits::MAX_VALIDITY_WINDOW_MS,
};

/// Why a node's answer is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResultError {
    /// The record is about another job, another answer, or another chain.
    #[error("the record's {0} is not what the job and its answer have")]
    Mismatch(&'static str),
    /// A commitment does not open to what came with it.
    #[error("the record's {0} commitment does not open")]
    Commitment(&'static str),
    /// The node did not sign the record.
    #[error("the record's signature does not verify")]
    Signature,
    /// The tier has no evidence, and the answer carries some.
    #[error("evidence where the tier has none")]
    Evidence,
    /// The record cannot be admitted now.
    #[error("the record is valid from {from_ms} until {until_ms}, and now it is {now_ms}")]
    Window {
        /// Start of the window, Unix milliseconds.
        from_ms: u64,
        /// End of the window, Unix milliseconds.
        until_ms: u64,
        /// Our clock, Unix milliseconds.
        now_ms: u64,
    },
    /// The response's bytes are not the encoding of a response.
    #[error("the response cannot be read: {0}")]
    Response(String),
}

/// Judges results for one chain.
#[derive(Clone, Debug)]
pub(crate) struct ResultChecker {
    /// The chain's EIP-155 id.
    pub chain_id: u64,
    /// Checks signatures under the chain's genesis hash.
    pub verifier: RecordVerifier,
}

impl ResultChecker {
    /// Checks that `result` answers `job` and can settle, and returns the response in it.
    ///
    /// # Errors
    /// [`ResultError`] says what is wrong; the node is at fault.
    pub(crate) fn check(
        &self,
        job: &Job,
        request: &InferenceRequest,
        result: &JobResult,
        now_ms: u64,
    ) -> Result<InferenceResponse, ResultError> {
        self.check_terms(job, request, result)?;
        check_window(result, now_ms)?;
        let record = &result.record.record;
        let opening = &result.opening;
        if commit_input(&opening.salt, &opening.request) != record.input_commitment {
            return Err(ResultError::Commitment("input"));
        }
        if commit_output(&opening.salt, &opening.response) != record.output_commitment {
            return Err(ResultError::Commitment("output"));
        }
        if record.evidence.is_some() || result.evidence.is_some() {
            return Err(ResultError::Evidence);
        }
        if !self.verifier.verify(&result.record) {
            return Err(ResultError::Signature);
        }
        let response = read_response(&opening.response)?;
        check_units("input_units", record.input_units, &request.inputs)?;
        check_units("output_units", record.output_units, &response.outputs)?;
        Ok(response)
    }

    fn check_terms(
        &self,
        job: &Job,
        request: &InferenceRequest,
        result: &JobResult,
    ) -> Result<(), ResultError> {
        let record = &result.record.record;
        let terms = [
            ("version", record.version == 1 && result.version == 1),
            ("chain id", record.chain_id == self.chain_id),
            ("request id", record.request_id == job.request_id),
            ("payer", record.payer == job.payer),
            ("price", record.price == job.price),
            ("model", record.model == request.model),
            ("tier", record.tier == job.tier),
            ("seed", record.seed == job.seed),
            ("request", result.opening.request == job.request),
        ];
        match terms.iter().find(|(_, holds)| !holds) {
            Some((name, _)) => Err(ResultError::Mismatch(name)),
            None => Ok(()),
        }
    }
}

fn check_window(result: &JobResult, now_ms: u64) -> Result<(), ResultError> {
    let record = &result.record.record;
    let (from_ms, until_ms) = (record.valid_from_ms, record.valid_until_ms);
    let begun = from_ms <= now_ms.saturating_add(MAX_CLOCK_SKEW_MS);
    let length = until_ms.checked_sub(from_ms);
    if begun && until_ms > now_ms && length.is_some_and(|length| length <= MAX_VALIDITY_WINDOW_MS) {
        return Ok(());
    }
    Err(ResultError::Window {
        from_ms,
        until_ms,
        now_ms,
    })
}

fn read_response(bytes: &[u8]) -> Result<InferenceResponse, ResultError> {
    let response = InferenceResponse::from_bytes(bytes)
        .map_err(|error| ResultError::Response(error.to_string()))?;
    Ok(response)
}

/// Checks that the record counts the elements that there are, as whoever judges the receipt will.
fn check_units(field: &'static str, claimed: u32, tensors: &[Tensor]) -> Result<(), ResultError> {
    let counted =
        count_elements(tensors).map_err(|error| ResultError::Response(error.to_string()))?;
    if u32::try_from(counted).unwrap_or(u32::MAX) == claimed {
        return Ok(());
    }
    Err(ResultError::Mismatch(field))
}

#[cfg(test)]
mod tests;
