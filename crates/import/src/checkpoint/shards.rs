//! Safetensors files: their headers are checked by the `safetensors` crate, their tensors are views.

use super::{CheckpointError, MAX_SHARDS};
use crate::{
    decoder::SourceError,
    tensor::{Tensor, blocks::Kind},
};
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, BTreeSet};

/// The tensors of one or several files.
#[derive(Debug)]
pub struct Shards<'a> {
    files: Vec<SafeTensors<'a>>,
    /// In which file each tensor is.
    places: BTreeMap<String, usize>,
}

impl<'a> Shards<'a> {
    /// Reads the headers of files, each a name and its bytes.
    ///
    /// # Errors
    /// [`CheckpointError::Weights`] if a header is damaged, or a tensor is in two files.
    pub fn read(given: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, CheckpointError> {
        let (mut files, mut places) = (vec![], BTreeMap::new());
        for (name, bytes) in given {
            let wrong = |reason: String| CheckpointError::Weights {
                name: name.to_owned(),
                reason,
            };
            let file = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
            for tensor in file.names() {
                if places.insert((*tensor).to_owned(), files.len()).is_some() {
                    return Err(wrong(format!("{tensor:?} is in another file too")));
                }
            }
            files.push(file);
        }
        Ok(Self { files, places })
    }

    /// Whether there is a tensor of a name.
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A tensor as a matrix: the last extent is a row. `None` if there is none of that name.
    ///
    /// # Errors
    /// [`SourceError`] if its elements are no floats of 16 or 32 bits.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor<'a>>, SourceError> {
        let file = self
            .places
            .get(name)
            .and_then(|place| self.files.get(*place));
        let Some(view) = file.and_then(|file| file.tensor(name).ok()) else {
            return Ok(None);
        };
        let kind = match view.dtype() {
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            other => {
                let format = format!("{other:?}");
                return Err(SourceError::Format {
                    name: name.to_owned(),
                    format,
                });
            }
        };
        let columns = view.shape().last().copied().unwrap_or(1);
        let rows = view.shape().iter().rev().skip(1).product();
        Ok(Some(Tensor::stored(
            name,
            rows,
            columns,
            kind,
            view.data(),
        )?))
    }
}

/// The names of the files that `model.safetensors.index.json` lists, in order.
///
/// # Errors
/// [`CheckpointError::Json`] if it is no index, or names files elsewhere.
pub fn read_index(bytes: &[u8]) -> Result<Vec<String>, CheckpointError> {
    let wrong = |reason: &str| CheckpointError::Json {
        name: "model.safetensors.index.json".to_owned(),
        reason: reason.to_owned(),
    };
    let index = super::parsed("model.safetensors.index.json", bytes)?;
    let map = index
        .get("weight_map")
        .and_then(serde_json::Value::as_object);
    let map = map.ok_or_else(|| wrong("has no weight_map"))?;
    let mut names = BTreeSet::new();
    for file in map.values() {
        let file = file
            .as_str()
            .ok_or_else(|| wrong("a file's name is no text"))?;
        let inside =
            !file.is_empty() && !file.contains(['/', '\\', '\0']) && file != "." && file != "..";
        if !inside {
            return Err(wrong("a file lies outside of the directory"));
        }
        names.insert(file.to_owned());
        if names.len() > MAX_SHARDS {
            return Err(wrong("names more than 1,024 files"));
        }
    }
    if names.is_empty() {
        return Err(wrong("names no files"));
    }
    Ok(names.into_iter().collect())
}
