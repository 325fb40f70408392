//! Oblivious HTTP as OpenGradient's clients speak it: requests that a relay passes on and cannot
//! read.
//!
//! RFC 9458 and the draft on chunked messages, with one suite (DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, ChaCha20-Poly1305), but what is sealed is JSON, or the frames of a stream, not
//! binary HTTP. A gateway opens requests with its [`OhttpKey`] and answers through a [`Responder`];
//! a client has a [`KeyConfig`] and an [`Opener`]; a relay has no key, and a [`BillingFilter`].

mod billing;
mod client;
mod config;
mod frames;
mod request;
mod response;
mod server;

pub use billing::{BillingFilter, MAX_BILLING_BYTES};
pub use client::{ChunkOpener, MAX_CHUNK_BYTES, Opener, seal_request};
pub use config::{CONFIG_BYTES, KeyConfig, SignedConfig};
pub use request::{InnerError, STREAM_HEADER, TEE_ID_HEADER, question, tee_id, wants_chunks};
pub use server::{ChunkSealer, OhttpKey, Responder};

use hpke::{Kem, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256};

/// The media type of a sealed request.
pub const REQUEST_MEDIA_TYPE: &str = "message/ohttp-req";
/// The media type of a sealed answer in one piece.
pub const RESPONSE_MEDIA_TYPE: &str = "message/ohttp-res";
/// The media type of a sealed answer in chunks.
pub const CHUNKED_RESPONSE_MEDIA_TYPE: &str = "message/ohttp-chunked-res";

/// Longest sealed request, in bytes: as much as a request may have that is not sealed, and what
/// sealing adds.
pub const MAX_REQUEST_BYTES: usize = crate::canonical::MAX_REQUEST_BYTES + OVERHEAD_BYTES;
/// What sealing adds to a request, in bytes.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + KEY_BYTES + TAG_BYTES;
/// Length of the key, of the public key and of what a sender encapsulates, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of the nonce that every answer begins with, in bytes.
pub const RESPONSE_NONCE_BYTES: usize = 32;
/// Length of what authenticates a sealed piece, in bytes.
pub const TAG_BYTES: usize = 16;

/// The only key of a gateway. Clients take the number from the registry.
const KEY_ID: u8 = 1;
/// Key id and the three numbers of the suite, in front of a request.
const HEADER_BYTES: usize = 7;
const KEM_ID: u16 = 0x0020;
const KDF_ID: u16 = 0x0001;
const AEAD_ID: u16 = 0x0003;
const REQUEST_LABEL: &[u8] = b"message/bhttp request";
const RESPONSE_LABEL: &[u8] = b"message/bhttp response";
const CHUNKED_RESPONSE_LABEL: &[u8] = b"message/bhttp chunked response";
/// What the last chunk is bound to, so that a stream that was cut short is noticed.
const FINAL_CHUNK: &[u8] = b"final";

type Suite = X25519HkdfSha256;
type PrivateKey = <Suite as Kem>::PrivateKey;
type PublicKey = <Suite as Kem>::PublicKey;
type Encapsulated = <Suite as Kem>::EncappedKey;
type Kdf = HkdfSha256;
type Aead = ChaCha20Poly1305;

/// Why a message cannot be opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OhttpError {
    /// The message is too short or too long to be one, or its framing is broken.
    #[error("malformed encapsulated message")]
    Malformed,
    /// It is for another key, or another suite.
    #[error("the message is for another key or suite: read the gateway's configuration anew")]
    Config,
    /// It was not sealed for this key, or was changed on the way.
    #[error("the message does not open: it was changed, cut short, or sealed for another key")]
    Opening,
    /// The library failed, or a stream is longer than can be sealed.
    #[error("the message cannot be sealed")]
    Sealing,
}

fn header(key_id: u8) -> [u8; HEADER_BYTES] {
    let [kem_high, kem_low] = KEM_ID.to_be_bytes();
    let [kdf_high, kdf_low] = KDF_ID.to_be_bytes();
    let [aead_high, aead_low] = AEAD_ID.to_be_bytes();
    [
        key_id, kem_high, kem_low, kdf_high, kdf_low, aead_high, aead_low,
    ]
}

/// What a request is bound to beside its key.
fn info(key_id: u8) -> Vec<u8> {
    [REQUEST_LABEL, &[0], &header(key_id)].concat()
}
