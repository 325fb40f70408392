//! Entries of a JSON object, with errors that name them.

use super::CheckpointError;
use serde_json::Value;

/// Entries of a JSON object, with errors that name them.
pub(super) struct Entries<'a>(pub(super) &'a Value);

impl Entries<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<u32>, CheckpointError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let integer = value.as_u64().and_then(|n| u32::try_from(n).ok());
        integer
            .map(Some)
            .ok_or_else(|| wrong(format!("{key} must be a number of 32 bits")))
    }

    pub(super) fn needed(&self, key: &str) -> Result<u32, CheckpointError> {
        self.integer(key)?
            .ok_or_else(|| wrong(format!("{key} is missing")))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_f64()
            .map(Some)
            .ok_or_else(|| wrong(format!("{key} must be a number")))
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Vec<f64>, CheckpointError> {
        let list = self.get(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| wrong(format!("{key} must be a list of numbers")))?;
        let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        numbers.ok_or_else(|| wrong(format!("{key} must be a list of numbers")))
    }

    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

pub(super) fn wrong(reason: impl Into<String>) -> CheckpointError {
    CheckpointError::Config(reason.into())
}
