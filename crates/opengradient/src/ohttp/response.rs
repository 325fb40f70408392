//! The keys of an answer, and its nonces, on both sides.

use super::{
    CHUNKED_RESPONSE_LABEL, Encapsulated, FINAL_CHUNK, OhttpError, RESPONSE_LABEL,
    RESPONSE_NONCE_BYTES,
};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use hpke::{HpkeError, Serializable as _};
use zeroize::Zeroizing;

type Secret = Zeroizing<[u8; RESPONSE_NONCE_BYTES]>;

/// What a request leaves to both sides: the answer is sealed with one of these secrets.
pub(super) struct Secrets {
    encapsulated: Encapsulated,
    single: Secret,
    chunked: Secret,
}

impl Secrets {
    /// Takes them from a request's context by its `export`, which is given a label.
    pub(super) fn new(
        encapsulated: Encapsulated,
        export: impl Fn(&[u8], &mut [u8]) -> Result<(), HpkeError>,
    ) -> Result<Self, OhttpError> {
        let secret = |label| {
            let mut secret = Secret::default();
            export(label, secret.as_mut_slice()).map_err(|_| OhttpError::Sealing)?;
            Ok(secret)
        };
        Ok(Self {
            encapsulated,
            single: secret(RESPONSE_LABEL)?,
            chunked: secret(CHUNKED_RESPONSE_LABEL)?,
        })
    }

    /// The key of an answer in one piece.
    pub(super) fn single(
        &self,
        nonce: &[u8; RESPONSE_NONCE_BYTES],
    ) -> Result<ResponseKey, OhttpError> {
        ResponseKey::new(&self.single, &self.encapsulated, nonce)
    }

    /// The key of an answer in chunks.
    pub(super) fn chunked(
        &self,
        nonce: &[u8; RESPONSE_NONCE_BYTES],
    ) -> Result<ResponseKey, OhttpError> {
        ResponseKey::new(&self.chunked, &self.encapsulated, nonce)
    }
}

/// Seals or opens the pieces of one answer.
pub(super) struct ResponseKey {
    key: LessSafeKey,
    nonce: [u8; NONCE_LEN],
    /// Pieces so far. It never wraps around, so no nonce is used twice.
    count: u64,
}

impl ResponseKey {
    /// As in RFC 9458, section 4.4: extracted with the encapsulated key and the nonce as salt.
    fn new(
        secret: &Secret,
        encapsulated: &Encapsulated,
        response_nonce: &[u8; RESPONSE_NONCE_BYTES],
    ) -> Result<Self, OhttpError> {
        let salt = [
            encapsulated.to_bytes().as_slice(),
            response_nonce.as_slice(),
        ]
        .concat();
        let extracted = Salt::new(HKDF_SHA256, &salt).extract(secret.as_slice());
        let key = extracted
            .expand(&[b"key"], &CHACHA20_POLY1305)
            .map(UnboundKey::from)
            .map_err(|_| OhttpError::Sealing)?;
        let mut nonce = [0; NONCE_LEN];
        extracted
            .expand(&[b"nonce"], NonceLength)
            .and_then(|expanded| expanded.fill(&mut nonce))
            .map_err(|_| OhttpError::Sealing)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            nonce,
            count: 0,
        })
    }

    /// Seals an answer in one piece, or a chunk that is not the last.
    pub(super) fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, OhttpError> {
        self.seal_bound(plaintext, b"")
    }

    /// Seals the last chunk.
    pub(super) fn seal_final(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, OhttpError> {
        self.seal_bound(plaintext, FINAL_CHUNK)
    }

    /// Opens what [`Self::seal`] sealed.
    pub(super) fn open(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, OhttpError> {
        self.open_bound(ciphertext, b"")
    }

    /// Opens what [`Self::seal_final`] sealed.
    pub(super) fn open_final(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, OhttpError> {
        self.open_bound(ciphertext, FINAL_CHUNK)
    }

    fn seal_bound(&mut self, plaintext: &[u8], to: &[u8]) -> Result<Vec<u8>, OhttpError> {
        let nonce = self.next_nonce().ok_or(OhttpError::Sealing)?;
        let mut sealed = plaintext.to_vec();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(to), &mut sealed)
            .map_err(|_| OhttpError::Sealing)?;
        Ok(sealed)
    }

    fn open_bound(&mut self, ciphertext: &[u8], to: &[u8]) -> Result<Vec<u8>, OhttpError> {
        let nonce = self.next_nonce().ok_or(OhttpError::Opening)?;
        let mut opened = ciphertext.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::from(to), &mut opened)
            .map_err(|_| OhttpError::Opening)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    /// The first nonce, with the number of pieces so far in its last bytes.
    fn next_nonce(&mut self) -> Option<Nonce> {
        let mut nonce = self.nonce;
        let count = self.count.to_be_bytes();
        for (byte, of_count) in nonce.iter_mut().rev().zip(count.iter().rev()) {
            *byte ^= of_count;
        }
        self.count = self.count.checked_add(1)?;
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

struct NonceLength;

impl KeyType for NonceLength {
    fn len(&self) -> usize {
        NONCE_LEN
    }
}
