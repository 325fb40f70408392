//! A receipt as JSON, for people. Verifying takes the file: this form proves nothing.

use alloy_primitives::hex;
use og_types::{
    Canonical as _, InferenceRequest, InferenceResponse, Receipt, tensor_json::tensors_to_json,
};
use serde_json::{Value, json};

/// The JSON form of `receipt`. Tensors that JSON has no form for are left out as `null`.
pub(crate) fn receipt_json(receipt: &Receipt) -> Value {
    let inputs = InferenceRequest::from_bytes(&receipt.opening.request)
        .ok()
        .and_then(|request| tensors_to_json(&request.inputs).ok());
    let outputs = InferenceResponse::from_bytes(&receipt.opening.response)
        .ok()
        .and_then(|response| tensors_to_json(&response.outputs).ok());
    json!({
        "version": receipt.version,
        "record": receipt.record.record,
        "signature": receipt.record.signature,
        "opening": {
            "salt": receipt.opening.salt,
            "inputs": inputs,
            "outputs": outputs,
        },
        "evidence": receipt.evidence,
        "inclusion": {
            "position": receipt.inclusion.position,
            "leaf_count": receipt.inclusion.leaf_count,
            "siblings": receipt.inclusion.siblings,
        },
        "header": receipt.header,
        "descendants": receipt.descendants,
        "finalization": hex::encode_prefixed(&receipt.finalization),
    })
}
