//! How probable tokens were, in OpenAI's shapes.

use crate::{document::put, fraction};
use og_types::language::{Alternative, Logprob};
use serde::Deserialize;
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

/// What services say of tokens, in either shape.
#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    content: Option<Vec<Token>>,
    tokens: Option<Vec<String>>,
    token_logprobs: Option<Vec<Option<f64>>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
}

#[derive(Debug, Deserialize)]
struct Token {
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
    #[serde(default)]
    top_logprobs: Vec<Self>,
}

impl Token {
    fn alternative(self) -> Alternative {
        Alternative {
            bytes: self.bytes.unwrap_or_else(|| self.token.into_bytes()),
            logprob: fraction::read(self.logprob.unwrap_or_default()),
        }
    }
}

impl Tokens {
    /// How probable tokens were.
    pub(crate) fn read(self) -> Vec<Logprob> {
        if let Some(tokens) = self.content {
            let read = |mut token: Token| Logprob {
                top: std::mem::take(&mut token.top_logprobs)
                    .into_iter()
                    .map(Token::alternative)
                    .collect(),
                chosen: token.alternative(),
            };
            return tokens.into_iter().map(read).collect();
        }
        let tokens = self.tokens.unwrap_or_default().into_iter();
        let mut logprobs = self.token_logprobs.unwrap_or_default().into_iter();
        let mut tops = self.top_logprobs.unwrap_or_default().into_iter();
        let read = |token: String| {
            let top = tops.next().flatten().unwrap_or_default().into_iter();
            let top = top.map(|(token, logprob)| old(&token, logprob.as_f64()));
            Logprob {
                chosen: old(&token, logprobs.next().flatten()),
                top: top.collect(),
            }
        };
        tokens.map(read).collect()
    }
}

/// A token of the old shape.
fn old(name: &str, logprob: Option<f64>) -> Alternative {
    let escaped = name.strip_prefix("bytes:").and_then(|escaped| {
        let bytes = escaped.strip_prefix("\\x")?.split("\\x");
        let byte = |byte: &str| u8::from_str_radix(byte, 16).ok();
        bytes.map(byte).collect::<Option<Vec<_>>>()
    });
    Alternative {
        bytes: escaped.unwrap_or_else(|| name.as_bytes().to_vec()),
        logprob: fraction::read(logprob.unwrap_or_default()),
    }
}
