//! The key that answers are signed with: RSA-2048, RSASSA-PSS with SHA-256 and a salt of 32 bytes.

use crate::{hash, proof::TeeFields};
use alloy_primitives::B256;
use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, UnparsedPublicKey},
};
use pem::{EncodeConfig, LineEnding, Pem};
use std::fmt;
use zeroize::Zeroizing;

/// Length of a signature, in bytes.
pub const SIGNATURE_BYTES: usize = 256;

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no such key.
    #[error("the key is not {0}")]
    Malformed(&'static str),
    /// The key has another length.
    #[error("the signing key has {0} bits: only RSA-2048 is read")]
    Length(usize),
    /// The library failed, for want of memory or of randomness.
    #[error("the cryptographic library failed at {0}")]
    Library(&'static str),
}

/// A gateway's signing key. Its private part appears nowhere but in [`Self::to_pkcs8`].
pub struct SigningKey {
    pair: KeyPair,
    public_key: Vec<u8>,
    tee_id: B256,
}

impl SigningKey {
    /// A new key. It takes some tenths of a second.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048);
        Self::new(pair.map_err(|_| KeyError::Library("making an RSA key"))?)
    }

    /// Reads a key that [`Self::to_pkcs8`] wrote, or any other RSA-2048 key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError`] if it is none.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8(der);
        Self::new(pair.map_err(|_| KeyError::Malformed("an RSA key in PKCS#8"))?)
    }

    fn new(pair: KeyPair) -> Result<Self, KeyError> {
        let length = pair.public_modulus_len();
        if length != SIGNATURE_BYTES {
            return Err(KeyError::Length(length.saturating_mul(8)));
        }
        let public_key: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| KeyError::Library("writing a public key"))?;
        let public_key = public_key.as_ref().to_vec();
        Ok(Self {
            tee_id: hash::tee_id(&public_key),
            public_key,
            pair,
        })
    }

    /// The private key, in PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der: Pkcs8V1Der<'_> = self
            .pair
            .as_der()
            .map_err(|_| KeyError::Library("writing a private key"))?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The public key, as DER of SubjectPublicKeyInfo: what the registry holds.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The public key in PEM: what `/signing-key` answers.
    pub fn public_key_pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new("PUBLIC KEY", self.public_key.as_slice()), config)
    }

    /// What clients and contracts call the holder of this key.
    pub const fn tee_id(&self) -> B256 {
        self.tee_id
    }

    /// Signs one of the hashes in [`crate::hash`].
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn sign(&self, hash: B256) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        self.sign_bytes(hash.as_slice())
    }

    /// Signs what is no hash of this crate.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        let mut signature = [0; SIGNATURE_BYTES];
        let random = SystemRandom::new();
        self.pair
            .sign(&RSA_PSS_SHA256, &random, message, &mut signature)
            .map_err(|_| KeyError::Library("signing"))?;
        Ok(signature)
    }

    /// The proof beside an answer given at `timestamp_s`, in whole seconds of Unix time.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn attest(
        &self,
        request_hash: B256,
        output_hash: B256,
        timestamp_s: u64,
    ) -> Result<TeeFields, KeyError> {
        let signature = self.sign(hash::message_hash(request_hash, output_hash, timestamp_s))?;
        Ok(TeeFields::new(
            self.tee_id,
            request_hash,
            output_hash,
            timestamp_s,
            &signature,
        ))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("tee_id", &self.tee_id)
            .finish_non_exhaustive()
    }
}

/// Whether the holder of `public_key`, DER of SubjectPublicKeyInfo with 2048 to 8192 bits, signed
/// `hash`.
pub fn verify(public_key: &[u8], hash: B256, signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public_key)
        .verify(hash.as_slice(), signature)
        .is_ok()
}
