//! The gateway's side: opening requests, sealing answers.

use super::{
    Aead, Encapsulated, HEADER_BYTES, KEY_BYTES, KEY_ID, Kdf, KeyConfig, MAX_REQUEST_BYTES,
    OhttpError, PrivateKey, PublicKey, RESPONSE_NONCE_BYTES, Suite, frames, header, info,
    response::{ResponseKey, Secrets},
};
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _};
use rand_core::CryptoRng;
use std::fmt;
use zeroize::Zeroizing;

/// A gateway's key for sealed requests.
pub struct OhttpKey {
    private_key: PrivateKey,
    public_key: PublicKey,
}

impl OhttpKey {
    /// A new key.
    pub fn generate(random: &mut impl CryptoRng) -> Self {
        let (private_key, public_key) = Suite::gen_keypair_with_rng(random);
        Self {
            private_key,
            public_key,
        }
    }

    /// The key with these bytes.
    pub fn from_private_key(bytes: &[u8; KEY_BYTES]) -> Self {
        // It fails for other lengths only.
        let private_key =
            PrivateKey::from_bytes(bytes).unwrap_or_else(|_| Suite::derive_keypair(bytes).0);
        Self {
            public_key: Suite::sk_to_pk(&private_key),
            private_key,
        }
    }

    pub(crate) fn private_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(self.private_key.to_bytes().into())
    }

    /// What clients need to seal requests for it.
    pub fn config(&self) -> KeyConfig {
        KeyConfig::new(self.public_key.to_bytes().into())
    }

    /// Opens a request: what was sealed, and what its answer is sealed with.
    ///
    /// # Errors
    /// [`OhttpError`]. It is the client's doing, or the relay's.
    pub fn open(&self, sealed: &[u8]) -> Result<(Vec<u8>, Responder), OhttpError> {
        if sealed.len() > MAX_REQUEST_BYTES {
            return Err(OhttpError::Malformed);
        }
        let (head, rest) = sealed
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(OhttpError::Malformed)?;
        if *head != header(KEY_ID) {
            return Err(OhttpError::Config);
        }
        let (encapsulated, ciphertext) = rest
            .split_first_chunk::<KEY_BYTES>()
            .ok_or(OhttpError::Malformed)?;
        let encapsulated =
            Encapsulated::from_bytes(encapsulated).map_err(|_| OhttpError::Malformed)?;
        let mut context = hpke::setup_receiver::<Aead, Kdf, Suite>(
            &OpModeR::Base,
            &self.private_key,
            &encapsulated,
            &info(KEY_ID),
        )
        .map_err(|_| OhttpError::Opening)?;
        let request = context
            .open(ciphertext, b"")
            .map_err(|_| OhttpError::Opening)?;
        let secrets = Secrets::new(encapsulated, |label, secret| context.export(label, secret))?;
        Ok((request, Responder { secrets }))
    }
}

impl fmt::Debug for OhttpKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OhttpKey")
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}

/// Seals the answer to one request, in one piece or in chunks.
pub struct Responder {
    secrets: Secrets,
}

impl Responder {
    /// Seals an answer in one piece. `nonce` has to be new and random.
    ///
    /// # Errors
    /// [`OhttpError::Sealing`].
    pub fn seal(
        self,
        nonce: [u8; RESPONSE_NONCE_BYTES],
        answer: &[u8],
    ) -> Result<Vec<u8>, OhttpError> {
        let mut key = self.secrets.single(&nonce)?;
        Ok([nonce.as_slice(), &key.seal(answer)?].concat())
    }

    /// Begins an answer in chunks: its first bytes, and what seals the chunks. `nonce` has to be new
    /// and random.
    ///
    /// # Errors
    /// [`OhttpError::Sealing`].
    pub fn seal_chunks(
        self,
        nonce: [u8; RESPONSE_NONCE_BYTES],
    ) -> Result<(Vec<u8>, ChunkSealer), OhttpError> {
        let key = self.secrets.chunked(&nonce)?;
        Ok((nonce.to_vec(), ChunkSealer { key }))
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Responder").finish_non_exhaustive()
    }
}

/// Seals the chunks of one answer, one after the other. Each is to be sent at once, and
/// [`Self::finish`] has to be the end: a stream without it is refused as cut short.
pub struct ChunkSealer {
    key: ResponseKey,
}

impl ChunkSealer {
    /// Seals a chunk that is not the last. An empty one gives no bytes.
    ///
    /// # Errors
    /// [`OhttpError::Sealing`].
    pub fn seal(&mut self, chunk: &[u8]) -> Result<Vec<u8>, OhttpError> {
        if chunk.is_empty() {
            return Ok(Vec::new());
        }
        let sealed = self.key.seal(chunk)?;
        let mut frame = frames::varint(sealed.len()).ok_or(OhttpError::Sealing)?;
        frame.extend_from_slice(&sealed);
        Ok(frame)
    }

    /// Seals the last chunk, which may be empty.
    ///
    /// # Errors
    /// [`OhttpError::Sealing`].
    pub fn finish(mut self, chunk: &[u8]) -> Result<Vec<u8>, OhttpError> {
        let sealed = self.key.seal_final(chunk)?;
        Ok([&[frames::FINAL], sealed.as_slice()].concat())
    }
}

impl fmt::Debug for ChunkSealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChunkSealer")
            .finish_non_exhaustive()
    }
}
