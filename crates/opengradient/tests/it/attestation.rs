//! The document that stands where an enclave would vouch for a gateway.

use alloy_primitives::hex;
use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use minicbor::{Decoder, Encoder, data::Type};
use og_opengradient::{GatewayIdentity, simulated_attestation};
use serde_json::Value;
use std::collections::BTreeMap;

/// The members of a document, each as CBOR.
fn members(payload: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.map().expect("a map").expect("a length");
    let mut members = BTreeMap::new();
    for _ in 0..count {
        let name = decoder.str().expect("a name").to_owned();
        let begin = decoder.position();
        decoder.skip().expect("a value");
        members.insert(name, payload[begin..decoder.position()].to_vec());
    }
    assert_eq!(decoder.datatype().ok(), None::<Type>);
    members
}

/// Protected headers, document and signature of a message.
fn parts(message: &[u8]) -> [&[u8]; 3] {
    let mut parts = Decoder::new(message);
    assert_eq!(parts.array().expect("a message"), Some(4));
    let protected = parts.bytes().expect("headers");
    assert_eq!(parts.map().expect("headers"), Some(0));
    let payload = parts.bytes().expect("a document");
    let signature = parts.bytes().expect("a signature");
    assert_eq!(parts.position(), message.len());
    [protected, payload, signature]
}

#[test]
fn the_document_is_the_one_that_others_write_but_for_the_salt_of_its_signature() {
    let vector: Value =
        serde_json::from_str(include_str!("../vectors/attestation.json")).expect("JSON");
    let text = |name: &str| vector[name].as_str().expect("a text");
    let file = text("identity").as_bytes();
    let identity = GatewayIdentity::from_bytes(file).expect("an identity");
    assert!(identity.to_bytes().expect("a file").as_slice() == file);
    let nonce: [u8; 20] = hex::decode_to_array(text("nonce")).expect("a nonce");
    let timestamp_ms = vector["timestamp_ms"].as_u64().expect("a time");

    let ours = simulated_attestation(&identity, &nonce, timestamp_ms).expect("signed");
    let theirs = BASE64_STANDARD.decode(text("document")).expect("base64");
    let [protected, payload, signature] = parts(&ours);
    assert_eq!([protected, payload], parts(&theirs)[..2]);
    assert_eq!(ours.len(), theirs.len());
    assert!(is_signed(&identity, parts(&theirs)));
    assert!(is_signed(&identity, [protected, payload, signature]));
}

/// Whether the identity signed what these are.
fn is_signed(identity: &GatewayIdentity, [protected, payload, signature]: [&[u8]; 3]) -> bool {
    let mut signed = Encoder::new(Vec::new());
    signed
        .array(4)
        .and_then(|to| to.str("Signature1"))
        .expect("CBOR");
    for part in [protected, &[], payload] {
        signed.bytes(part).expect("CBOR");
    }
    let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, identity.signing.public_key());
    key.verify(signed.writer(), signature).is_ok()
}

#[test]
fn a_document_binds_the_keys_to_the_nonce_and_says_that_nothing_was_measured() {
    let names = ["localhost".to_owned()];
    let identity = GatewayIdentity::generate(&names, &(0..=4_000_000_000), &mut rand::rng());
    let identity = identity.expect("an identity");
    let public_key = identity.signing.public_key();
    let message = simulated_attestation(&identity, &[7; 20], 1_795_166_465_000).expect("signed");

    let [protected, payload, signature] = parts(&message);
    assert_eq!(protected, [0xa1, 0x01, 0x38, 0x24], "RSASSA-PSS, SHA-256");
    assert!(is_signed(&identity, [protected, payload, signature]));

    let members = members(payload);
    let bytes = |name: &str| {
        let mut decoder = Decoder::new(&members[name]);
        decoder.bytes().expect("bytes").to_vec()
    };
    assert_eq!(bytes("nonce"), [7; 20]);
    assert_eq!(bytes("public_key"), public_key);
    let hashed = |data: &[u8]| [&[0x12, 0x20], digest(&SHA256, data).as_ref()].concat();
    let bound = [hashed(identity.tls.certificate()), hashed(public_key)].concat();
    assert_eq!(bytes("user_data"), bound);
    let mut module = Decoder::new(&members["module_id"]);
    assert!(module.str().expect("a text").starts_with("simulated"));
    let mut registers = Decoder::new(&members["pcrs"]);
    let registers: Vec<_> = registers
        .map_iter::<u8, &minicbor::bytes::ByteSlice>()
        .expect("registers")
        .map(|register| register.expect("a register"))
        .collect();
    assert_eq!(registers.len(), 3);
    assert!(registers.iter().all(|(_, value)| value[..] == [0; 48]));
    assert!(bytes("certificate").is_empty());
    assert_eq!(members["cabundle"], [0x80]);
    let mut time = Decoder::new(&members["timestamp"]);
    assert_eq!(time.u64().ok(), Some(1_795_166_465_000));
}
