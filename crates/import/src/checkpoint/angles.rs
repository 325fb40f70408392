//! Rotary angles of `config.json`: the newer `rope_parameters`, the older `rope_theta` and `rope_scaling`.

use super::{
    CheckpointError,
    entries::{Entries, wrong},
};
use crate::decoder::{Rotary, rotary::Scaling};
use serde_json::Value;

/// The angles of layers of a kind: `rope_parameters`, or the older `rope_theta` and `rope_scaling`.
pub(super) fn rotary(
    entries: &Entries<'_>,
    kind: &str,
    usual_base: f64,
    (head_width, positions): (u32, u32),
) -> Result<Rotary, CheckpointError> {
    let parameters = entries.get("rope_parameters");
    let parameters = parameters.map(|all| all.get(kind).unwrap_or(all));
    let local = kind == "sliding_attention";
    // The older form stretches only layers without a window, and names the base of others apart.
    let older = if local {
        None
    } else {
        entries.get("rope_scaling")
    };
    let empty = Value::Null;
    let scaled = Entries(parameters.or(older).unwrap_or(&empty));
    let base = match (scaled.number("rope_theta")?, local) {
        (Some(base), _) => base,
        (None, true) => entries.number("rope_local_base_freq")?.unwrap_or(1e4),
        (None, false) => entries.number("rope_theta")?.unwrap_or(usual_base),
    };
    let partial = scaled.number("partial_rotary_factor")?;
    let partial = partial
        .or(entries.number("partial_rotary_factor")?)
        .unwrap_or(1.0);
    let width = (f64::from(head_width) * partial.clamp(0.0, 1.0)) as u32;
    let scaling = scaling(&scaled, entries, positions)?;
    Rotary::new(true, width, base, scaling.as_ref()).map_err(wrong)
}

fn scaling(
    scaled: &Entries<'_>,
    entries: &Entries<'_>,
    positions: u32,
) -> Result<Option<Scaling>, CheckpointError> {
    let kind = scaled
        .text("rope_type")
        .or(scaled.text("type"))
        .unwrap_or("default");
    let trained = entries.number("max_position_embeddings")?.unwrap_or(1.0);
    let original = scaled.number("original_max_position_embeddings")?;
    let original = original
        .or(entries.number("original_max_position_embeddings")?)
        .unwrap_or(trained);
    let need = |key: &str| -> Result<f64, CheckpointError> {
        scaled.number(key)?.filter(|x| *x > 0.0).ok_or_else(|| {
            wrong(format!(
                "{key} of the rope scaling is missing or not positive"
            ))
        })
    };
    Ok(Some(match kind {
        "default" => return Ok(None),
        "linear" => Scaling::Linear(need("factor")?),
        "llama3" => Scaling::Llama3 {
            factor: need("factor")?,
            low: need("low_freq_factor")?,
            high: need("high_freq_factor")?,
            original,
        },
        "yarn" => yarn(scaled, trained, original)?,
        "longrope" | "su" => {
            let long = f64::from(positions) > original;
            let factor = scaled.number("factor")?.unwrap_or(trained / original);
            let usual = if factor <= 1.0 {
                1.0
            } else {
                (1.0 + factor.ln() / original.ln()).sqrt()
            };
            Scaling::Each {
                divisors: scaled.numbers(if long { "long_factor" } else { "short_factor" })?,
                attention: scaled.number("attention_factor")?.unwrap_or(usual),
            }
        }
        other => {
            return Err(wrong(format!(
                "rope scaling {other:?} is unknown; linear, llama3, yarn and longrope are read"
            )));
        }
    }))
}

fn yarn(scaled: &Entries<'_>, trained: f64, original: f64) -> Result<Scaling, CheckpointError> {
    let factor = scaled.number("factor")?.unwrap_or(trained / original);
    let of = |scale: f64| {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * scale * factor.ln() + 1.0
        }
    };
    let pair = (scaled.number("mscale")?, scaled.number("mscale_all_dim")?);
    let attention = match (scaled.number("attention_factor")?, pair) {
        (Some(factor), _) => factor,
        (None, (Some(one), Some(all))) => of(one) / of(all),
        _ => of(1.0),
    };
    Ok(Scaling::Yarn {
        factor,
        fast: scaled.number("beta_fast")?.unwrap_or(32.0),
        slow: scaled.number("beta_slow")?.unwrap_or(1.0),
        original,
        attention: Some(attention),
    })
}
