//! Asking one validator about many records at once.

use super::{Case, blocking, traced};
use crate::{
    chain::{Known, RecordProof, Submission, Validator},
    error::error_chain,
    http::FetchError,
    operated::SettlementMetrics,
    store::{Outcome, Store, StoreError},
};
use og_crypto::merkle::verify_inclusion;
use og_types::{Canonical as _, JobResult, Receipt, RequestId, SignedRecord};
use std::sync::Arc;

/// What one validator knows of a record.
#[derive(Debug)]
pub(super) enum Word {
    /// It is final, and here is the receipt.
    Final(Box<Receipt>),
    /// It will never be final, for this reason.
    Never(String),
    /// The validator has taken the record just now.
    Taken,
    /// Nothing yet.
    NotYet,
    /// The validator gave no usable answer.
    Silence,
}

/// Records to ask one validator about.
pub(super) struct Round {
    pub(super) cases: Vec<(RequestId, Case)>,
    pub(super) store: Arc<Store>,
    pub(super) validator: Validator,
    /// Number of all validators.
    pub(super) validators: usize,
    pub(super) metrics: SettlementMetrics,
}

/// A record that is asked about, with its answer.
struct Asked {
    id: RequestId,
    case: Case,
    result: JobResult,
    word: Word,
}

impl Round {
    /// Asks the validator and closes the cases that it decides; gives back those that stay open.
    pub(super) async fn run(self) -> Vec<(RequestId, Case)> {
        let (validator, validators, metrics) = (self.validator, self.validators, self.metrics);
        let store = self.store.clone();
        let cases = self.cases;
        let span = traced::begin(validator.url(), cases.len());
        let mut asked = blocking(move || Ok(load(&store, cases)))
            .await
            .unwrap_or_default();
        if let Err(error) = ask(&validator, &mut asked).await {
            tracing::debug!(%error, records = asked.len(), "validator has no word");
            traced::fail(&span);
        }
        let (mut open, mut closed) = (vec![], vec![]);
        for Asked {
            id, mut case, word, ..
        } in asked
        {
            match case.hear(word, validators) {
                None => open.push((id, case)),
                Some(outcome) => {
                    note(&metrics, &id, &case, &outcome);
                    closed.push((id, outcome));
                }
            }
        }
        traced::finish(&span, &closed);
        let store = self.store;
        if let Err(error) = blocking(move || store.close(closed)).await {
            tracing::error!(
                error = error_chain(&error),
                "records are not settled: make room on the disk or repair it, then restart"
            );
        }
        open
    }
}

fn note(metrics: &SettlementMetrics, id: &RequestId, case: &Case, outcome: &Outcome) {
    match outcome {
        Outcome::Final(receipt) => {
            tracing::debug!(request_id = %id, height = receipt.header.height, "record is final");
            metrics.settled(case.begun.elapsed());
        }
        Outcome::Failed(reason) => {
            tracing::warn!(request_id = %id, reason, "record will never be final");
            metrics.failed();
        }
    }
}

/// The cases with their answers; what cannot be read is left for the next start.
fn load(store: &Store, cases: Vec<(RequestId, Case)>) -> Vec<Asked> {
    let load = |(id, case): (RequestId, Case)| -> Result<Option<Asked>, StoreError> {
        let result = store.pending(&id)?;
        Ok(result.map(|result| Asked {
            id,
            case,
            result,
            word: Word::Silence,
        }))
    };
    let loaded = cases.into_iter().map(load);
    let readable = loaded.filter_map(|loaded| {
        loaded.unwrap_or_else(|error| {
            tracing::error!(
                error = error_chain(&error),
                "a record is not settled: make room on the disk or repair it, then restart"
            );
            None
        })
    });
    readable.collect()
}

/// Has the validator say a word about each record.
///
/// Its time is asked before its proofs, so that no block can slip in between: past the record's window and without a proof, it
/// can no longer be admitted.
async fn ask(validator: &Validator, asked: &mut [Asked]) -> Result<(), FetchError> {
    let time_ms = validator.time_ms().await?;
    let mut known: Vec<_> = asked
        .iter_mut()
        .filter(|asked| asked.case.may_be_known)
        .collect();
    let ids: Vec<_> = known.iter().map(|asked| asked.id).collect();
    let told = validator.records(&ids).await?;
    for (asked, told) in known.iter_mut().zip(told) {
        asked.word = match told {
            Ok(Known::Nothing) => Word::NotYet,
            Ok(Known::Unproven) => Word::Silence,
            Ok(Known::Final(proof)) => {
                judge(&asked.result, *proof).unwrap_or_else(|error| asked.silence(&error))
            }
            Err(error) => asked.silence(&error),
        };
    }
    let mut waiting = vec![];
    for asked in asked {
        if asked.is_to_be_submitted(time_ms) {
            asked.case.may_be_known = true;
            waiting.push(asked);
        }
    }
    let records: Vec<_> = waiting.iter().map(|asked| &asked.result.record).collect();
    let submissions = validator.submit(&records).await?;
    for (asked, submission) in waiting.iter_mut().zip(submissions) {
        asked.word = match submission {
            Submission::Accepted => Word::Taken,
            Submission::Refused(reason) => Word::Never(reason),
            Submission::NotNow(reason) => {
                tracing::debug!(request_id = %asked.id, reason, "record not taken now");
                Word::NotYet
            }
        };
    }
    Ok(())
}

impl Asked {
    fn silence(&self, error: &FetchError) -> Word {
        tracing::debug!(request_id = %self.id, %error, "validator has no word");
        Word::Silence
    }

    /// Whether the record is to be handed to the validator. What can no longer be admitted at `time_ms` gets its word here.
    fn is_to_be_submitted(&mut self, time_ms: u64) -> bool {
        let until_ms = self.result.record.record.valid_until_ms;
        match self.word {
            Word::NotYet if time_ms > until_ms => {
                self.word = Word::Never(format!(
                    "the record expired: no block until {until_ms} admitted it"
                ));
                false
            }
            Word::NotYet => self.case.needs_submission(),
            Word::Silence => !self.case.may_be_known,
            Word::Final(_) | Word::Never(_) | Word::Taken => false,
        }
    }
}

/// Checks a proof as far as it binds the record to the header. The certificate is for whoever
/// verifies the receipt: the gateway passes it on and vouches for nothing.
fn judge(result: &JobResult, proof: RecordProof) -> Result<Word, FetchError> {
    let signed: &SignedRecord = &result.record;
    let header = &proof.block.header;
    if header.chain_id != signed.record.chain_id {
        return Err(FetchError::Malformed(
            "a proof from another chain".to_owned(),
        ));
    }
    verify_inclusion(
        &proof.record.to_bytes(),
        &proof.inclusion,
        &header.records_root,
    )
    .map_err(|error| FetchError::Malformed(error.to_string()))?;
    if proof.record != *signed {
        return Ok(Word::Never(format!(
            "another record was admitted for this request id, by node {}",
            proof.record.record.node
        )));
    }
    Ok(Word::Final(Box::new(assemble(result.clone(), proof))))
}

fn assemble(result: JobResult, proof: RecordProof) -> Receipt {
    Receipt {
        version: 1,
        record: result.record,
        opening: result.opening,
        evidence: result.evidence,
        inclusion: proof.inclusion,
        header: proof.block.header.clone(),
        descendants: proof.block.descendants.clone(),
        finalization: proof.block.finalization.clone(),
    }
}
