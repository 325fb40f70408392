//! Asking one validator over JSON-RPC: to admit a record, and what became of it.

use crate::{
    config::QUERY_TIMEOUT,
    http::{FetchError, excerpt, read_bounded},
};
use alloy_primitives::Bytes;
use og_types::{
    Canonical, Header, Inclusion, RequestId, SignedRecord,
    limits::{MAX_DESCENDANTS, MAX_FINALIZATION_BYTES},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Proofs that one request asks for.
const PROOFS_PER_REQUEST: usize = 50;
/// Bytes of one JSON-RPC answer: proofs in hexadecimal with the most descendants, and some air.
const MAX_ANSWER_BYTES: usize = PROOFS_PER_REQUEST
    * (2 * (Header::MAX_ENCODED_BYTES * (MAX_DESCENDANTS + 1) + MAX_FINALIZATION_BYTES) + 4 * 1024)
    + 64 * 1024;

/// Code of `og_submitRecords`: this record will never be admitted.
const CODE_RECORD_REFUSED: i64 = -32010;

/// What a validator said to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Submission {
    /// It took the record, or has it already.
    Accepted,
    /// It will never admit the record.
    Refused(String),
    /// It cannot take the record now.
    NotNow(String),
}

/// What `og_getRecordProof` returns, decoded.
#[derive(Clone, Debug)]
pub(crate) struct RecordProof {
    /// The record that was admitted under the request id.
    pub(crate) record: SignedRecord,
    /// Path from the record to the header.
    pub(crate) inclusion: Inclusion,
    /// Header of the block that admitted it.
    pub(crate) header: Header,
    /// Headers from that block's child to the one that the certificate names.
    pub(crate) descendants: Vec<Header>,
    /// The finality certificate.
    pub(crate) finalization: Bytes,
}

/// The JSON form of [`RecordProof`]: canonical bytes in hexadecimal.
#[derive(Deserialize)]
struct ProofJson {
    record: Bytes,
    inclusion: Bytes,
    header: Bytes,
    descendants: Vec<Bytes>,
    finalization: Bytes,
}

/// The part of `og_status` that says how far the chain is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson {
    timestamp_ms: u64,
}

#[derive(Deserialize)]
struct AnswerJson {
    id: usize,
    #[serde(default)]
    result: Value,
    error: Option<ErrorJson>,
}

#[derive(Deserialize)]
struct ErrorJson {
    code: i64,
    message: String,
}

/// One validator.
#[derive(Clone, Debug)]
pub(crate) struct Validator {
    client: reqwest::Client,
    url: String,
}

impl Validator {
    pub(crate) fn new(client: reqwest::Client, url: String) -> Self {
        Self { client, url }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Hands records to the validator; what it says to each.
    ///
    /// # Errors
    /// [`FetchError`] if it gives no usable answer.
    pub(crate) async fn submit(
        &self,
        records: &[&SignedRecord],
    ) -> Result<Vec<Submission>, FetchError> {
        if records.is_empty() {
            return Ok(vec![]);
        }
        let bytes = records.iter().map(|record| Bytes::from(record.to_bytes()));
        let parameters = json!([bytes.collect::<Vec<_>>()]);
        let told: Vec<Option<ErrorJson>> = self.call_once("og_submitRecords", parameters).await?;
        if told.len() != records.len() {
            return Err(missing());
        }
        Ok(told.into_iter().map(submission).collect())
    }

    /// The proofs that records with these request ids are final; `None` for one while there is none.
    ///
    /// # Errors
    /// [`FetchError`] if the validator gives no usable answer.
    pub(crate) async fn record_proofs(
        &self,
        ids: &[RequestId],
    ) -> Result<Vec<Result<Option<RecordProof>, FetchError>>, FetchError> {
        let mut answers = Vec::with_capacity(ids.len());
        for ids in ids.chunks(PROOFS_PER_REQUEST) {
            let parameters = ids.iter().map(|id| json!([id])).collect();
            answers.extend(self.call("og_getRecordProof", parameters).await?);
        }
        let proof = |answer: Result<AnswerJson, FetchError>| {
            let proof: Option<ProofJson> = result(answer?)?;
            proof.map(decode_proof).transpose()
        };
        Ok(answers.into_iter().map(proof).collect())
    }

    /// Time of the newest final block, Unix milliseconds.
    ///
    /// # Errors
    /// [`FetchError`] if the validator gives no usable answer.
    pub(crate) async fn time_ms(&self) -> Result<u64, FetchError> {
        let status: StatusJson = self.call_once("og_status", json!([])).await?;
        Ok(status.timestamp_ms)
    }

    async fn call_once<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Result<T, FetchError> {
        let mut answers = self.call(method, vec![parameters]).await?;
        let answer = answers.pop().unwrap_or_else(|| Err(missing()));
        result(answer?)
    }

    /// Calls `method` once with each of `parameters`, in one batch; the answers in their order.
    async fn call(
        &self,
        method: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Result<AnswerJson, FetchError>>, FetchError> {
        if parameters.is_empty() {
            return Ok(vec![]);
        }
        let count = parameters.len();
        let calls = parameters.into_iter().enumerate().map(|(id, parameters)| {
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters})
        });
        let response = self
            .client
            .post(&self.url)
            .timeout(QUERY_TIMEOUT)
            .json(&calls.collect::<Vec<_>>())
            .send()
            .await?;
        let body = read_bounded(response, MAX_ANSWER_BYTES).await?;
        let answers: Vec<AnswerJson> = serde_json::from_slice(&body)
            .map_err(|error| FetchError::Malformed(error.to_string()))?;
        let mut ordered: Vec<_> = (0..count).map(|_| Err(missing())).collect();
        for answer in answers {
            if let Some(place) = ordered.get_mut(answer.id) {
                *place = Ok(answer);
            }
        }
        Ok(ordered)
    }
}

/// Something that the answer leaves out.
fn missing() -> FetchError {
    FetchError::Malformed("the answer leaves out part of what was asked".to_owned())
}

fn submission(error: Option<ErrorJson>) -> Submission {
    match error {
        None => Submission::Accepted,
        Some(error) if error.code == CODE_RECORD_REFUSED => {
            Submission::Refused(excerpt(&error.message))
        }
        Some(error) => Submission::NotNow(excerpt(&error.message)),
    }
}

fn result<T: DeserializeOwned>(answer: AnswerJson) -> Result<T, FetchError> {
    if let Some(error) = answer.error {
        return Err(FetchError::Malformed(excerpt(&error.message)));
    }
    serde_json::from_value(answer.result).map_err(|error| FetchError::Malformed(error.to_string()))
}

fn decode_proof(proof: ProofJson) -> Result<RecordProof, FetchError> {
    if proof.descendants.len() > MAX_DESCENDANTS {
        return Err(FetchError::Malformed("too many descendants".to_owned()));
    }
    Ok(RecordProof {
        record: decode("record", &proof.record)?,
        inclusion: decode("inclusion", &proof.inclusion)?,
        header: decode("header", &proof.header)?,
        descendants: proof
            .descendants
            .iter()
            .map(|header| decode("descendants", header))
            .collect::<Result<_, _>>()?,
        finalization: proof.finalization,
    })
}

fn decode<T: Canonical>(field: &str, bytes: &[u8]) -> Result<T, FetchError> {
    T::from_bytes(bytes).map_err(|error| FetchError::Malformed(error.within(field).to_string()))
}
