//! Makes API keys: a secret for a client, and the table for the file of keys, which knows only the secret's hash.

use super::{
    file::{self, Hash, KeyTable, Keys, KeysError},
    limits::Limits,
};
use alloy_primitives::hex;
use sha2::{Digest as _, Sha256};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::Path,
};

/// What every secret begins with, as that of OpenAI's keys does: some clients look.
const PREFIX: &str = "sk-";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A new API key. Its secret is nowhere else.
pub struct NewKey {
    secret: String,
    table: String,
}

impl NewKey {
    /// A key of this name; without `models`, for all of them.
    ///
    /// # Errors
    /// [`KeysError::Key`] if the name is none.
    pub fn generate(name: &str, models: &[String], limits: Limits) -> Result<Self, KeysError> {
        let random: [u8; SECRET_BYTES] = rand::random();
        let secret = format!("{PREFIX}{}", hex::encode(random));
        let table = file::written(KeyTable {
            name: name.to_owned(),
            sha256: Hash(Sha256::digest(&secret).into()),
            models: (!models.is_empty()).then(|| models.iter().cloned().collect()),
            limits,
        })?;
        Keys::parse(&table)?;
        Ok(Self { secret, table })
    }

    /// What its owner sends.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Its table, `[[key]]` in TOML.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Adds its table to a file of keys, which is made if it is not there.
    ///
    /// # Errors
    /// [`KeysError`] if the file cannot be written, or could not be used any more; then nothing is written.
    pub fn add_to(&self, path: &Path) -> Result<(), KeysError> {
        let before = match file::read(path) {
            Err(KeysError::Read { error, .. }) if error.kind() == ErrorKind::NotFound => {
                String::new()
            }
            read => read?,
        };
        let gap = match before.as_str() {
            "" => "",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        let added = format!("{gap}{}", self.table);
        Keys::parse(&format!("{before}{added}"))?;
        // At the end and in one piece, so that a gateway that reads meanwhile finds it whole or not at all.
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(added.as_bytes()));
        written.map_err(|error| KeysError::Write {
            path: path.to_owned(),
            error,
        })
    }
}
