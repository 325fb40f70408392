//! Read Hugging Face directories: `config.json`, and weights in one or several safetensors files.

mod angles;
mod config;
mod entries;
mod pooling;
mod shards;
#[cfg(test)]
mod tests;

pub use config::{Family, read_config};
pub use shards::{Shards, read_index};

use crate::{
    decoder::{DecoderConfig, Part, Role, Source, SourceError},
    mapped::Mapped,
    tensor::Tensor,
};
use og_program::file::Pooling;
use pooling::{MODULES, POOLING, read_pooling};
use std::path::{Path, PathBuf};

/// Bytes of a JSON file, at most.
pub const MAX_JSON_BYTES: u64 = 64 << 20;
/// Files that weights may be in, at most.
pub const MAX_SHARDS: usize = 1024;

/// Why a directory is no model that is known.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A JSON file is too large or no JSON.
    #[error("{name}: {reason}")]
    Json {
        /// Which.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An entry of `config.json`.
    #[error("config.json: {0}")]
    Config(String),
    /// Another family of models.
    #[error(
        "config.json: model_type is {0:?}; llama, qwen2, qwen3, gemma3_text, gpt2 and phi3 are read"
    )]
    Family(String),
    /// A safetensors file.
    #[error("{name}: {reason}")]
    Weights {
        /// Which.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Mapped weights of a directory, before they are understood.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    files: Vec<(String, Mapped)>,
    config: serde_json::Value,
}

/// Text files of a directory, as they are; absent ones are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextFiles {
    /// `config.json`.
    pub config: Option<Vec<u8>>,
    /// `tokenizer.json`.
    pub tokenizer: Option<Vec<u8>>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<Vec<u8>>,
    /// `generation_config.json`.
    pub generation_config: Option<Vec<u8>>,
    /// `chat_template.jinja`.
    pub chat_template: Option<Vec<u8>>,
}

impl Checkpoint {
    /// Maps the files of a directory.
    ///
    /// # Errors
    /// [`CheckpointError`] names the file that is missing or wrong.
    pub fn open(directory: &Path) -> Result<Self, CheckpointError> {
        let read = |name: &str| read_bounded(&directory.join(name));
        let config = parsed("config.json", &read("config.json")?)?;
        let index = directory.join("model.safetensors.index.json");
        let names = if index.exists() {
            read_index(&read("model.safetensors.index.json")?)?
        } else {
            vec!["model.safetensors".to_owned()]
        };
        let mut files = vec![];
        for name in names {
            let path = directory.join(&name);
            let mapped =
                Mapped::open(&path).map_err(|source| CheckpointError::Read { path, source })?;
            files.push((name, mapped));
        }
        Ok(Self {
            directory: directory.to_owned(),
            files,
            config,
        })
    }

    /// The weights and what they are weights of. Angles for long contexts are taken if the program is to have more
    /// than the original `positions`.
    ///
    /// # Errors
    /// [`CheckpointError`] names the entry or file that is wrong.
    pub fn decoder(&self, positions: u32) -> Result<HuggingFaceDecoder<'_>, CheckpointError> {
        let shards = Shards::read(self.files.iter().map(|(name, bytes)| (&**name, &**bytes)))?;
        let (family, mut config) = read_config(&self.config, positions)?;
        let tied = config.tied || !shards.contains("lm_head.weight");
        config.tied = tied;
        let known = [
            "model.",
            "language_model.model.",
            "model.language_model.",
            "transformer.",
            "",
        ];
        let probe = if family == Family::Gpt2 {
            "wte.weight"
        } else {
            "embed_tokens.weight"
        };
        let prefix = known
            .into_iter()
            .find(|prefix| shards.contains(&format!("{prefix}{probe}")));
        let prefix = prefix.unwrap_or_default().to_owned();
        Ok(HuggingFaceDecoder {
            shards,
            family,
            config,
            prefix,
        })
    }

    /// How rows become a text's vector, if the directory says that its model embeds texts.
    ///
    /// # Errors
    /// [`CheckpointError`] if it says a way that is not known here, or a file cannot be read.
    pub fn pooling(&self) -> Result<Option<Pooling>, CheckpointError> {
        let read = |name: &str| {
            let path = self.directory.join(name);
            let bytes = path.exists().then(|| read_bounded(&path)).transpose()?;
            bytes.map(|bytes| parsed(name, &bytes)).transpose()
        };
        let Some(pooling) = read(POOLING)? else {
            return Ok(None);
        };
        read_pooling(&pooling, read(MODULES)?.as_ref()).map(Some)
    }

    /// What there is about text.
    ///
    /// # Errors
    /// [`CheckpointError`] if a file is there and cannot be read or is too large.
    pub fn text_files(&self) -> Result<TextFiles, CheckpointError> {
        let read = |name: &str| {
            let path = self.directory.join(name);
            path.exists().then(|| read_bounded(&path)).transpose()
        };
        Ok(TextFiles {
            config: read("config.json")?,
            tokenizer: read("tokenizer.json")?,
            tokenizer_config: read("tokenizer_config.json")?,
            generation_config: read("generation_config.json")?,
            chat_template: read("chat_template.jinja")?,
        })
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let failed = |source| CheckpointError::Read {
        path: path.to_owned(),
        source,
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > MAX_JSON_BYTES {
        return Err(CheckpointError::Json {
            name: path.display().to_string(),
            reason: format!("has {length} bytes, and at most {MAX_JSON_BYTES} are read"),
        });
    }
    std::fs::read(path).map_err(failed)
}

fn parsed(name: &str, bytes: &[u8]) -> Result<serde_json::Value, CheckpointError> {
    serde_json::from_slice(bytes).map_err(|error| CheckpointError::Json {
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

/// A decoder in a Hugging Face directory.
#[derive(Debug)]
pub struct HuggingFaceDecoder<'a> {
    shards: Shards<'a>,
    family: Family,
    config: DecoderConfig,
    prefix: String,
}

/// A tensor's name, and what part of it a role is.
struct Place {
    name: String,
    rows: Option<(usize, usize)>,
}

impl HuggingFaceDecoder<'_> {
    fn place(&self, role: Role) -> Place {
        let (name, rows) = match (self.family, role) {
            (_, Role::Output) => {
                return Place {
                    name: "lm_head".to_owned(),
                    rows: None,
                };
            }
            (Family::Gpt2, _) => gpt2_place(role, self.config.width as usize),
            (_, Role::TokenEmbedding) => ("embed_tokens".to_owned(), None),
            (_, Role::PositionEmbedding) => ("embed_positions".to_owned(), None),
            (_, Role::FinalNorm) => ("norm".to_owned(), None),
            (family, Role::Layer(layer, part)) => {
                let (name, rows) = layer_place(family, part, &self.config);
                (format!("layers.{layer}.{name}"), rows)
            }
        };
        Place {
            name: format!("{}{name}", self.prefix),
            rows,
        }
    }

    /// GPT-2 keeps its matrices with a row for each input.
    fn is_turned(&self, role: Role) -> bool {
        self.family == Family::Gpt2
            && matches!(
                role,
                Role::Layer(
                    _,
                    Part::Query
                        | Part::Key
                        | Part::Value
                        | Part::AttentionOutput
                        | Part::Up
                        | Part::Down
                )
            )
    }
}

type Rows = Option<(usize, usize)>;

fn gpt2_place(role: Role, width: usize) -> (String, Rows) {
    let Role::Layer(layer, part) = role else {
        let name = match role {
            Role::TokenEmbedding => "wte",
            Role::PositionEmbedding => "wpe",
            _ => "ln_f",
        };
        return (name.to_owned(), None);
    };
    let (name, rows) = match part {
        Part::AttentionNorm => ("ln_1", None),
        Part::Query => ("attn.c_attn", Some((0, width))),
        Part::Key => ("attn.c_attn", Some((width, width))),
        Part::Value => ("attn.c_attn", Some((2 * width, width))),
        Part::AttentionOutput => ("attn.c_proj", None),
        Part::FeedForwardNorm => ("ln_2", None),
        Part::Down => ("mlp.c_proj", None),
        _ => ("mlp.c_fc", None),
    };
    (format!("h.{layer}.{name}"), rows)
}

fn layer_place(family: Family, part: Part, config: &DecoderConfig) -> (&'static str, Rows) {
    let head = config.head_width as usize;
    let (queries, keys) = (
        config.heads as usize * head,
        config.kv_heads as usize * head,
    );
    let inner = config.feed_forward_width as usize;
    let (fused, gemma) = (family == Family::Phi3, family == Family::Gemma3);
    match part {
        Part::AttentionNorm => ("input_layernorm", None),
        Part::Query if fused => ("self_attn.qkv_proj", Some((0, queries))),
        Part::Key if fused => ("self_attn.qkv_proj", Some((queries, keys))),
        Part::Value if fused => ("self_attn.qkv_proj", Some((queries + keys, keys))),
        Part::Query => ("self_attn.q_proj", None),
        Part::Key => ("self_attn.k_proj", None),
        Part::Value => ("self_attn.v_proj", None),
        Part::QueryNorm => ("self_attn.q_norm", None),
        Part::KeyNorm => ("self_attn.k_norm", None),
        Part::AttentionOutput => ("self_attn.o_proj", None),
        Part::PostAttentionNorm => ("post_attention_layernorm", None),
        Part::FeedForwardNorm if gemma => ("pre_feedforward_layernorm", None),
        Part::FeedForwardNorm => ("post_attention_layernorm", None),
        Part::Gate if fused => ("mlp.gate_up_proj", Some((0, inner))),
        Part::Up if fused => ("mlp.gate_up_proj", Some((inner, inner))),
        Part::Gate => ("mlp.gate_proj", None),
        Part::Up => ("mlp.up_proj", None),
        Part::Down => ("mlp.down_proj", None),
        Part::PostFeedForwardNorm => ("post_feedforward_layernorm", None),
    }
}

impl Source for HuggingFaceDecoder<'_> {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn weight(&self, role: Role) -> Result<Tensor<'_>, SourceError> {
        let place = self.place(role);
        let name = format!("{}.weight", place.name);
        let Some(tensor) = self.shards.tensor(&name)? else {
            return Err(SourceError::Missing { name, role });
        };
        let tensor = if self.is_turned(role) {
            tensor.transposed()?
        } else {
            tensor
        };
        Ok(match place.rows {
            None => tensor,
            Some((first, count)) => tensor.rows_from(first, count)?,
        })
    }

    fn bias(&self, role: Role) -> Result<Option<Vec<f32>>, SourceError> {
        let place = self.place(role);
        let Some(tensor) = self.shards.tensor(&format!("{}.bias", place.name))? else {
            return Ok(None);
        };
        let bias = tensor.read()?;
        let Some((first, count)) = place.rows else {
            return Ok(Some(bias));
        };
        let whole = Tensor::owned(tensor.name(), bias.len(), 1, bias)?;
        Ok(Some(whole.rows_from(first, count)?.read()?))
    }
}
