//! The opening: the request and the response are the ones that the record commits to.

use crate::error::VerifyError;
use og_crypto::{commit_input, commit_output};
use og_types::{Canonical, InferenceRequest, InferenceResponse, Receipt, Tensor, count_elements};

/// What was asked and answered.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) request: InferenceRequest,
    pub(crate) response: InferenceResponse,
}

/// Opens both commitments and reads what is inside.
pub(crate) fn check(receipt: &Receipt) -> Result<Payload, VerifyError> {
    let record = &receipt.record.record;
    let opening = &receipt.opening;
    if commit_input(&opening.salt, &opening.request) != record.input_commitment {
        return Err(commitment("receipt.opening.request"));
    }
    if commit_output(&opening.salt, &opening.response) != record.output_commitment {
        return Err(commitment("receipt.opening.response"));
    }
    let request: InferenceRequest = read("receipt.opening.request", &opening.request)?;
    let response: InferenceResponse = read("receipt.opening.response", &opening.response)?;
    crate::check_version("receipt.opening.request.version", request.version)?;
    crate::check_version("receipt.opening.response.version", response.version)?;
    if request.model != record.model {
        return Err(VerifyError::Model {
            found: request.model,
            expected: record.model,
        });
    }
    check_units(
        "receipt.opening.request.inputs",
        &request.inputs,
        "receipt.record.input_units",
        record.input_units,
    )?;
    check_units(
        "receipt.opening.response.outputs",
        &response.outputs,
        "receipt.record.output_units",
        record.output_units,
    )?;
    Ok(Payload { request, response })
}

fn commitment(field: &str) -> VerifyError {
    VerifyError::Commitment {
        field: field.to_owned(),
    }
}

fn read<T: Canonical>(field: &str, bytes: &[u8]) -> Result<T, VerifyError> {
    T::from_bytes(bytes).map_err(|error| VerifyError::decode(error, field))
}

fn check_units(
    tensors_field: &str,
    tensors: &[Tensor],
    units_field: &str,
    claimed: u32,
) -> Result<(), VerifyError> {
    let counted = count_elements(tensors).map_err(|error| VerifyError::Decode {
        field: tensors_field.to_owned(),
        reason: error.to_string(),
    })?;
    if u64::from(claimed) == counted {
        return Ok(());
    }
    Err(VerifyError::Units {
        field: units_field.to_owned(),
        claimed,
        counted,
    })
}
