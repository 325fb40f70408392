//! Decoder transformers in GGUF files: the architecture from metadata, weights by the names of llama.cpp.

use super::{Gguf, GgufError, Value, entries::Entries};
use crate::{
    decoder::{
        Activation, DecoderConfig, FeedForward, LayerConfig, MAX_LAYERS, Norm, Part, Role, Rotary,
        Source, SourceError, rotary::Scaling,
    },
    tensor::Tensor,
};

/// Why a GGUF file is no decoder that is known.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GgufDecoderError {
    /// It is no GGUF file.
    #[error(transparent)]
    File(#[from] GgufError),
    /// Another architecture.
    #[error("general.architecture is {0:?}; llama, qwen2, qwen3, gemma3, gpt2 and phi3 are read")]
    Architecture(String),
    /// A part of the architecture that is not read.
    #[error("{0}")]
    Unsupported(String),
    /// An entry of the metadata is missing or of another type.
    #[error("{key}: {reason}")]
    Entry {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that the configuration is read from.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Architectures that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    Gpt2,
    Phi3,
}

/// A decoder in a GGUF file.
#[derive(Clone, Debug)]
pub struct GgufDecoder<'a> {
    gguf: &'a Gguf<'a>,
    architecture: Architecture,
    config: DecoderConfig,
}

impl<'a> GgufDecoder<'a> {
    /// Reads the architecture; long-context angles are taken if the program is to have more than the original
    /// positions (`positions`).
    ///
    /// # Errors
    /// [`GgufDecoderError`] names the entry that is missing or not understood.
    pub fn new(gguf: &'a Gguf<'a>, positions: u32) -> Result<Self, GgufDecoderError> {
        let name = gguf
            .value("general.architecture")
            .and_then(Value::text)
            .unwrap_or_default();
        let architecture = match name {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            "qwen3" => Architecture::Qwen3,
            "gemma3" => Architecture::Gemma3,
            "gpt2" => Architecture::Gpt2,
            "phi3" => Architecture::Phi3,
            other => return Err(GgufDecoderError::Architecture(other.to_owned())),
        };
        let entries = Entries { gguf, name };
        let config = config(&entries, architecture, positions)?;
        Ok(Self {
            gguf,
            architecture,
            config,
        })
    }

    fn optional(&self, name: &str) -> Result<Option<Tensor<'_>>, SourceError> {
        match self.gguf.tensor(name) {
            None => Ok(None),
            Some(tensor) => match tensor? {
                Ok(tensor) => Ok(Some(tensor)),
                Err(format) => Err(SourceError::Format {
                    name: name.to_owned(),
                    format: format!("{format}"),
                }),
            },
        }
    }

    /// The tensor of a role, and its rows if it is fused with others.
    fn place(&self, role: Role) -> (String, Option<(usize, usize)>) {
        let Role::Layer(layer, part) = role else {
            let name = match role {
                Role::TokenEmbedding => "token_embd",
                Role::PositionEmbedding => "position_embd",
                Role::FinalNorm => "output_norm",
                _ => "output",
            };
            return (name.to_owned(), None);
        };
        let config = &self.config;
        let head = config.head_width as usize;
        let (queries, keys) = (
            config.heads as usize * head,
            config.kv_heads as usize * head,
        );
        let inner = config.feed_forward_width as usize;
        let fused = matches!(self.architecture, Architecture::Gpt2 | Architecture::Phi3);
        let gate_up = self.architecture == Architecture::Phi3;
        let (name, rows) = match part {
            Part::Query if fused => ("attn_qkv", Some((0, queries))),
            Part::Key if fused => ("attn_qkv", Some((queries, keys))),
            Part::Value if fused => ("attn_qkv", Some((queries + keys, keys))),
            Part::Gate if gate_up => ("ffn_up", Some((0, inner))),
            Part::Up if gate_up => ("ffn_up", Some((inner, inner))),
            Part::AttentionNorm => ("attn_norm", None),
            Part::Query => ("attn_q", None),
            Part::Key => ("attn_k", None),
            Part::Value => ("attn_v", None),
            Part::QueryNorm => ("attn_q_norm", None),
            Part::KeyNorm => ("attn_k_norm", None),
            Part::AttentionOutput => ("attn_output", None),
            Part::PostAttentionNorm => ("post_attention_norm", None),
            Part::FeedForwardNorm => ("ffn_norm", None),
            Part::Gate => ("ffn_gate", None),
            Part::Up => ("ffn_up", None),
            Part::Down => ("ffn_down", None),
            Part::PostFeedForwardNorm => ("post_ffw_norm", None),
        };
        (format!("blk.{layer}.{name}"), rows)
    }
}

impl Source for GgufDecoder<'_> {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn weight(&self, role: Role) -> Result<Tensor<'_>, SourceError> {
        let (name, rows) = self.place(role);
        let name = format!("{name}.weight");
        let Some(tensor) = self.optional(&name)? else {
            return Err(SourceError::Missing { name, role });
        };
        Ok(match rows {
            None => tensor,
            Some((first, count)) => tensor.rows_from(first, count)?,
        })
    }

    fn bias(&self, role: Role) -> Result<Option<Vec<f32>>, SourceError> {
        let (name, rows) = self.place(role);
        let Some(tensor) = self.optional(&format!("{name}.bias"))? else {
            return Ok(None);
        };
        let bias = tensor.read()?;
        match rows {
            None => Ok(Some(bias)),
            Some((first, count)) => {
                let whole = Tensor::owned(tensor.name(), bias.len(), 1, bias)?;
                Ok(Some(whole.rows_from(first, count)?.read()?))
            }
        }
    }
}

fn config(
    entries: &Entries<'_>,
    architecture: Architecture,
    positions: u32,
) -> Result<DecoderConfig, GgufDecoderError> {
    let (heads, width) = (
        entries.needed("attention.head_count")?,
        entries.needed("embedding_length")?,
    );
    let head_width = match entries.integer("attention.key_length")? {
        Some(width) => width,
        None => width
            .checked_div(heads)
            .ok_or_else(|| entries.wrong("attention.head_count", "is zero"))?,
    };
    check_supported(entries, head_width)?;
    let count = entries.needed("block_count")?;
    if !(1..=MAX_LAYERS).contains(&count) {
        return Err(entries.wrong("block_count", "must be 1 to 1024"));
    }
    let trained = entries.needed("context_length")?;
    let vocabulary = vocabulary(entries.gguf)?;
    let gemma = architecture == Architecture::Gemma3;
    let gpt2 = architecture == Architecture::Gpt2;
    let layers = layers(
        entries,
        architecture,
        (count, head_width, positions.min(trained)),
    )?;
    let divisor = if gemma && count == 62 {
        f64::from(width) / f64::from(heads.max(1))
    } else {
        f64::from(head_width)
    };
    Ok(DecoderConfig {
        vocabulary,
        positions: trained,
        width,
        heads,
        kv_heads: entries.integer("attention.head_count_kv")?.unwrap_or(heads),
        head_width,
        feed_forward_width: entries.needed("feed_forward_length")?,
        layers,
        norm: norm(entries, architecture)?,
        query_key_norm: gemma || architecture == Architecture::Qwen3,
        post_norms: gemma,
        feed_forward: match architecture {
            Architecture::Gpt2 => FeedForward::Plain(Activation::GeluTanh),
            Architecture::Gemma3 => FeedForward::Gated(Activation::GeluTanh),
            _ => FeedForward::Gated(Activation::Silu),
        },
        learned_positions: gpt2,
        attention_scale: 1.0 / divisor.sqrt(),
        attention_cap: entries
            .number("attn_logit_softcapping")?
            .filter(|cap| *cap > 0.0),
        final_cap: entries
            .number("final_logit_softcapping")?
            .filter(|cap| *cap > 0.0),
        embedding_scale: if gemma { f64::from(width).sqrt() } else { 1.0 },
        tied: entries.gguf.tensor("output.weight").is_none(),
    })
}

fn vocabulary(gguf: &Gguf<'_>) -> Result<u32, GgufDecoderError> {
    let name = "token_embd.weight";
    match gguf.tensor(name) {
        Some(Ok(Ok(tensor))) => Ok(u32::try_from(tensor.rows()).unwrap_or(u32::MAX)),
        _ => Err(SourceError::Missing {
            name: name.to_owned(),
            role: Role::TokenEmbedding,
        }
        .into()),
    }
}

fn check_supported(entries: &Entries<'_>, head_width: u32) -> Result<(), GgufDecoderError> {
    if entries
        .integer("attention.value_length")?
        .is_some_and(|width| width != head_width)
    {
        return Err(entries.wrong(
            "attention.value_length",
            "differs from key_length, which is not supported",
        ));
    }
    if entries.truth("attention.causal") == Some(false) {
        return Err(entries.wrong("attention.causal", "is false, which is not supported"));
    }
    if entries
        .integer("expert_count")?
        .is_some_and(|count| count > 0)
    {
        return Err(GgufDecoderError::Unsupported(
            "a mixture of experts, which is not read yet".to_owned(),
        ));
    }
    Ok(())
}

fn norm(entries: &Entries<'_>, architecture: Architecture) -> Result<Norm, GgufDecoderError> {
    Ok(if architecture == Architecture::Gpt2 {
        Norm::Layer {
            epsilon: entries
                .number("attention.layer_norm_epsilon")?
                .unwrap_or(1e-5),
        }
    } else {
        // The files of models whose gains are one more have them so already.
        let epsilon = entries
            .number("attention.layer_norm_rms_epsilon")?
            .unwrap_or(1e-6);
        Norm::RootMeanSquare {
            epsilon,
            plus_one: false,
        }
    })
}

/// Windows and angles of `(count, head width, positions)`.
fn layers(
    entries: &Entries<'_>,
    architecture: Architecture,
    (count, head_width, positions): (u32, u32, u32),
) -> Result<Vec<LayerConfig>, GgufDecoderError> {
    if architecture == Architecture::Gpt2 {
        return Ok(vec![
            LayerConfig {
                window: None,
                rotary: None
            };
            count as usize
        ]);
    }
    let window = entries
        .integer("attention.sliding_window")?
        .filter(|window| *window > 0);
    let rotated = entries
        .integer("rope.dimension_count")?
        .unwrap_or(head_width);
    let halves = architecture != Architecture::Llama;
    let base = entries.number("rope.freq_base")?;
    let gemma = architecture == Architecture::Gemma3;
    let base = base.unwrap_or(if gemma { 1e6 } else { 1e4 });
    let scaling = scaling(entries, positions)?;
    let rotary = |base, scaling: Option<&Scaling>| {
        Rotary::new(halves, rotated, base, scaling).map_err(|reason| entries.wrong("rope", &reason))
    };
    let whole = rotary(base, scaling.as_ref())?;
    if !gemma {
        return Ok(vec![
            LayerConfig {
                window,
                rotary: Some(whole)
            };
            count as usize
        ]);
    }
    let local = rotary(entries.number("rope.freq_base_swa")?.unwrap_or(1e4), None)?;
    // Five layers with a window, then one without.
    let layers = (0..count).map(|layer| match (window, layer % 6) {
        (Some(window), 0..5) => LayerConfig {
            window: Some(window),
            rotary: Some(local.clone()),
        },
        _ => LayerConfig {
            window: None,
            rotary: Some(whole.clone()),
        },
    });
    Ok(layers.collect())
}

fn scaling(entries: &Entries<'_>, positions: u32) -> Result<Option<Scaling>, GgufDecoderError> {
    if let Some(divisors) = entries.factors("rope_freqs.weight")? {
        return Ok(Some(Scaling::Each {
            divisors,
            attention: 1.0,
        }));
    }
    let original = entries.integer("rope.scaling.original_context_length")?;
    let long = original.is_some_and(|original| positions > original);
    let name = if long {
        "rope_factors_long.weight"
    } else {
        "rope_factors_short.weight"
    };
    if let Some(divisors) = entries.factors(name)? {
        let attention = entries.number("rope.scaling.attn_factor")?.unwrap_or(1.0);
        return Ok(Some(Scaling::Each {
            divisors,
            attention,
        }));
    }
    let factor = entries.number("rope.scaling.factor")?;
    let factor = factor
        .or(entries.number("rope.scale_linear")?)
        .filter(|factor| *factor > 0.0);
    let Some(factor) = factor else {
        return Ok(None);
    };
    match entries.text("rope.scaling.type") {
        Some("none") => Ok(None),
        None | Some("linear") => Ok(Some(Scaling::Linear(factor))),
        Some("yarn") => Ok(Some(Scaling::Yarn {
            factor,
            fast: entries
                .number("rope.scaling.yarn_beta_fast")?
                .unwrap_or(32.0),
            slow: entries
                .number("rope.scaling.yarn_beta_slow")?
                .unwrap_or(1.0),
            original: original.map_or(f64::from(positions), f64::from),
            attention: entries
                .number("rope.scaling.attn_factor")?
                .map(|given| given * (0.1 * factor.ln() + 1.0)),
        })),
        Some(other) => Err(entries.wrong(
            "rope.scaling.type",
            &format!("{other:?} is unknown; none, linear and yarn are read"),
        )),
    }
}
