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

/// Bytes of one JSON-RPC answer: a proof in hexadecimal with the most descendants, and some air.
const MAX_ANSWER_BYTES: usize =
    2 * (Header::MAX_ENCODED_BYTES * (MAX_DESCENDANTS + 1) + MAX_FINALIZATION_BYTES) + 64 * 1024;

/// Error code of `og_submitRecord`: this record will never be admitted.
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

    /// Hands a record to the validator.
    pub(crate) async fn submit(&self, record: &SignedRecord) -> Result<Submission, FetchError> {
        let record = Bytes::from(record.to_bytes());
        let answer = self.call("og_submitRecord", json!([record])).await?;
        Ok(match answer.error {
            None => Submission::Accepted,
            Some(error) if error.code == CODE_RECORD_REFUSED => {
                Submission::Refused(excerpt(&error.message))
            }
            Some(error) => Submission::NotNow(excerpt(&error.message)),
        })
    }

    /// The proof that a record with this request id is final, or `None` while there is none.
    pub(crate) async fn record_proof(
        &self,
        id: &RequestId,
    ) -> Result<Option<RecordProof>, FetchError> {
        let proof: Option<ProofJson> = self.ask("og_getRecordProof", json!([id])).await?;
        proof.map(decode_proof).transpose()
    }

    /// Time of the newest final block, Unix milliseconds.
    pub(crate) async fn time_ms(&self) -> Result<u64, FetchError> {
        let status: StatusJson = self.ask("og_status", json!([])).await?;
        Ok(status.timestamp_ms)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Result<T, FetchError> {
        let answer = self.call(method, parameters).await?;
        if let Some(error) = answer.error {
            return Err(FetchError::Malformed(excerpt(&error.message)));
        }
        serde_json::from_value(answer.result)
            .map_err(|error| FetchError::Malformed(error.to_string()))
    }

    async fn call(&self, method: &str, parameters: Value) -> Result<AnswerJson, FetchError> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
        let response = self
            .client
            .post(&self.url)
            .timeout(QUERY_TIMEOUT)
            .json(&call)
            .send()
            .await?;
        let body = read_bounded(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&body).map_err(|error| FetchError::Malformed(error.to_string()))
    }
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
