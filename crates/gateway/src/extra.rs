//! What stands beside an answer: where its receipt will be, and the proof that OpenGradient's clients look for.

use crate::{dialect::Wanted, infer::now_ms, reply::Answered};
use alloy_primitives::{B256, hex};
use og_dialects::{ApiError, Fault, openai::Style};
use og_opengradient::{
    FunctionCall, GatewayIdentity, ToolCall,
    canonical::{self, CanonicalError},
    hash, tool_calls_output,
};
use og_types::{
    Canonical as _, JobResult,
    language::{Finish, Said},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

/// Fields beside those of the format.
pub(crate) type Extra = Map<String, Value>;

/// The fields beside an answer whose choices are `done`. `signing` is who signs it, and the hash of its request, if anybody
/// does.
///
/// # Errors
/// [`ApiError`] if signing fails.
pub(crate) fn extra(
    signing: Option<(&GatewayIdentity, B256)>,
    done: &[Answered],
) -> Result<Extra, ApiError> {
    let answers = done.iter();
    let mut extra =
        receipts(answers.map(|choice| (&choice.result, choice.relayed_from.as_deref())));
    if let (Some((identity, request_hash)), [only]) = (signing, done) {
        let output_hash = hash::output_hash(&output(&only.said));
        let fields = identity
            .signing
            .attest(request_hash, output_hash, now_ms() / 1000);
        let fields = fields.map_err(|error| ApiError::new(Fault::Internal, error.to_string()))?;
        if let Ok(Value::Object(fields)) = serde_json::to_value(&fields) {
            extra.extend(fields);
        }
    }
    Ok(extra)
}

/// Where the receipts of answers will be; each is given with the host that it is from, if it is relayed.
pub(crate) fn receipts<'a>(
    answers: impl IntoIterator<Item = (&'a JobResult, Option<&'a str>)>,
) -> Extra {
    let receipts = answers
        .into_iter()
        .map(|(result, host)| receipt(result, host));
    let receipt = match <[Value; 1]>::try_from(receipts.collect::<Vec<_>>()) {
        Ok([only]) => only,
        Err(several) => Value::Array(several),
    };
    Map::from_iter([("og_receipt".to_owned(), receipt)])
}

/// Where a receipt will be, and what is known until then.
fn receipt(result: &JobResult, relayed_from: Option<&str>) -> Value {
    let signed = &result.record;
    let record = &signed.record;
    let mut receipt = json!({
        "request_id": record.request_id,
        "receipt_url": format!("/v1/receipts/{}", record.request_id),
        "model": record.model,
        "tier": record.tier,
        "computed": record.computed,
        "node": record.node,
        "seed": record.seed,
        "record": hex::encode_prefixed(signed.to_bytes()),
    });
    if let (Some(host), Some(fields)) = (relayed_from, receipt.as_object_mut()) {
        fields.insert("relayed_from".to_owned(), json!(host));
    }
    receipt
}

/// The hash of the request as OpenGradient's clients compute it; `None` if it would not say what was done.
///
/// What they hash has a temperature always, 0 if the request has none, which OpenAI's clients mean otherwise.
///
/// # Errors
/// [`ApiError`] if the request cannot be hashed as they do it.
pub(crate) fn signed_request(wanted: &Wanted, body: &[u8]) -> Result<Option<B256>, ApiError> {
    #[derive(Deserialize)]
    struct Given {
        temperature: Option<IgnoredAny>,
    }
    let is_said = |style| {
        style == Style::OpenGradient
            || serde_json::from_slice::<Given>(body).is_ok_and(|given| given.temperature.is_some())
    };
    let canonical: Result<Vec<u8>, CanonicalError> = match wanted {
        Wanted::Chat(_, style) if is_said(*style) => canonical::chat_request(body),
        Wanted::Completions(_, style) if is_said(*style) => canonical::completion_request(body),
        _ => return Ok(None),
    };
    match canonical {
        Ok(bytes) => Ok(Some(hash::request_hash(&bytes))),
        Err(error) => Err(ApiError::new(Fault::Request, error.to_string())),
    }
}

/// What OpenGradient's clients take for the answer: its text, or its calls if it ends with them.
fn output(said: &Said) -> String {
    if said.finish != Finish::ToolCalls || said.tool_calls.is_empty() {
        return said.text.clone();
    }
    let calls = said.tool_calls.iter().map(|call| {
        let function = FunctionCall {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        ToolCall::new(call.id.clone(), function)
    });
    tool_calls_output(&calls.collect::<Vec<_>>())
}
