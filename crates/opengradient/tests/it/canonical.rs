//! Canonical bytes of requests, beside those of the published client and of CPython.

use crate::vectors::text;
use og_opengradient::{
    canonical::{
        CanonicalError, MAX_DEPTH, MAX_INTEGER_DIGITS, MAX_VALUES, chat_request, completion_request,
    },
    hash,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

#[derive(Deserialize)]
struct Vectors {
    chat: Vec<Case>,
}

/// Requests as they stand in the file: as values, they would lose digits of long integers.
#[derive(Deserialize)]
struct Case {
    client_body: Box<RawValue>,
    wire: Box<RawValue>,
    canonical_utf8: String,
    request_hash: String,
}

fn canonical(body: &[u8]) -> Option<String> {
    let bytes = chat_request(body).ok()?;
    Some(String::from_utf8(bytes).expect("ASCII"))
}

/// What a JSON text becomes inside a request.
fn dumped(json: &str) -> Option<String> {
    let body = format!(
        r#"{{"model": "m", "messages": [{{"role": "user", "content": "x"}}], "tools": [{json}]}}"#
    );
    let canonical = canonical(body.as_bytes())?;
    let (_, tools) = canonical.split_once(r#""tools": ["#).expect("tools");
    Some(tools.strip_suffix("]}").expect("the end").to_owned())
}

#[test]
fn requests_are_hashed_as_the_published_client_hashes_them() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../vectors/sdk-1.1.4.json")).expect("JSON");
    assert_eq!(vectors.chat.len(), 4);
    for case in vectors.chat {
        for form in [case.client_body, case.wire] {
            let bytes = chat_request(form.get().as_bytes()).expect("a request");
            assert_eq!(str::from_utf8(&bytes), Ok(case.canonical_utf8.as_str()));
            let hash = alloy_primitives::hex::encode(hash::request_hash(&bytes));
            assert_eq!(case.request_hash, hash);
        }
    }
}

#[test]
fn text_completions_are_hashed_as_the_published_gateway_hashes_them() {
    for body in [
        json!({"model": "gpt-4.1", "prompt": "x"}),
        json!({"prompt": "x", "model": "gpt-4.1", "temperature": 0, "stop": [], "max_tokens": null, "top_p": 1}),
    ] {
        let bytes = completion_request(body.to_string().as_bytes()).expect("a request");
        let expected = text("/completion_request/canonical_utf8");
        assert_eq!(str::from_utf8(&bytes), Ok(expected));
        let hash = alloy_primitives::hex::encode(hash::request_hash(&bytes));
        assert_eq!(hash, text("/completion_request/request_hash"));
    }
    let body =
        json!({"model": "m", "prompt": "x", "temperature": 1, "stop": "\n", "max_tokens": 5});
    let bytes = completion_request(body.to_string().as_bytes()).expect("a request");
    let expected =
        r#"{"max_tokens": 5, "model": "m", "prompt": "x", "stop": "\n", "temperature": 1.0}"#;
    assert_eq!(str::from_utf8(&bytes), Ok(expected));
    let without = completion_request(br#"{"model": "m"}"#).expect_err("no prompt");
    assert_eq!(without.to_string(), "prompt: it is missing");
}

#[test]
fn odd_requests_are_taken_and_refused_as_by_the_published_client() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/canonical-sdk-1.1.4.json")).expect("JSON");
    assert!(cases.len() > 60);
    for case in cases {
        let body = case["body"].as_str().expect("text");
        assert_eq!(
            canonical(body.as_bytes()).as_deref(),
            case["canonical"].as_str(),
            "{body}"
        );
    }
}

#[test]
fn json_is_written_as_cpython_writes_it() {
    let cases: Vec<(String, Option<String>)> =
        serde_json::from_str(include_str!("../vectors/json-cpython.json")).expect("JSON");
    assert!(cases.len() > 1_200);
    for (json, expected) in cases {
        assert_eq!(dumped(&json), expected, "{json}");
    }
}

#[test]
fn integers_of_any_size_stay_integers() {
    let digits = "9".repeat(MAX_INTEGER_DIGITS);
    assert_eq!(dumped(&digits).as_ref(), Some(&digits));
    assert_eq!(dumped(&format!("-{digits}")), Some(format!("-{digits}")));
    assert_eq!(dumped(&format!("{digits}9")), None);
}

#[test]
fn what_python_would_not_send_or_rust_cannot_hold_is_refused() {
    for json in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e309",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#"{"\ud800": 1}"#,
        "\"\n\"",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "'x'",
        "[1,]",
        r#"{"a":1,}"#,
        "/**/1",
        "tru",
        "1 2",
        "\u{feff}1",
    ] {
        assert_eq!(dumped(json), None, "{json}");
    }
    assert!(chat_request(b"{\"model\": \"\xff\"}").is_err());
    assert!(chat_request(b"\xef\xbb\xbf{}").is_err());
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    // Two levels are those of the request and of its tools.
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(dumped(&nested(MAX_DEPTH - 2)).is_some());
    assert_eq!(
        chat_request(nested(MAX_DEPTH + 1).as_bytes()),
        Err(CanonicalError::Depth)
    );
    assert_eq!(
        chat_request("[".repeat(5_000_000).as_bytes()),
        Err(CanonicalError::Depth)
    );
    let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
    assert_eq!(chat_request(many.as_bytes()), Err(CanonicalError::Values));
}

#[test]
fn an_error_names_the_field_and_quotes_no_content() {
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "x"}, {"role": "secret"}]});
    let error = chat_request(body.to_string().as_bytes()).expect_err("no such role");
    assert_eq!(
        error.to_string(),
        "messages[1].role: it has to be system, developer, user, assistant, tool or function"
    );
    let error = chat_request(br#"{"secret": secret}"#).expect_err("not JSON");
    assert!(!error.to_string().contains("secret"), "{error}");
}
