//! Reads what a directory in Hugging Face's form says about text: tokenizer, chat template, special tokens.

mod config;
#[cfg(test)]
pub(crate) mod tests;

use crate::{
    MAX_TOKENIZER_BYTES, Tokenizer, TokenizerError,
    convert::{self, AddedToken, Parts, surround},
    gguf::{Vocabulary, VocabularyError},
    sentencepiece::{Model, SentencePieceError},
};
use config::{Configs, read, read_optional};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What a language model's file keeps about text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assets {
    /// A Hugging Face `tokenizer.json`, whatever the source was.
    pub tokenizer: Vec<u8>,
    /// The chat template, in Jinja; of several the one named `default`.
    pub chat_template: Option<String>,
    /// The token put in front of every raw prompt.
    pub begin: Option<u32>,
    /// The tokens that end an answer.
    pub ends: Vec<u32>,
    /// `bos_token`, `eos_token` and so on, as templates see them.
    pub special: BTreeMap<String, String>,
}

/// Why a directory's text files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is too large.
    #[error("{path}: more than {most} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The greatest size that is read.
        most: usize,
    },
    /// A file is not what its name says.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No file has a tokenizer.
    #[error(
        "{0}: no tokenizer; one of tokenizer.json, tokenizer.model, spiece.model, vocab.json with merges.txt, or vocab.txt \
         is needed"
    )]
    Missing(PathBuf),
    /// The tokenizer cannot be used.
    #[error("{path}: {error}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        error: TokenizerError,
    },
    /// The SentencePiece model cannot be used.
    #[error("{path}: {error}")]
    SentencePiece {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SentencePieceError,
    },
    /// The vocabulary cannot be used.
    #[error("{path}: {error}")]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// Why.
        error: VocabularyError,
    },
}

impl Assets {
    /// Reads a directory.
    ///
    /// # Errors
    /// If a file is missing, too large or malformed: the message names it.
    pub fn from_directory(directory: &Path) -> Result<Self, AssetsError> {
        let configs = Configs::read(directory)?;
        let (path, bytes) = tokenizer_json(directory, &configs)?;
        let tokenizer =
            Tokenizer::from_json(&bytes).map_err(|error| AssetsError::Tokenizer { path, error })?;
        let special = configs.special();
        let begin = special
            .get("bos_token")
            .and_then(|token| tokenizer.id(token))
            .filter(|&bos| {
                let adds = || {
                    tokenizer
                        .encode("", true)
                        .is_ok_and(|around| around.first() == Some(&bos))
                };
                configs.flag("add_bos_token").unwrap_or_else(adds)
            });
        let mut ends = configs.ends()?;
        if ends.is_empty() {
            ends.extend(
                special
                    .get("eos_token")
                    .and_then(|token| tokenizer.id(token)),
            );
        }
        Ok(Self {
            tokenizer: bytes,
            chat_template: configs.chat_template(directory)?,
            begin,
            ends,
            special,
        })
    }
}

/// The tokenizer's file and its `tokenizer.json`.
fn tokenizer_json(directory: &Path, configs: &Configs) -> Result<(PathBuf, Vec<u8>), AssetsError> {
    let path = directory.join("tokenizer.json");
    if let Some(bytes) = read_optional(&path, MAX_TOKENIZER_BYTES)? {
        return Ok((path, bytes));
    }
    for name in ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"] {
        let path = directory.join(name);
        if let Some(bytes) = read_optional(&path, MAX_TOKENIZER_BYTES)? {
            let json = from_sentencepiece(&path, &bytes, configs)?;
            return Ok((path, json));
        }
    }
    let path = directory.join("vocab.json");
    if let Some(bytes) = read_optional(&path, MAX_TOKENIZER_BYTES)? {
        let json = from_merges(directory, &path, &bytes, configs)?;
        return Ok((path, json));
    }
    let path = directory.join("vocab.txt");
    if let Some(bytes) = read_optional(&path, MAX_TOKENIZER_BYTES)? {
        let text = utf8(&path, bytes)?;
        let tokens: Vec<String> = text
            .lines()
            .map(|line| line.trim_end_matches('\r').to_owned())
            .collect();
        let malformed = |what| AssetsError::Malformed {
            path: path.clone(),
            what,
        };
        convert::check_tokens(&tokens).map_err(malformed)?;
        let lowercase = configs.flag("do_lower_case").unwrap_or(true);
        return Ok((
            path,
            convert::word_piece_parts(&tokens, "[UNK]", lowercase).to_json(),
        ));
    }
    Err(AssetsError::Missing(directory.to_owned()))
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, AssetsError> {
    String::from_utf8(bytes).map_err(|_| AssetsError::Malformed {
        path: path.to_owned(),
        what: "it is not UTF-8".to_owned(),
    })
}

fn from_sentencepiece(
    path: &Path,
    bytes: &[u8],
    configs: &Configs,
) -> Result<Vec<u8>, AssetsError> {
    let parts = Model::read(bytes).and_then(|model| Ok((model.parts(true)?, model.pieces)));
    let (mut parts, pieces) = parts.map_err(|error| AssetsError::SentencePiece {
        path: path.to_owned(),
        error,
    })?;
    add_configured(&mut parts, configs, path, pieces.len())?;
    let special = configs.special();
    let find = |name: &str| {
        let token = special.get(name)?;
        let id = pieces.iter().position(|piece| piece.text == *token)?;
        Some((id as u32, token.as_str()))
    };
    // Without a word from the configuration, Llama's way for models with BOS, T5's for those without.
    let (bos, eos) = (find("bos_token"), find("eos_token"));
    let before = bos.filter(|_| configs.flag("add_bos_token").unwrap_or(true));
    let after = eos.filter(|_| configs.flag("add_eos_token").unwrap_or(bos.is_none()));
    parts.post_processor = surround(before.as_slice(), after.as_slice());
    Ok(parts.to_json())
}

/// Tokens that `tokenizer_config.json` adds to those of the model, which has `size`.
fn add_configured(
    parts: &mut Parts,
    configs: &Configs,
    path: &Path,
    size: usize,
) -> Result<(), AssetsError> {
    let mut next = size as u32;
    for token in configs.added() {
        if let Some(known) = parts.added.iter_mut().find(|known| known.id == token.id) {
            *known = token;
            continue;
        }
        if token.id as usize >= size {
            if token.id != next {
                let what = format!(
                    "tokenizer_config.json adds token {}, but the next id is {next}",
                    token.id
                );
                return Err(AssetsError::Malformed {
                    path: path.to_owned(),
                    what,
                });
            }
            next += 1;
        }
        parts.added.push(token);
    }
    Ok(())
}

fn from_merges(
    directory: &Path,
    path: &Path,
    bytes: &[u8],
    configs: &Configs,
) -> Result<Vec<u8>, AssetsError> {
    let malformed = |what: String| AssetsError::Malformed {
        path: path.to_owned(),
        what,
    };
    let ids: BTreeMap<String, u32> =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let merges_path = directory.join("merges.txt");
    let merges = utf8(&merges_path, read(&merges_path, MAX_TOKENIZER_BYTES)?)?;
    let mut by_id: BTreeMap<u32, String> = ids.into_iter().map(|(token, id)| (id, token)).collect();
    let added = configs.added();
    by_id.extend(added.iter().map(|token| (token.id, token.content.clone())));
    if by_id.keys().zip(0..).any(|(&id, expected)| id != expected) {
        return Err(malformed("its ids leave one out".to_owned()));
    }
    let qwen = configs
        .model_type()
        .is_some_and(|kind| kind.starts_with("qwen"));
    let eos = configs.special().get("eos_token").cloned();
    let kind = |(id, token): (u32, &String)| match added.iter().find(|added| added.id == id) {
        Some(AddedToken { special: false, .. }) => 4,
        Some(_) => 3,
        None if Some(token) == eos.as_ref() => 3,
        None => 1,
    };
    let vocabulary = Vocabulary {
        model: "gpt2".to_owned(),
        pre: if qwen { "qwen2" } else { "gpt-2" }.to_owned(),
        types: by_id.iter().map(|(&id, token)| kind((id, token))).collect(),
        tokens: by_id.into_values().collect(),
        merges: merges
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("#version"))
            .map(str::to_owned)
            .collect(),
        ..Vocabulary::default()
    };
    let json = vocabulary
        .to_tokenizer_json()
        .map_err(|error| AssetsError::Vocabulary {
            path: path.to_owned(),
            error,
        })?;
    if !qwen {
        return Ok(json);
    }
    let mut file: Value =
        serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
    file["normalizer"] = json!({ "type": "NFC" });
    Ok(file.to_string().into_bytes())
}
