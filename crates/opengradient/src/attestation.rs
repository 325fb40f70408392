//! What a gateway says about what runs in it: a document of the form of AWS Nitro enclaves, which says
//! that nothing was measured.
//!
//! The document binds the gateway's certificate and signing key to a nonce, and is signed by that very
//! key. No hardware vouches for it: whoever checks measurements or the chain of certificates refuses
//! it, as they have to.

use crate::{identity::GatewayIdentity, signing::KeyError};
use aws_lc_rs::digest::{SHA256, digest};
use minicbor::{Encoder, encode::Error};
use std::convert::Infallible;

/// Length of the nonce that whoever asks chooses, in bytes.
pub const ATTESTATION_NONCE_BYTES: usize = 20;
/// Stands where an enclave names its machine.
const MODULE: &str = "simulated evidence, nothing was measured";
/// The registers that say what runs in an enclave; zeros, as they are where nothing is measured.
const REGISTERS: u8 = 3;
const REGISTER: [u8; 48] = [0; 48];
/// COSE's name for RSASSA-PSS with SHA-256 (RFC 8230).
const PS256: i8 = -37;
/// COSE's label of the algorithm.
const ALGORITHM: u8 = 1;
/// What stands before each SHA-256 in the document: its multihash code and length.
const SHA256_PREFIX: [u8; 2] = [0x12, 0x20];

/// The document for `nonce`, made at `timestamp_ms`, in milliseconds of Unix time: a COSE_Sign1 message
/// (RFC 9052) without a tag.
///
/// # Errors
/// [`KeyError::Library`].
pub fn simulated_attestation(
    identity: &GatewayIdentity,
    nonce: &[u8; ATTESTATION_NONCE_BYTES],
    timestamp_ms: u64,
) -> Result<Vec<u8>, KeyError> {
    let payload = document(identity, nonce, timestamp_ms);
    let message = payload.and_then(|payload| {
        let protected = encoded(|to| to.map(1)?.u8(ALGORITHM)?.i8(PS256)?.ok())?;
        let signed = encoded(|to| {
            to.array(4)?.str("Signature1")?.bytes(&protected)?;
            to.bytes(&[])?.bytes(&payload)?.ok()
        })?;
        Ok((protected, payload, signed))
    });
    let (protected, payload, signed) = message.map_err(|_: Error<Infallible>| CBOR)?;
    let signature = identity.signing.sign_bytes(&signed)?;
    let message = encoded(|to| {
        to.array(4)?.bytes(&protected)?.map(0)?;
        to.bytes(&payload)?.bytes(&signature)?.ok()
    });
    message.map_err(|_| CBOR)
}

const CBOR: KeyError = KeyError::Library("writing CBOR");

fn document(
    identity: &GatewayIdentity,
    nonce: &[u8; ATTESTATION_NONCE_BYTES],
    timestamp_ms: u64,
) -> Result<Vec<u8>, Error<Infallible>> {
    let public_key = identity.signing.public_key();
    let certificate = digest(&SHA256, identity.tls.certificate());
    let key = digest(&SHA256, public_key);
    let bound = [
        SHA256_PREFIX.as_slice(),
        certificate.as_ref(),
        SHA256_PREFIX.as_slice(),
        key.as_ref(),
    ]
    .concat();
    encoded(|to| {
        to.map(9)?.str("module_id")?.str(MODULE)?;
        to.str("digest")?.str("SHA384")?;
        to.str("timestamp")?.u64(timestamp_ms)?;
        to.str("pcrs")?.map(REGISTERS.into())?;
        for register in 0..REGISTERS {
            to.u8(register)?.bytes(&REGISTER)?;
        }
        to.str("certificate")?.bytes(&[])?;
        to.str("cabundle")?.array(0)?;
        to.str("public_key")?.bytes(public_key)?;
        to.str("user_data")?.bytes(&bound)?;
        to.str("nonce")?.bytes(nonce)?.ok()
    })
}

/// What `write` writes.
fn encoded(
    write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Result<(), Error<Infallible>>,
) -> Result<Vec<u8>, Error<Infallible>> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder)?;
    Ok(encoder.into_writer())
}
