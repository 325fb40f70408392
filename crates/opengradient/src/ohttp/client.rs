//! The client's side: sealing requests, opening answers.

use super::{
    Aead, Kdf, KeyConfig, MAX_REQUEST_BYTES, OVERHEAD_BYTES, OhttpError, PublicKey,
    RESPONSE_NONCE_BYTES, Suite, TAG_BYTES, frames, header, info,
    response::{ResponseKey, Secrets},
};
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use rand_core::CryptoRng;
use std::fmt;

/// Longest chunk that is taken, in bytes as sealed.
pub const MAX_CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Seals `request` for the holder of `config`: what to send, and what opens the answer.
///
/// # Errors
/// [`OhttpError::Malformed`] if the request is too long, [`OhttpError::Config`] if the key is none.
pub fn seal_request(
    config: &KeyConfig,
    request: &[u8],
    random: &mut impl CryptoRng,
) -> Result<(Vec<u8>, Opener), OhttpError> {
    if request.len() > MAX_REQUEST_BYTES - OVERHEAD_BYTES {
        return Err(OhttpError::Malformed);
    }
    let key = PublicKey::from_bytes(&config.public_key).map_err(|_| OhttpError::Config)?;
    let (encapsulated, mut context) = hpke::setup_sender_with_rng::<Aead, Kdf, Suite>(
        &OpModeS::Base,
        &key,
        &info(config.key_id),
        random,
    )
    .map_err(|_| OhttpError::Config)?;
    let ciphertext = context
        .seal(request, b"")
        .map_err(|_| OhttpError::Sealing)?;
    let sealed = [
        header(config.key_id).as_slice(),
        encapsulated.to_bytes().as_slice(),
        &ciphertext,
    ]
    .concat();
    let secrets = Secrets::new(encapsulated, |label, secret| context.export(label, secret))?;
    Ok((sealed, Opener { secrets }))
}

/// Opens the answer to one request.
pub struct Opener {
    secrets: Secrets,
}

impl Opener {
    /// Opens an answer in one piece.
    ///
    /// # Errors
    /// [`OhttpError`] if it is not the one that was sealed.
    pub fn open(self, sealed: &[u8]) -> Result<Vec<u8>, OhttpError> {
        let (nonce, ciphertext) = sealed
            .split_first_chunk::<RESPONSE_NONCE_BYTES>()
            .ok_or(OhttpError::Malformed)?;
        self.secrets.single(nonce)?.open(ciphertext)
    }

    /// Opens an answer in chunks, as they come.
    pub fn open_chunks(self) -> ChunkOpener {
        ChunkOpener {
            secrets: self.secrets,
            key: None,
            waiting: Vec::new(),
        }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// Opens the chunks of one answer. It keeps no more than one of them.
pub struct ChunkOpener {
    secrets: Secrets,
    key: Option<ResponseKey>,
    /// What came and is not a whole chunk yet.
    waiting: Vec<u8>,
}

impl ChunkOpener {
    /// Takes bytes as they come, and gives the chunks that are complete.
    ///
    /// # Errors
    /// [`OhttpError`] if the stream is not the one that was sealed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, OhttpError> {
        self.waiting.extend_from_slice(bytes);
        let mut opened = Vec::new();
        if self.key.is_none() {
            let Some((nonce, rest)) = self.waiting.split_first_chunk() else {
                return Ok(opened);
            };
            self.key = Some(self.secrets.chunked(nonce)?);
            self.waiting = rest.to_vec();
        }
        let mut rest = self.waiting.as_slice();
        while let (Some(key), Some((length, after))) = (&mut self.key, frames::read_varint(rest)) {
            // The last chunk goes on to the end of the stream.
            let length = usize::try_from(length).map_err(|_| OhttpError::Malformed)?;
            let most = if length == 0 { after.len() } else { length };
            if most > MAX_CHUNK_BYTES {
                return Err(OhttpError::Malformed);
            }
            let Some((chunk, after)) = after.split_at_checked(length).filter(|_| length > 0) else {
                break;
            };
            opened.push(key.open(chunk)?);
            rest = after;
        }
        self.waiting = rest.to_vec();
        Ok(opened)
    }

    /// Opens the last chunk, when the stream has ended.
    ///
    /// # Errors
    /// [`OhttpError::Malformed`] if it was cut short, [`OhttpError::Opening`] if the chunk is not
    /// the one that was sealed.
    pub fn finish(self) -> Result<Vec<u8>, OhttpError> {
        match (self.key, self.waiting.split_first()) {
            (Some(mut key), Some((&frames::FINAL, chunk))) if chunk.len() >= TAG_BYTES => {
                key.open_final(chunk)
            }
            _ => Err(OhttpError::Malformed),
        }
    }
}

impl fmt::Debug for ChunkOpener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChunkOpener")
            .finish_non_exhaustive()
    }
}
