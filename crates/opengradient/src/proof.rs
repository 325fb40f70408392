//! The proof beside an answer, as clients read it: five fields whose names begin with `tee_`.

use crate::{hash, signing};
use alloy_primitives::B256;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// The five fields. They stand in the JSON of an answer, or of the last frame of a stream, beside
/// OpenAI's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeFields {
    /// The signature: 256 bytes in base64 with padding.
    pub tee_signature: String,
    /// The hash of the [canonical](crate::canonical) request: 64 hexadecimal digits, no `0x`.
    pub tee_request_hash: String,
    /// The hash of the text or of the tool calls: 64 hexadecimal digits, no `0x`.
    pub tee_output_hash: String,
    /// When the answer was signed, in whole seconds of Unix time.
    pub tee_timestamp: u64,
    /// Who signed: `0x` and 64 hexadecimal digits.
    pub tee_id: String,
}

/// Which check a proof failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It names another signer than the one whose key was given.
    #[error("tee_id is not that of the key")]
    TeeId,
    /// It is for another request.
    #[error("tee_request_hash is not that of the request")]
    RequestHash,
    /// It is for another answer.
    #[error("tee_output_hash is not that of the answer")]
    OutputHash,
    /// The signature is not that key's, for this request, answer and time.
    #[error("tee_signature is not the key's")]
    Signature,
}

impl TeeFields {
    pub(crate) fn new(
        tee_id: B256,
        request_hash: B256,
        output_hash: B256,
        timestamp_s: u64,
        signature: &[u8],
    ) -> Self {
        Self {
            tee_signature: BASE64_STANDARD.encode(signature),
            tee_request_hash: hex::encode(request_hash),
            tee_output_hash: hex::encode(output_hash),
            tee_timestamp: timestamp_s,
            tee_id: tee_id.to_string(),
        }
    }

    /// Checks all that published clients check: that the holder of `public_key` (DER of
    /// SubjectPublicKeyInfo, from the registry) answered `output` to the request with these
    /// `canonical` bytes. Nobody checks the time.
    ///
    /// # Errors
    /// [`ProofError`], the first check that fails.
    pub fn check(
        &self,
        public_key: &[u8],
        canonical: &[u8],
        output: &str,
    ) -> Result<(), ProofError> {
        let is = |text: &str, hash: B256| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            digits.eq_ignore_ascii_case(&hex::encode(hash))
        };
        if !is(&self.tee_id, hash::tee_id(public_key)) {
            return Err(ProofError::TeeId);
        }
        let request_hash = hash::request_hash(canonical);
        if !is(&self.tee_request_hash, request_hash) {
            return Err(ProofError::RequestHash);
        }
        let output_hash = hash::output_hash(output);
        if !is(&self.tee_output_hash, output_hash) {
            return Err(ProofError::OutputHash);
        }
        let message = hash::message_hash(request_hash, output_hash, self.tee_timestamp);
        match BASE64_STANDARD.decode(&self.tee_signature) {
            Ok(signature) if signing::verify(public_key, message, &signature) => Ok(()),
            _ => Err(ProofError::Signature),
        }
    }
}
