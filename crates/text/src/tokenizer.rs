//! A model's tokenizer: text to token ids and back.
//!
//! **Special tokens.** A text that a user wrote must not be able to end a turn or to begin one by spelling
//! `<|im_end|>`. So [`Tokenizer::encode`] takes such spellings as plain text; [`Tokenizer::encode_with_special`]
//! interprets them, for text of the operator's own; [`Tokenizer::encode_guarded`] interprets those outside what
//! users wrote, for a rendered chat template (see [`crate::ChatTemplate::render_guarded`]).
//!
//! **Decoding** is defined on bytes: every token stands for bytes, these are joined, and what is not UTF-8 becomes
//! U+FFFD as [`String::from_utf8_lossy`] has it. This is what Hugging Face's decoders give for all but broken
//! sequences of byte tokens (`<0xE4>`), where theirs give one U+FFFD for each token.

mod outline;
mod pieces;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use pieces::DecodeState;

use crate::{
    MAX_TOKEN_BYTES, MAX_TOKENIZER_BYTES, MAX_VOCABULARY,
    contain::{contain, shorten},
};
use aho_corasick::AhoCorasick;
use outline::Outline;
use pieces::{Pieces, Rules, fallback_byte};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};
use tokenizers::{
    AddedVocabulary, Model as _, NormalizedString, OffsetType, PreTokenizedString,
    PreTokenizer as _, Token,
};

/// Why a tokenizer file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file is too large.
    #[error("the tokenizer file has {bytes} bytes; at most {MAX_TOKENIZER_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not a `tokenizer.json`, or one that contradicts itself.
    #[error("this is not a usable tokenizer.json: {0}")]
    Malformed(String),
    /// It asks for something that could exhaust this machine, or for chance.
    #[error("this tokenizer is refused: {0}")]
    Refused(String),
    /// Its decoder is one that this program cannot run on bytes.
    #[error(
        "the tokenizer's decoder {0} is not supported; those of GPT-2, Llama, T5 and BERT tokenizers are"
    )]
    Decoder(String),
}

/// Why a text cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The text is too long.
    #[error("a text of {bytes} bytes is too long: this tokenizer takes {most}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The greatest length that this tokenizer takes.
        most: usize,
    },
    /// The tokenizer failed on it.
    #[error("the tokenizer failed on this text: {0}")]
    Failed(String),
}

/// A tokenizer that was read and checked. Cheap to share behind an `Arc`.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The added tokens without those that are special: for text that must not spell them.
    plain: AddedVocabulary,
    /// The string of each id.
    tokens: Vec<Option<String>>,
    pieces: Pieces,
    special: BTreeMap<u32, String>,
    spellings: AhoCorasick,
    /// Whether there are tokens like `<0x0A>`, which no text may spell.
    byte_fallback: bool,
    max_text_bytes: usize,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tokenizer of {} tokens", self.tokens.len())
    }
}

impl Tokenizer {
    /// Reads a Hugging Face `tokenizer.json`. Truncation and padding that it asks for are ignored.
    ///
    /// # Errors
    /// If the file is too large, malformed, or asks for what [`TokenizerError`] names.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenizerError> {
        if bytes.len() > MAX_TOKENIZER_BYTES {
            return Err(TokenizerError::TooLarge { bytes: bytes.len() });
        }
        let malformed =
            |error: &dyn fmt::Display| TokenizerError::Malformed(shorten(&error.to_string()));
        let outline: Outline = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        let max_text_bytes = outline.check()?;
        let mut inner = contain(|| tokenizers::Tokenizer::from_bytes(bytes))
            .map_err(|panic| malformed(&panic))?
            .map_err(|error| malformed(&error))?;
        inner
            .with_truncation(None)
            .map_err(|error| malformed(&error))?;
        inner.with_padding(None);
        let tokens = token_strings(&inner)?;
        let pieces = Pieces::new(Rules::new(&outline.decoder)?, &tokens)?;
        let mut plain = inner.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        let special: BTreeMap<u32, String> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .collect();
        let spellings = AhoCorasick::new(special.values()).map_err(|error| malformed(&error))?;
        let tokenizer = Self {
            inner,
            plain,
            tokens,
            pieces,
            special,
            spellings,
            byte_fallback: outline.byte_fallback(),
            max_text_bytes,
        };
        let around = tokenizer
            .encode("", true)
            .map_err(|error| malformed(&error))?;
        if let Some(id) = around.iter().find(|&&id| tokenizer.token(id).is_none()) {
            return Err(TokenizerError::Malformed(format!(
                "its post-processor adds token {id}, which does not exist"
            )));
        }
        Ok(tokenizer)
    }

    /// Token ids of a text in which special tokens are not interpreted: what anyone may have written.
    /// `add_special` puts the tokens around it that the model expects around a text (BOS, `[CLS]` …).
    ///
    /// # Errors
    /// If the text is too long or the tokenizer fails.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, EncodeError> {
        self.encode_by(&self.plain, text, None, add_special)
    }

    /// Token ids of a text whose vector is wanted: [`Tokenizer::encode`] with the tokens around it that the model
    /// expects, and `begin` in front, unless it is there already.
    ///
    /// # Errors
    /// If the text is too long or the tokenizer fails.
    pub fn encode_to_embed(&self, text: &str, begin: Option<u32>) -> Result<Vec<u32>, EncodeError> {
        let tokens = self.encode(text, true)?;
        let missing = begin.filter(|begin| tokens.first() != Some(begin));
        Ok(missing.into_iter().chain(tokens).collect())
    }

    /// Token ids of a text in which special tokens are interpreted where they are spelled out: only for text
    /// that the operator wrote.
    ///
    /// # Errors
    /// If the text is too long or the tokenizer fails.
    pub fn encode_with_special(
        &self,
        text: &str,
        add_special: bool,
    ) -> Result<Vec<u32>, EncodeError> {
        self.encode_by(self.inner.get_added_vocabulary(), text, None, add_special)
    }

    /// Like [`Tokenizer::encode_with_special`], without adding tokens, and every `guard` in the text is removed
    /// once special tokens are found: a special token's spelling that holds a guard is plain text.
    ///
    /// # Errors
    /// If the text is too long or the tokenizer fails.
    pub fn encode_guarded(&self, text: &str, guard: char) -> Result<Vec<u32>, EncodeError> {
        self.encode_by(self.inner.get_added_vocabulary(), text, Some(guard), false)
    }

    fn encode_by(
        &self,
        added: &AddedVocabulary,
        text: &str,
        guard: Option<char>,
        add_special: bool,
    ) -> Result<Vec<u32>, EncodeError> {
        if text.len() > self.max_text_bytes {
            return Err(EncodeError::TooLong {
                bytes: text.len(),
                most: self.max_text_bytes,
            });
        }
        let failed = |error: &dyn fmt::Display| EncodeError::Failed(shorten(&error.to_string()));
        contain(|| {
            let mut parts = added.extract_and_normalize(self.inner.get_normalizer(), text);
            if let Some(guard) = guard {
                parts.normalize(|part| {
                    part.filter(|character| character != guard);
                    Ok(())
                })?;
            }
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut parts)?;
            }
            self.finish(parts, add_special)
        })
        .map_err(|panic| failed(&panic))?
        .map_err(|error| failed(&error))
    }

    fn finish(
        &self,
        mut parts: PreTokenizedString,
        add_special: bool,
    ) -> tokenizers::Result<Vec<u32>> {
        parts.tokenize(|part: &NormalizedString| self.tokenize_plain(part.get()))?;
        let encoding = parts.into_encoding(None, 0, OffsetType::None)?;
        let encoding = self.inner.post_process(encoding, None, add_special)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Runs the model on a text from which special tokens were taken. Some models (those that look up whole
    /// words first, and unigram ones) would find a special token's string in it all the same: it is then cut
    /// within each such string and run again.
    fn tokenize_plain(&self, text: &str) -> tokenizers::Result<Vec<Token>> {
        /// A cut can make another special token's string the best choice; this many times it is followed.
        const ROUNDS: usize = 4;
        let model = self.inner.get_model();
        let mut parts = vec![text];
        for round in 0..=ROUNDS {
            let (mut tokens, mut smaller) = (Vec::new(), Vec::new());
            let mut spelled = false;
            for part in &parts {
                let found = model.tokenize(part)?;
                let mut start = 0;
                for token in found
                    .iter()
                    .filter(|token| self.spells_special(token, part))
                {
                    let first = part[token.offsets.0..]
                        .chars()
                        .next()
                        .map_or(0, char::len_utf8);
                    let cut = token.offsets.0 + first;
                    if cut < token.offsets.1 {
                        smaller.push(&part[start..cut]);
                        start = cut;
                        spelled = true;
                    }
                }
                smaller.push(&part[start..]);
                tokens.extend(found);
            }
            if !spelled {
                return Ok(tokens);
            }
            if round == ROUNDS {
                break;
            }
            parts = smaller;
        }
        Err("its vocabulary spells special tokens in too many ways".into())
    }

    /// Whether the model made a special token, or one for a byte, out of its own spelling (not, say, `<unk>` out
    /// of something unknown).
    fn spells_special(&self, token: &Token, part: &str) -> bool {
        let spelling = part.get(token.offsets.0..token.offsets.1);
        let special = self
            .special
            .get(&token.id)
            .is_some_and(|content| spelling == Some(content));
        special
            || (self.byte_fallback
                && spelling.is_some_and(|spelling| fallback_byte(spelling).is_some()))
    }

    /// The text of token ids, without special tokens; ids that do not exist are skipped.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.decode_ids(ids, true)
    }

    /// The text of token ids with special tokens spelled out; ids that do not exist are skipped.
    pub fn decode_with_special(&self, ids: &[u32]) -> String {
        self.decode_ids(ids, false)
    }

    fn decode_ids(&self, ids: &[u32], skip_special: bool) -> String {
        let (mut state, mut bytes) = (DecodeState::BEGINNING, Vec::new());
        for &id in ids {
            self.decode_one(&mut state, id, skip_special, &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Appends a token's bytes to those of a text that is being decoded.
    pub(crate) fn decode_one(
        &self,
        state: &mut DecodeState,
        id: u32,
        skip_special: bool,
        bytes: &mut Vec<u8>,
    ) {
        match self.token(id) {
            Some(token) if !(skip_special && self.is_special(id)) => {
                state.push(&self.pieces, id, token, bytes)
            }
            _ => {}
        }
    }

    /// The bytes that a token stands for inside a text (at its very beginning some drop a space); `None` if there
    /// is no such token.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.token(id)?;
        self.pieces.of(id)
    }

    /// The token's string as the vocabulary spells it (`Ġthe`, `▁the`, `<|im_end|>`).
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(usize::try_from(id).ok()?)?.as_deref()
    }

    /// The id of a token's string.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// One more than the greatest token id.
    pub fn vocabulary_size(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the token is special: never part of an answer's text.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains_key(&id)
    }

    /// The special tokens' ids and strings.
    pub fn special_tokens(&self) -> &BTreeMap<u32, String> {
        &self.special
    }

    /// Finds special tokens' spellings in a text.
    pub(crate) fn spellings(&self) -> &AhoCorasick {
        &self.spellings
    }

    /// The longest text in bytes that can be encoded.
    pub fn max_text_bytes(&self) -> usize {
        self.max_text_bytes
    }
}

/// The string of each id up to the greatest.
fn token_strings(inner: &tokenizers::Tokenizer) -> Result<Vec<Option<String>>, TokenizerError> {
    let ids: HashSet<u32> = inner.get_vocab(true).into_values().collect();
    let size = ids.iter().max().map_or(0, |&most| most as usize + 1);
    if size == 0 || size > MAX_VOCABULARY {
        return Err(TokenizerError::Refused(format!(
            "token ids go to {}; at most {MAX_VOCABULARY} tokens are taken, and at least one",
            size.saturating_sub(1)
        )));
    }
    let tokens: Vec<Option<String>> = (0..size as u32).map(|id| inner.id_to_token(id)).collect();
    if let Some(id) = tokens
        .iter()
        .flatten()
        .position(|token| token.len() > MAX_TOKEN_BYTES)
    {
        return Err(TokenizerError::Refused(format!(
            "token {id} is longer than {MAX_TOKEN_BYTES} bytes"
        )));
    }
    Ok(tokens)
}
