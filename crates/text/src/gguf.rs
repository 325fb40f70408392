//! The vocabulary that a GGUF file carries, as a `tokenizer.json`.
//!
//! What counts is how `llama.cpp` encodes with it: `llama` vocabularies merge by score with a space in front and
//! bytes for what is unknown, `gpt2` ones are byte-level with expressions named by `tokenizer.ggml.pre`, `bert` is
//! WordPiece, `t5` a unigram model.

mod pre;
#[cfg(test)]
mod tests;

use crate::{
    convert::{self, AddedToken, Parts, check_tokens, surround, vocabulary},
    sentencepiece::{Kind, Model, Piece, PieceType},
};
use serde_json::{Value, json};

/// Why a vocabulary cannot become a tokenizer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// The kind of tokenizer is unknown.
    #[error("tokenizer.ggml.model is {0:?}; known are llama, gpt2, bert and t5")]
    UnknownModel(String),
    /// The way to cut text into words is unknown.
    #[error("tokenizer.ggml.pre is {name:?}, which this program does not know; known are {known}")]
    UnknownPre {
        /// What the file says.
        name: String,
        /// What could be said.
        known: String,
    },
    /// The lists do not fit together or are too long.
    #[error("the vocabulary cannot be used: {0}")]
    Malformed(String),
}

/// The `tokenizer.ggml.*` entries of a GGUF file.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// `model`: `llama`, `gpt2`, `bert` or `t5`.
    pub model: String,
    /// `pre`: how `gpt2` vocabularies cut text into words; empty means `default`.
    pub pre: String,
    /// `tokens`.
    pub tokens: Vec<String>,
    /// `scores`: as many as tokens, or none.
    pub scores: Vec<f32>,
    /// `token_type`: as many as tokens, or none (all normal).
    pub types: Vec<i32>,
    /// `merges`: pairs with a space between.
    pub merges: Vec<String>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `eot_token_id`: ends a turn.
    pub eot: Option<u32>,
    /// `unknown_token_id`.
    pub unknown: Option<u32>,
    /// `padding_token_id`.
    pub padding: Option<u32>,
    /// `add_bos_token`; what the kind of tokenizer does, if absent.
    pub add_bos: Option<bool>,
    /// `add_eos_token`; what the kind of tokenizer does, if absent.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`; true for `llama` and `t5`, if absent.
    pub add_space_prefix: Option<bool>,
    /// `remove_extra_whitespaces`; false, if absent.
    pub remove_extra_whitespaces: Option<bool>,
    /// `precompiled_charsmap`: how `t5` normalises characters.
    pub characters: Vec<u8>,
    /// `normalizer.lowercase`, for `bert`; true, if absent.
    pub lowercase: Option<bool>,
}

/// `token_type` of tokens that users' text must not spell.
const CONTROL: i32 = 3;
/// `token_type` of the token for what is unknown.
const UNKNOWN: i32 = 2;
/// `token_type` of tokens that are found in text before anything else.
const USER_DEFINED: i32 = 4;

impl Vocabulary {
    /// The `tokenizer.json` that encodes as `llama.cpp` does with this vocabulary.
    ///
    /// # Errors
    /// If the kind or `pre` is unknown, or the lists do not fit together.
    pub fn to_tokenizer_json(&self) -> Result<Vec<u8>, VocabularyError> {
        check_tokens(&self.tokens).map_err(VocabularyError::Malformed)?;
        let size = self.tokens.len();
        for (name, length) in [
            ("scores", self.scores.len()),
            ("token_type", self.types.len()),
        ] {
            if length != 0 && length != size {
                return Err(VocabularyError::Malformed(format!(
                    "{size} tokens, but {length} entries in {name}"
                )));
            }
        }
        if self.scores.iter().any(|score| !score.is_finite()) {
            return Err(VocabularyError::Malformed(
                "a score is not a finite number".to_owned(),
            ));
        }
        let ids = [self.bos, self.eos, self.eot, self.unknown, self.padding];
        if let Some(id) = ids.into_iter().flatten().find(|&id| id as usize >= size) {
            return Err(VocabularyError::Malformed(format!(
                "special token {id} is not among {size} tokens"
            )));
        }
        let mut parts = match self.model.as_str() {
            "llama" => self.pieces(Kind::Bpe)?,
            "t5" => self.pieces(Kind::Unigram)?,
            "gpt2" => self.byte_level()?,
            "bert" => self.word_piece(),
            other => return Err(VocabularyError::UnknownModel(other.to_owned())),
        };
        if self.model != "bert" {
            parts.post_processor = self.surround()?;
        }
        Ok(parts.to_json())
    }

    /// The token that `llama.cpp` puts before every prompt, if it puts one.
    pub fn begin(&self) -> Option<u32> {
        let usual = match self.model.as_str() {
            "llama" | "bert" => true,
            "gpt2" => pre::find(&self.pre).is_some_and(|pre| pre.begins),
            _ => false,
        };
        self.bos.filter(|_| self.add_bos.unwrap_or(usual))
    }

    /// The tokens that end an answer: `eos`, `eot`, and those special tokens that chat models are known to end with.
    pub fn ends(&self) -> Vec<u32> {
        const NAMES: [&str; 11] = [
            "<|eot_id|>",
            "<|im_end|>",
            "<|end|>",
            "<end_of_turn>",
            "<turn|>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<|eom_id|>",
            "<|return|>",
            "<EOT>",
            "<｜end▁of▁sentence｜>",
        ];
        let named = self.tokens.iter().enumerate().filter(|(id, token)| {
            matches!(self.kind(*id), CONTROL | USER_DEFINED) && NAMES.contains(&token.as_str())
        });
        let mut ends: Vec<u32> = self
            .eos
            .into_iter()
            .chain(self.eot)
            .chain(named.map(|(id, _)| id as u32))
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        ends.retain(|&end| seen.insert(end));
        ends
    }

    fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(1)
    }

    fn token(&self, id: u32) -> &str {
        self.tokens.get(id as usize).map_or("", String::as_str)
    }

    fn surround(&self) -> Result<Value, VocabularyError> {
        let add_eos = self.add_eos.unwrap_or(self.model == "t5");
        if self.add_bos == Some(true) && self.bos.is_none() {
            return Err(VocabularyError::Malformed(
                "add_bos_token is true, but bos_token_id is missing".to_owned(),
            ));
        }
        let before: Vec<_> = self
            .begin()
            .into_iter()
            .map(|id| (id, self.token(id)))
            .collect();
        let after: Vec<_> = self
            .eos
            .filter(|_| add_eos)
            .into_iter()
            .map(|id| (id, self.token(id)))
            .collect();
        Ok(surround(&before, &after))
    }

    fn pieces(&self, kind: Kind) -> Result<Parts, VocabularyError> {
        let pieces = self.tokens.iter().enumerate().map(|(id, token)| Piece {
            text: token.clone(),
            score: self.scores.get(id).copied().unwrap_or(0.0),
            kind: PieceType::from_number(self.kind(id)),
        });
        let model = Model {
            pieces: pieces.collect(),
            kind,
            byte_fallback: (0..self.tokens.len()).any(|id| self.kind(id) == 6),
            unknown: self.unknown.unwrap_or(0),
            add_dummy_prefix: self.add_space_prefix.unwrap_or(true),
            remove_extra_whitespaces: self.remove_extra_whitespaces.unwrap_or(false),
            escape_whitespaces: true,
            characters: self.characters.clone(),
        };
        model
            .parts(false)
            .map_err(|error| VocabularyError::Malformed(error.to_string()))
    }

    /// The tokens that are found in text before the model runs.
    fn added(&self) -> Vec<AddedToken> {
        let added = |(id, token): (usize, &String)| match self.kind(id) {
            CONTROL | UNKNOWN => Some(AddedToken::new(id as u32, token, true)),
            USER_DEFINED => Some(AddedToken::new(id as u32, token, false)),
            _ => None,
        };
        self.tokens.iter().enumerate().filter_map(added).collect()
    }

    fn byte_level(&self) -> Result<Parts, VocabularyError> {
        let pre = pre::find(&self.pre).ok_or_else(|| VocabularyError::UnknownPre {
            name: self.pre.clone(),
            known: pre::names(),
        })?;
        if self.merges.len() > 4 * crate::MAX_VOCABULARY {
            return Err(VocabularyError::Malformed(format!(
                "{} merges are too many",
                self.merges.len()
            )));
        }
        let merges = self.merges.iter().map(|merge| {
            // The space that parts a pair is not its first character: a part may be a space itself.
            let at = merge
                .char_indices()
                .skip(1)
                .find(|&(_, character)| character == ' ');
            let (left, right) = at
                .map(|(at, _)| (&merge[..at], &merge[at + 1..]))
                .unwrap_or_default();
            if left.is_empty() || right.is_empty() {
                return Err(VocabularyError::Malformed(format!(
                    "the merge {merge:?} is not a pair"
                )));
            }
            Ok(json!([left, right]))
        });
        Ok(Parts {
            added: self.added(),
            pre_tokenizer: pre.to_json(),
            decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
            model: json!({
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": pre.whole_words_first, "vocab": vocabulary(&self.tokens),
                "merges": merges.collect::<Result<Vec<_>, _>>()?,
            }),
            ..Parts::default()
        })
    }

    /// GGUF marks the beginnings of words with `▁`; WordPiece marks the other pieces with `##`.
    fn word_piece(&self) -> Parts {
        let restore = |token: &String| match token.strip_prefix('▁') {
            Some(word) => word.to_owned(),
            None if token.starts_with('[') && token.ends_with(']') => token.clone(),
            None => format!("##{token}"),
        };
        let tokens: Vec<String> = self.tokens.iter().map(restore).collect();
        let unknown = self.unknown.map_or("[UNK]", |id| self.token(id)).to_owned();
        convert::word_piece_parts(&tokens, &unknown, self.lowercase.unwrap_or(true))
    }
}
