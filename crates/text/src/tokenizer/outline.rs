//! What a tokenizer file may ask for: checked before the library that runs it sees the file.

use super::TokenizerError;
use crate::{MAX_TEXT_BYTES, MAX_TOKEN_BYTES, MAX_VOCABULARY};
use serde::Deserialize;
use serde_json::Value;

/// Normalisers, pre-tokenisers, processors or decoders in one tokenizer.
const MAX_COMPONENTS: usize = 64;
/// Bytes of one pattern.
const MAX_PATTERN_BYTES: usize = 8192;
/// Bytes of one replacement in a normaliser.
const MAX_REPLACEMENT_BYTES: usize = 64;
/// Bytes that a text may have once it is normalised.
const MAX_NORMALISED_BYTES: u64 = 32 << 20;
/// Bytes of text that every tokenizer must be able to take.
const LEAST_TEXT_BYTES: u64 = 16 << 10;
/// Added tokens in one file.
const MAX_ADDED_TOKENS: usize = 1 << 17;
/// Characters of a word that WordPiece may search, in time cubic in them.
const MAX_WORD_CHARS: u64 = 1000;

/// The parts of a `tokenizer.json` that are small; the vocabulary is skipped.
#[derive(Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    pub(super) decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    max_input_chars_per_word: Option<u64>,
    #[serde(default)]
    byte_fallback: Option<bool>,
}

fn refused(what: impl Into<String>) -> TokenizerError {
    TokenizerError::Refused(what.into())
}

impl Outline {
    /// Whether the model spells what it does not know in tokens like `<0x0A>`.
    pub(super) fn byte_fallback(&self) -> bool {
        self.model.byte_fallback == Some(true)
    }

    /// Checks everything but the vocabulary; gives the longest text in bytes that may be encoded.
    pub(super) fn check(&self) -> Result<usize, TokenizerError> {
        if self.added_tokens.len() > MAX_ADDED_TOKENS.min(MAX_VOCABULARY) {
            return Err(refused(format!(
                "more than {MAX_ADDED_TOKENS} added tokens"
            )));
        }
        if let Some(added) = self
            .added_tokens
            .iter()
            .find(|a| a.content.len() > MAX_TOKEN_BYTES)
        {
            return Err(refused(format!(
                "an added token of {} bytes",
                added.content.len()
            )));
        }
        if self.model.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(refused(
                "model.dropout is not 0: encoding would be random; set it to null",
            ));
        }
        if self
            .model
            .max_input_chars_per_word
            .is_some_and(|n| n > MAX_WORD_CHARS)
        {
            return Err(refused(format!(
                "max_input_chars_per_word is above {MAX_WORD_CHARS}"
            )));
        }
        let mut components = 0;
        check_patterns(&self.pre_tokenizer, "pretokenizers", &mut components)?;
        check_processor(&self.post_processor, &mut components)?;
        let growth = growth(&self.normalizer, &mut components)?;
        let longest = MAX_NORMALISED_BYTES / growth;
        if longest < LEAST_TEXT_BYTES {
            return Err(refused(format!(
                "its normaliser makes texts up to {growth} times longer"
            )));
        }
        Ok(usize::try_from(longest)
            .unwrap_or(MAX_TEXT_BYTES)
            .min(MAX_TEXT_BYTES))
    }
}

fn kind(component: &Value) -> &str {
    component["type"].as_str().unwrap_or_default()
}

fn count(components: &mut usize) -> Result<(), TokenizerError> {
    *components += 1;
    if *components > MAX_COMPONENTS {
        return Err(refused(format!(
            "more than {MAX_COMPONENTS} normalisers, pre-tokenisers and processors"
        )));
    }
    Ok(())
}

/// Recursion is as deep as the JSON was, which `serde_json` bounds.
fn check_patterns(
    component: &Value,
    children: &str,
    components: &mut usize,
) -> Result<(), TokenizerError> {
    if component.is_null() {
        return Ok(());
    }
    count(components)?;
    let pattern = pattern_text(component);
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(refused(format!(
            "a pattern of {} bytes; at most {MAX_PATTERN_BYTES}",
            pattern.len()
        )));
    }
    for child in component[children].as_array().into_iter().flatten() {
        check_patterns(child, children, components)?;
    }
    Ok(())
}

fn pattern_text(component: &Value) -> &str {
    let pattern = &component["pattern"];
    [&pattern["String"], &pattern["Regex"], pattern]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or_default()
}

/// How many times longer a normaliser can make a text, rounded up.
fn growth(component: &Value, components: &mut usize) -> Result<u64, TokenizerError> {
    if component.is_null() {
        return Ok(1);
    }
    check_patterns(component, "", components)?;
    Ok(match kind(component) {
        "Sequence" => {
            let mut product = 1_u64;
            for child in component["normalizers"].as_array().into_iter().flatten() {
                product = product.saturating_mul(growth(child, components)?);
            }
            product
        }
        "Replace" => {
            let content = component["content"].as_str().unwrap_or_default().len();
            if content > MAX_REPLACEMENT_BYTES {
                return Err(refused(format!(
                    "a replacement of {content} bytes; at most {MAX_REPLACEMENT_BYTES}"
                )));
            }
            // An expression may match the empty string before every byte.
            match component["pattern"]["String"].as_str() {
                Some("") => return Err(refused("a normaliser that replaces the empty string")),
                Some(pattern) => content.div_ceil(pattern.len()).max(1) as u64,
                None => anchored_growth(component, content),
            }
        }
        "Prepend" => {
            let content = component["prepend"].as_str().unwrap_or_default().len();
            if content > MAX_REPLACEMENT_BYTES {
                return Err(refused(format!(
                    "a prefix of {content} bytes; at most {MAX_REPLACEMENT_BYTES}"
                )));
            }
            1
        }
        "Precompiled" => longest_replacement(
            component["precompiled_charsmap"]
                .as_str()
                .unwrap_or_default(),
        )?,
        // The longest compatibility decomposition: U+FDFA, of 3 bytes, becomes 33.
        "NFKC" | "NFKD" => 11,
        "NFC" | "NFD" | "BertNormalizer" => 4,
        "Lowercase" | "ByteLevel" => 2,
        // `Strip`, `StripAccents`, `Nmt`; whatever else the library knows replaces nothing by more.
        _ => 1,
    })
}

/// Growth by an expression's matches; one that starts with `\A` matches once.
fn anchored_growth(component: &Value, content: usize) -> u64 {
    let pattern = component["pattern"]["Regex"].as_str().unwrap_or_default();
    let once = pattern.starts_with(r"\A") && !pattern.contains('|');
    if once { 1 } else { content.max(1) as u64 + 1 }
}

/// The longest replacement in bytes in a SentencePiece map of characters: the length of a trie, the trie, then
/// strings that end with a zero.
fn longest_replacement(base64: &str) -> Result<u64, TokenizerError> {
    let bytes =
        decode_base64(base64).ok_or_else(|| refused("precompiled_charsmap is not base64"))?;
    let broken = || refused("precompiled_charsmap is cut short");
    if bytes.is_empty() {
        return Ok(1);
    }
    let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
    let strings = rest
        .get(u32::from_le_bytes(*size) as usize..)
        .ok_or_else(broken)?;
    let longest = strings
        .split(|&byte| byte == 0)
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    // A zero byte may be outside the strings that the trie names: the last needs none.
    Ok(longest.max(1) as u64)
}

/// Standard base64, padded or not; `None` if it is something else.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xFF) as u8);
        }
    }
    Some(out)
}

/// A template must place the text once: each further time would double it.
fn check_processor(component: &Value, components: &mut usize) -> Result<(), TokenizerError> {
    if component.is_null() {
        return Ok(());
    }
    count(components)?;
    for child in component["processors"].as_array().into_iter().flatten() {
        check_processor(child, components)?;
    }
    if kind(component) != "TemplateProcessing" {
        return Ok(());
    }
    let single = component["single"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let texts = single
        .iter()
        .filter(|piece| piece.get("Sequence").is_some())
        .count();
    if single.len() > MAX_COMPONENTS || (component["single"].is_array() && texts != 1) {
        return Err(refused(
            "its template for one text must hold that text once, and few tokens",
        ));
    }
    let ids = |token: &Value| token["ids"].as_array().map_or(0, Vec::len);
    if component["special_tokens"]
        .as_object()
        .into_iter()
        .flatten()
        .any(|(_, token)| ids(token) > MAX_COMPONENTS)
    {
        return Err(refused(format!(
            "a special token of more than {MAX_COMPONENTS} ids"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(parts: Value) -> Result<usize, String> {
        let mut file = json!({ "model": {} });
        for (key, value) in parts.as_object().unwrap() {
            file[key] = value.clone();
        }
        let outline: Outline = serde_json::from_value(file).unwrap();
        outline.check().map_err(|error| error.to_string())
    }

    #[test]
    fn usual_parts_pass_and_growth_shortens_texts() {
        assert_eq!(check(json!({})), Ok(MAX_TEXT_BYTES));
        let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
        assert_eq!(check(json!({ "normalizer": spaces })), Ok(MAX_TEXT_BYTES));
        let chain = json!({ "type": "Sequence", "normalizers": [{ "type": "NFKC" }, spaces] });
        assert_eq!(check(json!({ "normalizer": chain })), Ok((32 << 20) / 33));
    }

    #[test]
    fn what_multiplies_text_is_refused() {
        let double =
            json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aaaaaaaa" });
        let bomb = json!({ "type": "Sequence", "normalizers": vec![double; 20] });
        assert!(
            check(json!({ "normalizer": bomb }))
                .unwrap_err()
                .contains("times longer")
        );
        let empty = json!({ "type": "Replace", "pattern": { "String": "" }, "content": "a" });
        assert!(
            check(json!({ "normalizer": empty }))
                .unwrap_err()
                .contains("empty string")
        );
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let twice =
            json!({ "type": "TemplateProcessing", "single": [text, text], "special_tokens": {} });
        assert!(
            check(json!({ "post_processor": twice }))
                .unwrap_err()
                .contains("once")
        );
        assert!(
            check(json!({ "model": { "dropout": 0.1 } }))
                .unwrap_err()
                .contains("random")
        );
        let many = vec![json!({ "type": "Digits", "individual_digits": true }); 65];
        let many = json!({ "type": "Sequence", "pretokenizers": many });
        assert!(
            check(json!({ "pre_tokenizer": many }))
                .unwrap_err()
                .contains("more than 64")
        );
    }

    #[test]
    fn a_map_of_characters_with_a_long_replacement_is_refused() {
        assert_eq!(decode_base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(decode_base64("a-"), None);
        // A trie of no bytes, then "hi".
        assert_eq!(longest_replacement("AAAAAGhpAA==").unwrap(), 2);
        let long = format!("AAAA{}", "YWFh".repeat(2000));
        let map = json!({ "type": "Precompiled", "precompiled_charsmap": long });
        assert!(check(json!({ "normalizer": map })).is_err());
    }
}
