//! Proofs beside answers: what clients recompute, and what they verify.

use crate::vectors::{bytes, sdk, signing_key, text};
use alloy_primitives::{B256, hex};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use og_opengradient::{
    FunctionCall, ProofError, SigningKey, TeeFields, ToolCall, hash, tool_calls_output, verify,
};
use serde_json::json;

#[test]
fn hashes_and_signatures_of_the_published_client_hold() {
    let key = signing_key();
    assert_eq!(key.public_key(), bytes("/tee/spki_der_hex"));
    assert_eq!(key.public_key_pem(), text("/tee/public_key_pem"));
    assert_eq!(key.tee_id().to_string(), text("/tee/tee_id"));
    for case in sdk("/chat").as_array().expect("cases") {
        let text = |name: &str| case[name].as_str().expect("text");
        let request: B256 = text("request_hash").parse().expect("a hash");
        let output = hash::output_hash(text("signed_output_utf8"));
        assert_eq!(hex::encode(output), text("output_hash"));
        let time = case["timestamp"].as_u64().expect("a time");
        let message = hash::message_hash(request, output, time);
        assert_eq!(hex::encode(message), text("msg_hash"));
        let signature = BASE64_STANDARD
            .decode(text("tee_signature_b64"))
            .expect("base64");
        assert!(verify(key.public_key(), message, &signature));
        assert!(!verify(key.public_key(), output, &signature));
    }
    let heartbeat = hash::heartbeat_hash(key.tee_id(), 1_795_166_165);
    assert_eq!(hex::encode(heartbeat), text("/heartbeat/msg_hash"));
}

#[test]
fn a_proof_has_the_form_that_clients_read() {
    let key = signing_key();
    let fields = key
        .attest(
            hash::request_hash(b"{}"),
            hash::output_hash("x"),
            1_795_166_465,
        )
        .expect("a signature");
    let json = serde_json::to_value(&fields).expect("JSON");
    assert_eq!(json["tee_id"], json!(text("/tee/tee_id")));
    assert_eq!(json["tee_timestamp"], json!(1_795_166_465));
    assert_eq!(json["tee_request_hash"].as_str().map(str::len), Some(64));
    assert_eq!(json["tee_output_hash"].as_str().map(str::len), Some(64));
    assert_eq!(json["tee_signature"].as_str().map(str::len), Some(344));
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(5));
    let again: TeeFields = serde_json::from_value(json).expect("fields");
    assert_eq!(again.check(key.public_key(), b"{}", "x"), Ok(()));
}

#[test]
fn a_proof_of_anything_else_is_refused() {
    let key = signing_key();
    let other = SigningKey::generate().expect("a key");
    let fields = key
        .attest(hash::request_hash(b"{}"), hash::output_hash("x"), 7)
        .expect("a signature");
    let check = |fields: &TeeFields, request: &[u8], output| {
        fields.check(key.public_key(), request, output)
    };
    assert_eq!(
        fields.check(other.public_key(), b"{}", "x"),
        Err(ProofError::TeeId)
    );
    assert_eq!(check(&fields, b"[]", "x"), Err(ProofError::RequestHash));
    assert_eq!(check(&fields, b"{}", "y"), Err(ProofError::OutputHash));
    let later = TeeFields {
        tee_timestamp: 8,
        ..fields.clone()
    };
    assert_eq!(check(&later, b"{}", "x"), Err(ProofError::Signature));
    for signature in ["", "!", "AAAA"] {
        let fields = TeeFields {
            tee_signature: signature.to_owned(),
            ..fields.clone()
        };
        assert_eq!(check(&fields, b"{}", "x"), Err(ProofError::Signature));
    }
    assert!(!verify(b"no key", B256::ZERO, &[0; 256]));
}

#[test]
fn tool_calls_are_signed_as_clients_find_them() {
    let function = FunctionCall {
        name: "get_weather".to_owned(),
        arguments: r#"{"city": "Paris"}"#.to_owned(),
    };
    let calls = [ToolCall::new("call_1".to_owned(), function)];
    let output = tool_calls_output(&calls);
    assert_eq!(output, text("/chat/2/signed_output_utf8"));
    assert_eq!(
        hex::encode(hash::output_hash(&output)),
        text("/chat/2/output_hash")
    );
    // Nothing else may stand in the answer: clients hash all that does.
    let expected = json!([{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}]);
    assert_eq!(serde_json::to_value(&calls).expect("JSON"), expected);
}
