//! What a directory says of how rows become a text's vector, in the form of sentence-transformers.

use super::CheckpointError;
use og_program::file::Pooling;
use serde_json::Value;
use std::collections::BTreeSet;

/// Where the way is said.
pub(super) const POOLING: &str = "1_Pooling/config.json";
/// Where it is said what a text goes through.
pub(super) const MODULES: &str = "modules.json";

/// The way that [`POOLING`] says, if [`MODULES`] (as far as it is there) says that nothing else makes the vector.
pub(super) fn read_pooling(
    pooling: &Value,
    modules: Option<&Value>,
) -> Result<Pooling, CheckpointError> {
    for module in modules.and_then(Value::as_array).into_iter().flatten() {
        let name = module["type"].as_str().unwrap_or_default();
        let name = name.rsplit('.').next().unwrap_or_default();
        if !matches!(name, "Transformer" | "Pooling" | "Normalize") {
            return Err(CheckpointError::Json {
                name: MODULES.to_owned(),
                reason: format!(
                    "vectors go through {name:?}, which is not read; Transformer, Pooling and Normalize are"
                ),
            });
        }
    }
    let modes = modes(pooling);
    match modes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        ["last" | "lasttoken"] => Ok(Pooling::Last),
        _ => {
            let modes: Vec<String> = modes.into_iter().collect();
            Err(CheckpointError::Json {
                name: POOLING.to_owned(),
                reason: format!(
                    "a text's vector is made by [{}]; mean_tokens alone and lasttoken alone are possible",
                    modes.join(", ")
                ),
            })
        }
    }
}

/// The modes that are chosen: `"pooling_mode_mean_tokens": true`, or `"pooling_mode": "mean"`, or a list of such.
fn modes(pooling: &Value) -> BTreeSet<String> {
    let entries = pooling.as_object().into_iter().flatten();
    let chosen = entries
        .filter(|(_, value)| **value == Value::Bool(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"));
    let named = match &pooling["pooling_mode"] {
        Value::Array(names) => names.as_slice(),
        name => std::slice::from_ref(name),
    };
    chosen
        .chain(named.iter().filter_map(Value::as_str))
        .map(str::to_owned)
        .collect()
}
