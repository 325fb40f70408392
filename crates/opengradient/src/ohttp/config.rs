//! The public side of a gateway's OHTTP key, and its signature.

use super::{AEAD_ID, KDF_ID, KEM_ID, KEY_BYTES, KEY_ID, OhttpError};
use crate::{
    hash,
    signing::{KeyError, SigningKey},
};
use alloy_primitives::B256;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// Length of a [`KeyConfig`] in bytes.
pub const CONFIG_BYTES: usize = 41;
/// Length of the list of symmetric algorithms that follows: one pair.
const ALGORITHMS_BYTES: u16 = 4;

/// A public key and its number. The suite is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    /// The key's number, which every request for it begins with.
    pub key_id: u8,
    /// The X25519 public key.
    pub public_key: [u8; KEY_BYTES],
}

impl KeyConfig {
    /// The configuration of a gateway's only key.
    pub const fn new(public_key: [u8; KEY_BYTES]) -> Self {
        Self {
            key_id: KEY_ID,
            public_key,
        }
    }

    /// As in RFC 9458, section 3.1: `keyConfig` in the registry.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.key_id];
        bytes.extend(KEM_ID.to_be_bytes());
        bytes.extend(self.public_key);
        for number in [ALGORITHMS_BYTES, KDF_ID, AEAD_ID] {
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] writes.
    ///
    /// # Errors
    /// [`OhttpError::Config`] if it is for another suite, or not of this form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OhttpError> {
        let [key_id, _, _, rest @ ..] = bytes else {
            return Err(OhttpError::Config);
        };
        let public_key = rest.first_chunk().ok_or(OhttpError::Config)?;
        let config = Self {
            key_id: *key_id,
            public_key: *public_key,
        };
        match config.to_bytes() == bytes {
            true => Ok(config),
            false => Err(OhttpError::Config),
        }
    }

    /// What binds it to the gateway when that signs it.
    pub fn hash(&self, tee_id: B256) -> B256 {
        let numbers = [self.key_id.into(), KEM_ID, KDF_ID, AEAD_ID];
        hash::ohttp_config_hash(tee_id, numbers, &self.public_key, &self.to_bytes())
    }
}

/// A configuration with the gateway's signature, as `/signing-key` answers it under `hpke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedConfig {
    /// The key's number.
    pub key_id: u8,
    /// DHKEM(X25519, HKDF-SHA256).
    pub kem_id: u16,
    /// HKDF-SHA256.
    pub kdf_id: u16,
    /// ChaCha20-Poly1305.
    pub aead_id: u16,
    /// The X25519 public key: 64 hexadecimal digits, no `0x`.
    pub public_key: String,
    /// [`KeyConfig::to_bytes`] in base64.
    pub key_config: String,
    /// Who signs: `0x` and 64 hexadecimal digits.
    pub tee_id: String,
    /// The signature of `signature_hash`, in base64.
    pub signature: String,
    /// [`KeyConfig::hash`]: `0x` and 64 hexadecimal digits.
    pub signature_hash: String,
}

impl SignedConfig {
    /// Signs `config`.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn new(config: &KeyConfig, key: &SigningKey) -> Result<Self, KeyError> {
        let hash = config.hash(key.tee_id());
        Ok(Self {
            key_id: config.key_id,
            kem_id: KEM_ID,
            kdf_id: KDF_ID,
            aead_id: AEAD_ID,
            public_key: hex::encode(config.public_key),
            key_config: BASE64_STANDARD.encode(config.to_bytes()),
            tee_id: key.tee_id().to_string(),
            signature: BASE64_STANDARD.encode(key.sign(hash)?),
            signature_hash: hash.to_string(),
        })
    }
}
