//! `config.json` of six families of models, as transformers writes it (version 5, and what came before).

use super::{
    CheckpointError,
    angles::rotary,
    entries::{Entries, wrong},
};
use crate::decoder::{Activation, DecoderConfig, FeedForward, LayerConfig, MAX_LAYERS, Norm};
use serde_json::Value;

/// Families of models that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama, and those with its names and operations.
    Llama,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3, dense.
    Qwen3,
    /// Gemma 3, its text model.
    Gemma3,
    /// GPT-2.
    Gpt2,
    /// Phi 3 and 4.
    Phi3,
}

/// The family and description of a model. Angles for long contexts are taken if the program is to have more than the
/// original `positions`. Whether embeddings are tied is what the file says; where it says nothing they are not.
///
/// # Errors
/// [`CheckpointError`] names the entry that is missing or not understood.
pub fn read_config(
    json: &Value,
    positions: u32,
) -> Result<(Family, DecoderConfig), CheckpointError> {
    let whole = Entries(json);
    let entries = match whole.get("text_config") {
        Some(text) => Entries(text),
        None => Entries(json),
    };
    let kind = entries
        .text("model_type")
        .or(whole.text("model_type"))
        .unwrap_or_default();
    let family = match kind {
        "llama" | "mistral" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        "gemma3" | "gemma3_text" => Family::Gemma3,
        "gpt2" => Family::Gpt2,
        "phi3" => Family::Phi3,
        other => return Err(CheckpointError::Family(other.to_owned())),
    };
    let mut config = if family == Family::Gpt2 {
        gpt2(&entries)?
    } else {
        rotated(&entries, family, positions)?
    };
    config.tied = entries
        .truth("tie_word_embeddings")
        .or(whole.truth("tie_word_embeddings"))
        .unwrap_or(false);
    Ok((family, config))
}

fn activation(name: &str) -> Result<Activation, CheckpointError> {
    Ok(match name {
        "silu" | "swish" => Activation::Silu,
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
        other => {
            return Err(wrong(format!(
                "the activation {other:?} is not known; silu, gelu and gelu_new are"
            )));
        }
    })
}

fn gpt2(entries: &Entries<'_>) -> Result<DecoderConfig, CheckpointError> {
    let (width, heads) = (entries.needed("n_embd")?, entries.needed("n_head")?);
    for key in ["scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"] {
        if entries.truth(key) == Some(true) {
            return Err(wrong(format!("{key} is not supported")));
        }
    }
    let head_width = head_width(entries, width, heads)?;
    let scaled = entries.truth("scale_attn_weights").unwrap_or(true);
    Ok(DecoderConfig {
        vocabulary: entries.needed("vocab_size")?,
        positions: entries.needed("n_positions")?,
        width,
        heads,
        kv_heads: heads,
        head_width,
        feed_forward_width: entries
            .integer("n_inner")?
            .unwrap_or(width.saturating_mul(4)),
        layers: vec![
            LayerConfig {
                window: None,
                rotary: None
            };
            layer_count(entries, "n_layer")?
        ],
        norm: Norm::Layer {
            epsilon: entries.number("layer_norm_epsilon")?.unwrap_or(1e-5),
        },
        query_key_norm: false,
        post_norms: false,
        feed_forward: FeedForward::Plain(activation(
            entries.text("activation_function").unwrap_or("gelu_new"),
        )?),
        learned_positions: true,
        attention_scale: if scaled {
            1.0 / f64::from(head_width).sqrt()
        } else {
            1.0
        },
        attention_cap: None,
        final_cap: None,
        embedding_scale: 1.0,
        tied: false,
    })
}

fn layer_count(entries: &Entries<'_>, key: &str) -> Result<usize, CheckpointError> {
    match entries.needed(key)? {
        count if (1..=MAX_LAYERS).contains(&count) => Ok(count as usize),
        count => Err(wrong(format!(
            "{key} is {count}, and must be 1 to {MAX_LAYERS}"
        ))),
    }
}

fn head_width(entries: &Entries<'_>, width: u32, heads: u32) -> Result<u32, CheckpointError> {
    match entries.integer("head_dim")? {
        Some(width) => Ok(width),
        None => width
            .checked_div(heads)
            .ok_or_else(|| wrong("there are no heads")),
    }
}

fn rotated(
    entries: &Entries<'_>,
    family: Family,
    positions: u32,
) -> Result<DecoderConfig, CheckpointError> {
    let (width, heads) = (
        entries.needed("hidden_size")?,
        entries.needed("num_attention_heads")?,
    );
    let head_width = head_width(entries, width, heads)?;
    let gemma = family == Family::Gemma3;
    if entries.truth("use_bidirectional_attention") == Some(true) {
        return Err(wrong("use_bidirectional_attention is not supported"));
    }
    if entries.truth("is_causal") == Some(false) {
        return Err(wrong("attention that is not causal is not supported"));
    }
    let activation_key = if gemma {
        "hidden_activation"
    } else {
        "hidden_act"
    };
    let function =
        entries
            .text(activation_key)
            .unwrap_or(if gemma { "gelu_pytorch_tanh" } else { "silu" });
    let trained = entries.needed("max_position_embeddings")?;
    let scale = match entries.number("query_pre_attn_scalar")? {
        Some(scalar) if gemma => scalar,
        _ => f64::from(head_width),
    };
    Ok(DecoderConfig {
        vocabulary: entries.needed("vocab_size")?,
        positions: trained,
        width,
        heads,
        kv_heads: entries.integer("num_key_value_heads")?.unwrap_or(heads),
        head_width,
        feed_forward_width: entries.needed("intermediate_size")?,
        layers: layers(entries, family, head_width, positions.min(trained))?,
        norm: Norm::RootMeanSquare {
            epsilon: entries.number("rms_norm_eps")?.unwrap_or(1e-6),
            plus_one: gemma,
        },
        query_key_norm: gemma || family == Family::Qwen3,
        post_norms: gemma,
        feed_forward: FeedForward::Gated(activation(function)?),
        learned_positions: false,
        attention_scale: 1.0 / scale.sqrt(),
        attention_cap: entries.number("attn_logit_softcapping")?,
        final_cap: entries.number("final_logit_softcapping")?,
        embedding_scale: if gemma { f64::from(width).sqrt() } else { 1.0 },
        tied: false,
    })
}

fn layers(
    entries: &Entries<'_>,
    family: Family,
    head_width: u32,
    positions: u32,
) -> Result<Vec<LayerConfig>, CheckpointError> {
    let count = layer_count(entries, "num_hidden_layers")?;
    let used = match family {
        Family::Qwen2 | Family::Qwen3 => entries.truth("use_sliding_window").unwrap_or(false),
        _ => true,
    };
    let window = if used {
        entries.integer("sliding_window")?
    } else {
        None
    };
    let types = entries.get("layer_types").and_then(Value::as_array);
    let pattern = entries
        .integer("sliding_window_pattern")?
        .unwrap_or(6)
        .max(1) as usize;
    let full_first = entries.integer("max_window_layers")?.unwrap_or(0) as usize;
    let slides = |layer: usize| match (types.and_then(|types| types.get(layer)), family) {
        (Some(kind), _) => kind.as_str() == Some("sliding_attention"),
        (None, Family::Gemma3) => !(layer + 1).is_multiple_of(pattern),
        (None, Family::Qwen2 | Family::Qwen3) => layer >= full_first,
        _ => true,
    };
    let base = if family == Family::Gemma3 { 1e6 } else { 1e4 };
    let angles = |kind| rotary(entries, kind, base, (head_width, positions));
    let whole = angles("full_attention")?;
    let local = if family == Family::Gemma3 {
        angles("sliding_attention")?
    } else {
        whole.clone()
    };
    let layer = |layer| match window {
        Some(window) if slides(layer) => LayerConfig {
            window: Some(window),
            rotary: Some(local.clone()),
        },
        // A window that is not set does not change which angles a layer has.
        _ => LayerConfig {
            window: None,
            rotary: Some(if slides(layer) {
                local.clone()
            } else {
                whole.clone()
            }),
        },
    };
    Ok((0..count).map(layer).collect())
}
