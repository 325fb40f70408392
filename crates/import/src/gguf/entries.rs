//! Entries of the metadata below an architecture's name, with errors that name them.

use super::{Gguf, Value, decoder::GgufDecoderError};
use crate::decoder::SourceError;

/// Entries of the metadata below the architecture's name.
pub(super) struct Entries<'a> {
    pub(super) gguf: &'a Gguf<'a>,
    pub(super) name: &'a str,
}

impl Entries<'_> {
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    pub(super) fn wrong(&self, key: &str, reason: &str) -> GgufDecoderError {
        GgufDecoderError::Entry {
            key: self.key(key),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<u32>, GgufDecoderError> {
        match self.gguf.value(&self.key(key)) {
            None => Ok(None),
            Some(Value::Array(array)) => {
                // One number for each layer: only where all are equal.
                let mut values = array.values().map(|value| value.integer());
                let first = values.next().flatten();
                if first.is_some() && values.all(|value| value == first) {
                    return Ok(first);
                }
                Err(self.wrong(key, "differs between layers, which is not supported"))
            }
            Some(value) => match value.integer() {
                Some(integer) => Ok(Some(integer)),
                None => Err(self.wrong(key, "must be an integer")),
            },
        }
    }

    pub(super) fn needed(&self, key: &str) -> Result<u32, GgufDecoderError> {
        self.integer(key)?
            .ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, GgufDecoderError> {
        match self.gguf.value(&self.key(key)) {
            None => Ok(None),
            Some(value) => match value.number() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(key, "must be a number")),
            },
        }
    }

    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        self.gguf.value(&self.key(key)).and_then(Value::truth)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.gguf.value(&self.key(key)).and_then(Value::text)
    }

    /// A small tensor of factors.
    pub(super) fn factors(&self, name: &str) -> Result<Option<Vec<f64>>, GgufDecoderError> {
        let Some(tensor) = self.gguf.tensor(name) else {
            return Ok(None);
        };
        let format = |format: u32| SourceError::Format {
            name: name.to_owned(),
            format: format.to_string(),
        };
        let tensor = tensor.map_err(SourceError::from)?.map_err(format)?;
        let factors = tensor.read().map_err(SourceError::from)?;
        Ok(Some(factors.into_iter().map(f64::from).collect()))
    }
}
