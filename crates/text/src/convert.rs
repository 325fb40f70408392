//! Writes `tokenizer.json` from parts: what all conversions share.

use crate::{MAX_TOKEN_BYTES, MAX_VOCABULARY};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// A token that is found in text before the model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddedToken {
    /// Its id.
    pub(crate) id: u32,
    /// Its spelling.
    pub(crate) content: String,
    /// Whether users' text must not be able to spell it.
    pub(crate) special: bool,
    /// Whether spaces before it belong to it.
    pub(crate) lstrip: bool,
}

impl AddedToken {
    pub(crate) fn new(id: u32, content: &str, special: bool) -> Self {
        Self {
            id,
            content: content.to_owned(),
            special,
            lstrip: false,
        }
    }
}

/// The parts of a `tokenizer.json`; those that are null are absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) added: Vec<AddedToken>,
    pub(crate) normalizer: Value,
    pub(crate) pre_tokenizer: Value,
    pub(crate) post_processor: Value,
    pub(crate) decoder: Value,
    pub(crate) model: Value,
}

impl Parts {
    /// The file's bytes.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let added: Vec<Value> = self
            .added
            .iter()
            .map(|token| {
                json!({
                    "id": token.id, "content": token.content, "single_word": false, "lstrip": token.lstrip,
                    "rstrip": false, "normalized": false, "special": token.special,
                })
            })
            .collect();
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": self.normalizer, "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self.post_processor, "decoder": self.decoder, "model": self.model,
        });
        file.to_string().into_bytes()
    }
}

/// Token strings by id as a vocabulary; of equal ones the last counts, as in Python's dictionaries.
pub(crate) fn vocabulary<S: AsRef<str>>(tokens: &[S]) -> Value {
    let ids = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.as_ref().to_owned(), Value::from(id)));
    Value::Object(ids.collect::<Map<String, Value>>())
}

/// Whether the sizes of a vocabulary are in bounds; what is wrong, otherwise.
pub(crate) fn check_tokens<S: AsRef<str>>(tokens: &[S]) -> Result<(), String> {
    if tokens.is_empty() || tokens.len() > MAX_VOCABULARY {
        return Err(format!(
            "it has {} tokens; 1 to {MAX_VOCABULARY} are taken",
            tokens.len()
        ));
    }
    match tokens
        .iter()
        .position(|token| token.as_ref().len() > MAX_TOKEN_BYTES)
    {
        Some(id) => Err(format!("token {id} is longer than {MAX_TOKEN_BYTES} bytes")),
        None => Ok(()),
    }
}

/// Puts tokens before and after every text.
pub(crate) fn surround(before: &[(u32, &str)], after: &[(u32, &str)]) -> Value {
    if before.is_empty() && after.is_empty() {
        return Value::Null;
    }
    let piece =
        |&(_, token): &(u32, &str)| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    let around = |name: &str| {
        before
            .iter()
            .map(piece)
            .chain([text(name)])
            .chain(after.iter().map(piece))
    };
    let single: Vec<Value> = around("A").collect();
    let pair: Vec<Value> = around("A").chain(around("B")).collect();
    let special: Map<String, Value> = before
        .iter()
        .chain(after)
        .map(|&(id, token)| {
            (
                token.to_owned(),
                json!({ "id": token, "ids": [id], "tokens": [token] }),
            )
        })
        .collect();
    json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special })
}

/// The merges of a byte-pair model whose pieces have scores: pieces by falling score, then by id, each with all its
/// splits into two pieces. `mergeable` says which pieces take part.
///
/// SentencePiece merges the pair whose piece has the greatest score, the leftmost of equal ones. A list of merges
/// says the same as long as no two pieces have one score, which SentencePiece's own models keep.
pub(crate) fn merges_from_scores<S: AsRef<str>>(
    tokens: &[S],
    scores: &[f32],
    mergeable: impl Fn(usize) -> bool,
) -> Vec<Value> {
    let ids: HashMap<&str, usize> = tokens
        .iter()
        .map(AsRef::as_ref)
        .enumerate()
        .map(|(id, token)| (token, id))
        .filter(|&(_, id)| mergeable(id))
        .collect();
    let mut ranked: Vec<(f32, usize, &str, &str)> = Vec::with_capacity(ids.len() * 2);
    for (&token, &id) in &ids {
        let score = scores.get(id).copied().unwrap_or(0.0);
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if ids.contains_key(left) && ids.contains_key(right) {
                ranked.push((score, id, left, right));
            }
        }
    }
    ranked.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then_with(|| (a.1, a.2, a.3).cmp(&(b.1, b.2, b.3)))
    });
    ranked
        .into_iter()
        .map(|(_, _, left, right)| json!([left, right]))
        .collect()
}

/// `type: Replace` with a fixed pattern.
pub(crate) fn replace(pattern: &str, content: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "String": pattern }, "content": content })
}

/// `type: Replace` with an expression.
pub(crate) fn replace_matches(pattern: &str, content: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "Regex": pattern }, "content": content })
}

/// The decoder of SentencePiece's models; `drop_space` if a space was put in front of the text.
pub(crate) fn sentencepiece_decoder(byte_fallback: bool, drop_space: bool) -> Value {
    let mut decoders = vec![replace("▁", " ")];
    if byte_fallback {
        decoders.push(json!({ "type": "ByteFallback" }));
    }
    decoders.push(json!({ "type": "Fuse" }));
    if drop_space {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({ "type": "Sequence", "decoders": decoders })
}

/// What BERT's tokenizers do around their model; `lowercase` removes accents too, as theirs do.
pub(crate) fn word_piece_parts(tokens: &[String], unknown: &str, lowercase: bool) -> Parts {
    let id = |token: &str| {
        tokens
            .iter()
            .position(|other| other == token)
            .map(|id| id as u32)
    };
    let around = |token: &'static str| id(token).map(|id| vec![(id, token)]).unwrap_or_default();
    Parts {
        added: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            .into_iter()
            .filter_map(|token| Some(AddedToken::new(id(token)?, token, true)))
            .collect(),
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": lowercase,
        }),
        pre_tokenizer: json!({ "type": "BertPreTokenizer" }),
        post_processor: surround(&around("[CLS]"), &around("[SEP]")),
        decoder: json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        model: json!({
            "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary(tokens),
        }),
    }
}

/// Standard base64 with padding.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (at, &byte)| {
            word | u32::from(byte) << (16 - 8 * at)
        });
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() {
                char::from(ALPHABET[index])
            } else {
                '='
            });
        }
    }
    out
}
