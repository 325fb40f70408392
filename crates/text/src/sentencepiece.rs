//! SentencePiece models (`tokenizer.model`) as a `tokenizer.json`.
//!
//! One difference to the SentencePiece library is known: where a map of characters has an entry for several
//! characters, the library that runs the result does not find it inside a grapheme of 6 bytes or more.

mod protobuf;
#[cfg(test)]
pub(crate) mod tests;

use crate::convert::{
    self, AddedToken, Parts, check_tokens, merges_from_scores, replace, replace_matches, vocabulary,
};
use protobuf::{Field, Fields};
use serde_json::{Value, json};

/// Bytes of the expression that finds user-defined pieces; beyond, they become added tokens.
const MAX_EXPRESSION_BYTES: usize = 4096;

/// Why a SentencePiece model cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SentencePieceError {
    /// The bytes are not a SentencePiece model.
    #[error("this is not a SentencePiece model: {0}")]
    Malformed(String),
    /// The model is of a kind that is not supported.
    #[error("SentencePiece models of type {0} are not supported; unigram (1) and BPE (2) are")]
    Kind(u64),
}

fn malformed(what: impl Into<String>) -> SentencePieceError {
    SentencePieceError::Malformed(what.into())
}

/// How pieces are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unigram,
    Bpe,
}

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceType {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl PieceType {
    /// From the number in SentencePiece's and in GGUF's files.
    pub(crate) fn from_number(number: i32) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) score: f32,
    pub(crate) kind: PieceType,
}

/// A SentencePiece model, as far as encoding needs it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) kind: Kind,
    pub(crate) byte_fallback: bool,
    pub(crate) unknown: u32,
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
    /// How characters are normalised; empty if they are not.
    pub(crate) characters: Vec<u8>,
}

/// The `tokenizer.json` that encodes as the SentencePiece library does with this model. It adds no tokens around
/// texts: the model does not say which.
///
/// # Errors
/// If the bytes are not a model of a kind that is supported.
pub fn to_tokenizer_json(model: &[u8]) -> Result<Vec<u8>, SentencePieceError> {
    Ok(Model::read(model)?.parts(true)?.to_json())
}

impl Model {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SentencePieceError> {
        if bytes.len() > crate::MAX_TOKENIZER_BYTES {
            return Err(malformed(format!("{} bytes are too many", bytes.len())));
        }
        let mut model = Self {
            pieces: Vec::new(),
            kind: Kind::Unigram,
            byte_fallback: false,
            unknown: 0,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            characters: Vec::new(),
        };
        for field in Fields::new(bytes) {
            match field? {
                (1, Field::Bytes(_)) if model.pieces.len() == crate::MAX_VOCABULARY => {
                    return Err(malformed("it has too many pieces"));
                }
                (1, Field::Bytes(piece)) => model.pieces.push(read_piece(piece)?),
                (2, Field::Bytes(trainer)) => model.read_trainer(trainer)?,
                (3, Field::Bytes(normalizer)) => model.read_normalizer(normalizer)?,
                _ => {}
            }
        }
        Ok(model)
    }

    fn read_trainer(&mut self, bytes: &[u8]) -> Result<(), SentencePieceError> {
        for field in Fields::new(bytes) {
            match field? {
                (3, Field::Number(1)) => self.kind = Kind::Unigram,
                (3, Field::Number(2)) => self.kind = Kind::Bpe,
                (3, Field::Number(other)) => return Err(SentencePieceError::Kind(other)),
                (35, Field::Number(fallback)) => self.byte_fallback = fallback != 0,
                (40, Field::Number(id)) => {
                    self.unknown = u32::try_from(id)
                        .map_err(|_| malformed("it has no piece for the unknown"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, bytes: &[u8]) -> Result<(), SentencePieceError> {
        for field in Fields::new(bytes) {
            match field? {
                (2, Field::Bytes(characters)) => self.characters = characters.to_vec(),
                (3, Field::Number(flag)) => self.add_dummy_prefix = flag != 0,
                (4, Field::Number(flag)) => self.remove_extra_whitespaces = flag != 0,
                (5, Field::Number(flag)) => self.escape_whitespaces = flag != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// The parts of a `tokenizer.json`. User-defined pieces are found inside the normalised text, as SentencePiece
    /// does, or, if `inside` is false, before it is normalised, as `llama.cpp` does: a space is then put in front of
    /// what follows them, too.
    pub(crate) fn parts(&self, inside: bool) -> Result<Parts, SentencePieceError> {
        let tokens: Vec<&str> = self
            .pieces
            .iter()
            .map(|piece| piece.text.as_str())
            .collect();
        check_tokens(&tokens).map_err(SentencePieceError::Malformed)?;
        let unknown = *tokens.get(self.unknown as usize).ok_or_else(|| {
            malformed(format!(
                "piece {}, for the unknown, is missing",
                self.unknown
            ))
        })?;
        let expression = self.user_defined_expression().filter(|_| inside);
        let added = self
            .pieces
            .iter()
            .enumerate()
            .filter_map(|(id, piece)| match piece.kind {
                PieceType::Control | PieceType::Unknown => {
                    Some(AddedToken::new(id as u32, &piece.text, true))
                }
                PieceType::UserDefined if expression.is_none() => {
                    Some(AddedToken::new(id as u32, &piece.text, false))
                }
                _ => None,
            });
        let model = match self.kind {
            Kind::Bpe => {
                let scores: Vec<f32> = self.pieces.iter().map(|piece| piece.score).collect();
                let normal = |id: usize| self.pieces[id].kind == PieceType::Normal;
                json!({
                    "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
                    "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": self.byte_fallback,
                    "ignore_merges": expression.is_some(), "vocab": vocabulary(&tokens),
                    "merges": merges_from_scores(&tokens, &scores, normal),
                })
            }
            Kind::Unigram => {
                let pieces = self
                    .pieces
                    .iter()
                    .map(|piece| json!([piece.text, piece.score]));
                json!({
                    "type": "Unigram", "unk_id": self.unknown, "byte_fallback": self.byte_fallback,
                    "vocab": pieces.collect::<Vec<_>>(),
                })
            }
        };
        Ok(Parts {
            added: added.collect(),
            normalizer: self.normalizer(),
            pre_tokenizer: self.pre_tokenizer(expression.as_deref()),
            decoder: convert::sentencepiece_decoder(self.byte_fallback, self.add_dummy_prefix),
            model,
            ..Parts::default()
        })
    }

    fn normalizer(&self) -> Value {
        let mut steps = Vec::new();
        if !self.characters.is_empty() {
            let map = convert::encode_base64(&self.characters);
            steps.push(json!({ "type": "Precompiled", "precompiled_charsmap": map }));
        }
        if self.remove_extra_whitespaces {
            // Only spaces count; the map of characters has made others spaces.
            steps.extend([
                replace_matches(r"\A +| +\z", ""),
                replace_matches(" {2,}", " "),
            ]);
        }
        if self.escape_whitespaces {
            steps.push(replace(" ", "▁"));
            if self.remove_extra_whitespaces {
                // At the end, SentencePiece does not tell a space from the character that stands for one.
                steps.push(replace_matches(r"▁+\z", ""));
            }
        }
        if self.add_dummy_prefix {
            // The pre-tokeniser puts none in front of one that is there; SentencePiece does.
            steps.push(replace_matches(r"\A▁", "▁▁"));
        }
        json!({ "type": "Sequence", "normalizers": steps })
    }

    fn pre_tokenizer(&self, expression: Option<&str>) -> Value {
        let mut steps = Vec::new();
        if self.add_dummy_prefix {
            steps.push(json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false }));
        }
        if let Some(expression) = expression {
            let pattern = json!({ "Regex": expression });
            steps.push(json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false }));
        }
        if steps.is_empty() {
            Value::Null
        } else {
            json!({ "type": "Sequence", "pretokenizers": steps })
        }
    }

    /// An expression that matches user-defined pieces, the longest first; `None` without any, or with too many.
    fn user_defined_expression(&self) -> Option<String> {
        let user_defined = self
            .pieces
            .iter()
            .filter(|piece| piece.kind == PieceType::UserDefined);
        let mut texts: Vec<&str> = user_defined.map(|piece| piece.text.as_str()).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let escaped: Vec<String> = texts
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(escape)
            .collect();
        let expression = escaped.join("|");
        (!expression.is_empty() && expression.len() <= MAX_EXPRESSION_BYTES).then_some(expression)
    }
}

/// A text as an expression that matches it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

fn read_piece(bytes: &[u8]) -> Result<Piece, SentencePieceError> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: PieceType::Normal,
    };
    for field in Fields::new(bytes) {
        match field? {
            (1, Field::Bytes(text)) => {
                piece.text = std::str::from_utf8(text)
                    .map_err(|_| malformed("a piece is not UTF-8"))?
                    .to_owned();
            }
            (2, Field::Fixed32(score)) => piece.score = f32::from_bits(score),
            (3, Field::Number(number)) => {
                piece.kind = PieceType::from_number(i32::try_from(number).unwrap_or(1));
            }
            _ => {}
        }
    }
    if piece.score.is_finite() {
        Ok(piece)
    } else {
        Err(malformed("a score is not a finite number"))
    }
}
