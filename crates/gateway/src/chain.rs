//! Asking one validator over JSON-RPC: to admit a record, and what became of it.

use crate::{
    config::QUERY_TIMEOUT,
    http::{Client, FetchError, address, excerpt, post, read_bounded, within},
    server::ServeError,
};
use alloy_primitives::Bytes;
use hyper::Uri;
use og_types::{
    Canonical, Header, Inclusion, RequestId, SignedRecord,
    limits::{
        MAX_DESCENDANTS, MAX_FINALIZATION_BYTES, MAX_PROOF_SIBLINGS, MAX_PROVEN_BLOCKS,
        MAX_RECORD_BYTES, MAX_SUBMITTED_RECORDS,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of one JSON-RPC answer: proofs in hexadecimal, in blocks with the most descendants, and some air.
const MAX_ANSWER_BYTES: usize = MAX_PROVEN_BLOCKS
    * 2
    * (Header::MAX_ENCODED_BYTES * (MAX_DESCENDANTS + 1) + MAX_FINALIZATION_BYTES)
    + MAX_SUBMITTED_RECORDS * 2 * (MAX_RECORD_BYTES + 40 * MAX_PROOF_SIBLINGS)
    + 256 * 1024;

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

/// What a validator knows of a record.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// No final block that it keeps has the record.
    Nothing,
    /// One has, but what proves it is not there yet.
    Unproven,
    /// One has.
    Final(Box<RecordProof>),
}

/// Proof that a record is final.
#[derive(Clone, Debug)]
pub(crate) struct RecordProof {
    /// The record that was admitted under the request id.
    pub(crate) record: SignedRecord,
    /// Path from the record to the header.
    pub(crate) inclusion: Inclusion,
    /// The block that admitted it.
    pub(crate) block: Arc<FinalBlock>,
}

/// What makes a block final.
#[derive(Clone, Debug)]
pub(crate) struct FinalBlock {
    /// The block's header.
    pub(crate) header: Header,
    /// Headers from the block's child to the one that the certificate names.
    pub(crate) descendants: Vec<Header>,
    /// The finality certificate.
    pub(crate) finalization: Bytes,
}

/// What `og_getRecordProofs` returns: canonical bytes in hexadecimal.
#[derive(Deserialize)]
struct ProofsJson {
    blocks: Vec<BlockJson>,
    records: Vec<Option<PlacedJson>>,
}

#[derive(Deserialize)]
struct BlockJson {
    header: Bytes,
    descendants: Vec<Bytes>,
    finalization: Bytes,
}

#[derive(Deserialize)]
struct PlacedJson {
    /// Boxed, so that an answer that is nothing but short entries takes little memory.
    proof: Option<Box<ProofJson>>,
}

#[derive(Deserialize)]
struct ProofJson {
    block: usize,
    record: Bytes,
    inclusion: Bytes,
}

/// The part of `og_status` that says how far the chain is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson {
    timestamp_ms: u64,
}

#[derive(Deserialize)]
struct AnswerJson<T> {
    result: Option<T>,
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
    client: Client,
    url: String,
    address: Uri,
}

impl Validator {
    /// The validator at an address.
    ///
    /// # Errors
    /// [`ServeError::Address`] if it is none.
    pub(crate) fn new(client: Client, url: String) -> Result<Self, ServeError> {
        Ok(Self {
            address: address("validator", &url, "")?,
            client,
            url,
        })
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
        let told: Vec<Option<ErrorJson>> = self.call("og_submitRecords", parameters).await?;
        if told.len() != records.len() {
            return Err(missing());
        }
        Ok(told.into_iter().map(submission).collect())
    }

    /// What the validator knows of the records with these request ids, in order.
    ///
    /// # Errors
    /// [`FetchError`] if the validator gives no usable answer.
    pub(crate) async fn records(
        &self,
        ids: &[RequestId],
    ) -> Result<Vec<Result<Known, FetchError>>, FetchError> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let proofs: ProofsJson = self.call("og_getRecordProofs", json!([ids])).await?;
        if proofs.records.len() != ids.len() {
            return Err(missing());
        }
        let blocks = proofs.blocks.iter().map(final_block);
        let blocks: Vec<_> = blocks.collect::<Result<_, FetchError>>()?;
        let records = proofs.records.into_iter();
        Ok(records.map(|placed| known(placed, &blocks)).collect())
    }

    /// Time of the newest final block, Unix milliseconds.
    ///
    /// # Errors
    /// [`FetchError`] if the validator gives no usable answer.
    pub(crate) async fn time_ms(&self) -> Result<u64, FetchError> {
        let status: StatusJson = self.call("og_status", json!([])).await?;
        Ok(status.timestamp_ms)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Result<T, FetchError> {
        let malformed = |error: serde_json::Error| FetchError::Malformed(error.to_string());
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
        let call = serde_json::to_vec(&call).map_err(malformed)?;
        let request = post(&self.address, "application/json", call);
        let asked = async {
            let response = self.client.request(request).await?;
            read_bounded(response, MAX_ANSWER_BYTES).await
        };
        let body = within(QUERY_TIMEOUT, asked).await?;
        let answer: AnswerJson<T> = serde_json::from_slice(&body).map_err(malformed)?;
        match answer.error {
            Some(error) => Err(FetchError::Malformed(excerpt(&error.message))),
            None => answer.result.ok_or_else(missing),
        }
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

fn final_block(block: &BlockJson) -> Result<Arc<FinalBlock>, FetchError> {
    if block.descendants.len() > MAX_DESCENDANTS {
        return Err(FetchError::Malformed("too many descendants".to_owned()));
    }
    let descendants = block.descendants.iter();
    let descendants = descendants.map(|header| decode("descendants", header));
    Ok(Arc::new(FinalBlock {
        header: decode("header", &block.header)?,
        descendants: descendants.collect::<Result<_, _>>()?,
        finalization: block.finalization.clone(),
    }))
}

fn known(placed: Option<PlacedJson>, blocks: &[Arc<FinalBlock>]) -> Result<Known, FetchError> {
    let Some(placed) = placed else {
        return Ok(Known::Nothing);
    };
    let Some(proof) = placed.proof else {
        return Ok(Known::Unproven);
    };
    Ok(Known::Final(Box::new(RecordProof {
        record: decode("record", &proof.record)?,
        inclusion: decode("inclusion", &proof.inclusion)?,
        block: blocks.get(proof.block).cloned().ok_or_else(missing)?,
    })))
}

fn decode<T: Canonical>(field: &str, bytes: &[u8]) -> Result<T, FetchError> {
    T::from_bytes(bytes).map_err(|error| FetchError::Malformed(error.within(field).to_string()))
}
