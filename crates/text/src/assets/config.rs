//! `tokenizer_config.json`, `generation_config.json`, `config.json` and templates beside them.

use super::AssetsError;
use crate::convert::AddedToken;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

/// Bytes of one configuration (tokenizer configurations list thousands of added tokens).
const MAX_CONFIG_BYTES: usize = 8 << 20;
/// Tokens that may end an answer.
const MAX_ENDS: usize = 64;
/// Tokens that a configuration may add.
const MAX_ADDED: usize = 1 << 17;

/// Reads a file that must be there.
pub(super) fn read(path: &Path, most: usize) -> Result<Vec<u8>, AssetsError> {
    let failed = |error| AssetsError::Read {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > most {
        return Err(AssetsError::TooLarge {
            path: path.to_owned(),
            most,
        });
    }
    Ok(bytes)
}

/// Reads a file if it is there.
pub(super) fn read_optional(path: &Path, most: usize) -> Result<Option<Vec<u8>>, AssetsError> {
    match read(path, most) {
        Err(AssetsError::Read { error, .. }) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The configurations of a directory; those that are missing are null.
pub(super) struct Configs {
    tokenizer: Value,
    special_map: Value,
    generation: Value,
    model: Value,
    generation_path: PathBuf,
}

impl Configs {
    pub(super) fn read(directory: &Path) -> Result<Self, AssetsError> {
        let json = |name: &str| {
            let path = directory.join(name);
            let Some(bytes) = read_optional(&path, MAX_CONFIG_BYTES)? else {
                return Ok(Value::Null);
            };
            serde_json::from_slice(&bytes).map_err(|error| AssetsError::Malformed {
                path,
                what: error.to_string(),
            })
        };
        Ok(Self {
            tokenizer: json("tokenizer_config.json")?,
            special_map: json("special_tokens_map.json")?,
            generation: json("generation_config.json")?,
            model: json("config.json")?,
            generation_path: directory.join("generation_config.json"),
        })
    }

    /// A flag of the tokenizer's configuration.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.tokenizer[name].as_bool()
    }

    /// The architecture's name.
    pub(super) fn model_type(&self) -> Option<&str> {
        self.model["model_type"].as_str()
    }

    /// Special tokens by the names under which templates know them.
    pub(super) fn special(&self) -> BTreeMap<String, String> {
        const NAMES: [&str; 7] = [
            "bos_token",
            "eos_token",
            "unk_token",
            "sep_token",
            "pad_token",
            "cls_token",
            "mask_token",
        ];
        let of = |config: &Value, name: &str| {
            let token = &config[name];
            token
                .as_str()
                .or_else(|| token["content"].as_str())
                .map(str::to_owned)
        };
        let find = |name: &str| of(&self.tokenizer, name).or_else(|| of(&self.special_map, name));
        NAMES
            .iter()
            .filter_map(|&name| Some((name.to_owned(), find(name)?)))
            .collect()
    }

    /// The tokens that end an answer: of the generation configuration, else of the model's.
    pub(super) fn ends(&self) -> Result<Vec<u32>, AssetsError> {
        let eos = [&self.generation, &self.model].map(|config| &config["eos_token_id"]);
        let Some(eos) = eos.into_iter().find(|eos| !eos.is_null()) else {
            return Ok(Vec::new());
        };
        let ids = eos
            .as_array()
            .map_or(std::slice::from_ref(eos), Vec::as_slice);
        let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        let ends: Option<Vec<u32>> = ids.iter().map(id).collect();
        ends.filter(|ends| ends.len() <= MAX_ENDS).ok_or_else(|| AssetsError::Malformed {
            path: self.generation_path.clone(),
            what: format!("eos_token_id (here or in config.json) is neither a token id nor a list of up to {MAX_ENDS}"),
        })
    }

    /// `added_tokens_decoder` of the tokenizer's configuration, by id.
    pub(super) fn added(&self) -> Vec<AddedToken> {
        let entries = self.tokenizer["added_tokens_decoder"]
            .as_object()
            .into_iter()
            .flatten();
        let mut added: Vec<AddedToken> = entries
            .take(MAX_ADDED)
            .filter_map(|(id, token)| {
                let special = token["special"].as_bool().unwrap_or(false);
                let lstrip = token["lstrip"].as_bool().unwrap_or(false);
                Some(AddedToken {
                    lstrip,
                    ..AddedToken::new(id.parse().ok()?, token["content"].as_str()?, special)
                })
            })
            .collect();
        added.sort_by_key(|token| token.id);
        added
    }

    /// The chat template: a file of its own, or in the configuration, alone or as the one named `default`.
    pub(super) fn chat_template(&self, directory: &Path) -> Result<Option<String>, AssetsError> {
        let path = directory.join("chat_template.jinja");
        if let Some(bytes) = read_optional(&path, MAX_CONFIG_BYTES)? {
            return super::utf8(&path, bytes).map(Some);
        }
        let path = directory.join("chat_template.json");
        if let Some(bytes) = read_optional(&path, MAX_CONFIG_BYTES)? {
            let file: Value =
                serde_json::from_slice(&bytes).map_err(|error| AssetsError::Malformed {
                    path,
                    what: error.to_string(),
                })?;
            return Ok(named(&file["chat_template"]));
        }
        Ok(named(&self.tokenizer["chat_template"]))
    }
}

fn named(template: &Value) -> Option<String> {
    if let Some(text) = template.as_str() {
        return Some(text.to_owned());
    }
    let list = template.as_array()?;
    let default = list
        .iter()
        .find(|entry| entry["name"] == "default")
        .or_else(|| list.first())?;
    default["template"].as_str().map(str::to_owned)
}
