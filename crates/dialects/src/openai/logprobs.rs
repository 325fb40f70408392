//! How probable tokens were, in OpenAI's shapes.

use crate::{document::put, fraction};
use og_types::language::{Alternative, Logprob};
use serde_json::{Map, Value, json};

/// As chat has it: each token with its text, its bytes (for those that are no whole characters) and alternatives.
pub(super) fn chat(logprobs: &[Logprob]) -> Value {
    json!({"content": list(logprobs), "refusal": null})
}

/// The list inside.
pub(super) fn list(logprobs: &[Logprob]) -> Vec<Value> {
    let token = |token: &Logprob| {
        let mut entry = alternative(&token.chosen);
        let others: Vec<_> = token.top.iter().map(alternative).collect();
        put(&mut entry, "top_logprobs", others);
        entry
    };
    logprobs.iter().map(token).collect()
}

fn alternative(token: &Alternative) -> Value {
    json!({
        "token": String::from_utf8_lossy(&token.bytes),
        "bytes": token.bytes,
        "logprob": fraction::write(token.logprob),
    })
}

/// As completions have it: lists beside each other. `offset` counts the characters before each token.
pub(super) fn legacy(logprobs: &[Logprob], offset: &mut usize) -> Value {
    let mut offsets = vec![];
    for token in logprobs {
        offsets.push(*offset);
        // Bytes that do not go on with a character.
        let begin = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
        *offset += token.chosen.bytes.iter().filter(begin).count();
    }
    let top = |token: &Logprob| {
        let pairs = token.top.iter();
        pairs
            .map(|other| (name(&other.bytes), json!(fraction::write(other.logprob))))
            .collect::<Map<_, _>>()
    };
    let chosen = logprobs.iter().map(|token| &token.chosen);
    json!({
        "tokens": chosen.clone().map(|token| name(&token.bytes)).collect::<Vec<_>>(),
        "token_logprobs": chosen.map(|token| fraction::write(token.logprob)).collect::<Vec<_>>(),
        "top_logprobs": logprobs.iter().map(top).collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}

/// A token's text; of one that is no whole characters, its bytes.
fn name(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let bytes = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
            format!("bytes:{}", bytes.collect::<String>())
        }
    }
}
