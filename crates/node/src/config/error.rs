//! Why a configuration cannot be used.

use super::MAX_CONFIG_BYTES;
use crate::keys::KeyFileError;
use std::{io, path::PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}: give the path of a node's config.toml (`og network init` makes them)", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is too long to be a configuration.
    #[error("{} has more than {MAX_CONFIG_BYTES} bytes: this is not a node's configuration", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML, or a field is unknown, missing or of the wrong type.
    #[error("{} is not a valid configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: toml::de::Error,
    },
    /// A field's value makes no sense.
    #[error("{field}: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// What is wrong, and what to put there.
        reason: String,
    },
    /// A key file is missing or is no key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

/// An error that says what is wrong with the value of `field`.
pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        field,
        reason: reason.into(),
    }
}
